"""The card of a model: what it is for, how it was made, every score with its n and interval, and whom to cite."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from cacr._hub import address
from cacr._json import read_object
from cacr.publishing.scores import PLACES, Measured, score_text, scores, without_folders

MADE = "This card was written by cacr"
TASK = "zero-shot-image-classification"
"""Of the hub's tasks the one that such models do: tell which of some captions fits a picture."""
CITATION = """@inproceedings{pandey2023cross,
  title     = {Cross-modal Attention Congruence Regularization for Vision-Language Relation Alignment},
  author    = {Pandey, Rohan and Shao, Rulin and Liang, Paul Pu and Salakhutdinov, Ruslan and Morency, Louis-Philippe},
  booktitle = {Proceedings of the 61st Annual Meeting of the Association for Computational Linguistics},
  year      = {2023},
  note      = {arXiv:2212.10549}
}"""
USE = """```python
from cacr.data import Picture
from cacr.regions import open_features
from cacr.scorers import RegionScorer

scorer = RegionScorer.from_pretrained("{repo}")
regions = open_features("features.safetensors")  # made by: cacr features PICTURES -o features.safetensors
first = next(iter(regions))
print(scorer.match(["a mug in some grass"], [Picture(first, lambda: regions[first])]))
```

Measure it: `cacr eval {repo} winoground --data winoground --features features.safetensors`"""
WITHOUT = """Where this package is not installed, by the files of this repository:

```python
import torch
from transformers import AutoModelForSequenceClassification, AutoProcessor

model = AutoModelForSequenceClassification.from_pretrained("{repo}", trust_remote_code=True).eval()
processor = AutoProcessor.from_pretrained("{repo}", trust_remote_code=True)
features, boxes01 = torch.rand(36, {width}), torch.rand(36, 4).sort(-1).values  # your detector's; corners, 0-1
picture = processor.regions_type(features, boxes01)
print(model(**processor(["a mug in some grass"], [picture])).rank_scores)  # higher: a better fit
```"""
LIMITS = """For research on how models of vision and language relate words to regions: to rank captions of a picture, or
pictures of a caption.

- It reads regions, not pixels: boxes, and features of {width} numbers from the detector of its training features. With
  other features its scores mean nothing.
- Of a caption it reads {tokens} tokens at most. Another language than that of its captions was not tried.
- A match is a logit: it ranks pairs of this model, and is no probability.
- Not for decisions about people. Biases of its pictures, captions and detector are in it and were not measured."""


def model_card(
    model: Path, repo: str, license: str | None = None, language: str = "en", code: bool = False
) -> str:
    """The card of a model folder, as Markdown with the hub's metadata before it.

    Args:
        model: The folder. Beside it lies its run (config.toml), inside it the folders that `cacr eval` made.
        repo: The name it will have on the hub.
        license: As the hub names it, such as mit; not said if None.
        language: Of the captions, as ISO 639.
        code: Whether its classes lie beside it, so that its use without this package is told.

    Raises:
        FileNotFoundError: No model there.
        ValueError: Records of an evaluation, or files of the run, are broken.
    """
    if not (model / "config.json").is_file():
        raise FileNotFoundError(f"no config.json in {model}; expected RUN/model as made by `cacr train`")
    config = read_object(model / "config.json")
    kind = str(config.get("model_type", "unknown"))
    measured = scores(sorted(model.glob("evaluation-*")))
    recipe, made = _run(model.parent)
    hub = made.get("data", {}).get("hub", {})
    start, data = (address(hub[name]) if name in hub else None for name in ("model", "data"))
    metadata = ModelCardData(
        license=license,
        language=language,
        library_name="cacr",
        pipeline_tag=TASK,
        tags=[kind, "vision-language", "image-text-matching", "compositionality", "attention-congruence"],
        base_model=None if start is None else start.repo,
        datasets=None if data is None else [data.repo],
        model_name=repo if measured else None,
        eval_results=_results(measured) or None,
    )
    inherits = (
        "The weights inherit the licence of the checkpoint that the run started from, and terms of its data."
    )
    sections = {
        "Scores": score_text(measured),
        "Use": USE.format(repo=repo)
        + ("\n\n" + WITHOUT.format(repo=repo, width=config.get("region_dim", 2048)) if code else ""),
        "Intended use and limits": LIMITS.format(
            width=config.get("region_dim", "some"), tokens=config.get("max_position_embeddings", "some")
        ),
        "Training data": _training_data(recipe, made),
        "Recipe": f"```toml\n{_without_places(recipe, hub)}\n```"
        if recipe
        else "The run's configuration was not beside the model.",
        "Made with": _environment(made),
        "Licence": f"{license}. {inherits}" if license else inherits,
        "Cite": f"```bibtex\n{CITATION}\n```",
    }
    parts = [
        f"---\n{metadata.to_yaml()}\n---",
        f"# {repo.split('/')[-1]}",
        f"A {kind.upper()} for matching captions with pictures"
        + (
            ", fine-tuned with `cacr` (`pip install cacr`)."
            if recipe
            else ", read by `cacr` (`pip install cacr`)."
        ),
        *(f"## {title}\n\n{text}" for title, text in sections.items()),
        f"{MADE} from the run's own files.",
    ]
    return "\n\n".join(parts) + "\n"


def _run(folder: Path) -> tuple[str, dict[str, Any]]:
    """The text of a run's configuration, and what it was made with; empty where they are not there."""
    recipe, made = folder / "config.toml", folder / "environment.json"
    text = recipe.read_text(encoding="utf-8") if recipe.is_file() else ""
    return text, read_object(made) if made.is_file() else {}


def _results(measured: list[Measured]) -> list[EvalResult]:
    return [
        EvalResult(
            task_type="image-text-retrieval",
            dataset_type=one.name,
            dataset_name=one.name,
            dataset_revision=one.version or None,
            metric_type=row.metric,
            metric_value=round(100 * row.estimate.value, 2),
            metric_name=f"{row.metric}, {row.group}",
        )
        for one in measured
        for row in one.rows
    ]


def _training_data(recipe: str, made: dict[str, Any]) -> str:
    if not recipe:
        return "The run's configuration was not beside the model."
    told = tomllib.loads(recipe)
    data, hub = made.get("data", {}), made.get("data", {}).get("hub", {})
    named = hub.get("data") or without_folders(str(told.get("data", "scenes")))
    parts = ["scenes, the embedded world of cacr (drawn, MIT)" if named == "scenes" else named]
    parts += [f"split {told['split']}"] if "split" in told else []
    parts += (
        [f"features {hub.get('features') or without_folders(told['features'])}"] if "features" in told else []
    )
    parts += [f"hash of the {name} {data[name]}" for name in ("captions", "regions") if data.get(name)]
    start = hub.get("model") or without_folders(str(told.get("model", "scenes-start")))
    return f"Captioned pictures: {', '.join(parts)}. The model started from: {start}."


def _environment(made: dict[str, Any]) -> str:
    if not made:
        return "The run's environment.json was not beside the model."
    packages = made.get("packages", {})
    said = [f"Python {made.get('python')}"]
    said += [f"{name} {packages[name]}" for name in ("cacr", "torch", "transformers") if name in packages]
    said += [f"commit {made['git']}"] if made.get("git") else []
    gpus = made.get("gpus") or []
    on = f"{len(gpus)} x {gpus[0]}" if gpus else made.get("processor", {}).get("model") or "a CPU"
    processes = made.get("processes", 1)
    return f"{', '.join(said)}, on {on}, {processes} {'process' if processes == 1 else 'processes'}."


def _without_places(recipe: str, hub: dict[str, str]) -> str:
    """A recipe with the names of files in place of where they lay on somebody's machine; what is on the hub stays."""
    values = tomllib.loads(recipe)
    lines = []
    for line in recipe.strip().splitlines():
        name = line.split(" = ")[0]
        value = hub.get(name) or without_folders(values[name]) if name in PLACES else None
        lines.append(line if value is None else f"{name} = {json.dumps(value)}")
    return "\n".join(lines)
