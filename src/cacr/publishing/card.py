"""The card of a model: the recipe, every score with its n and interval, and whom to cite."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from cacr._json import read_object
from cacr.benchmarks import BENCHMARKS, Row, table
from cacr.benchmarks.records import read_about, read_records

MADE = "This card was written by cacr"
PLACES = ("out", "data", "features", "images", "model")
"""Options that name a file or folder."""
CITATION = """@inproceedings{pandey2023cross,
  title     = {Cross-modal Attention Congruence Regularization for Vision-Language Relation Alignment},
  author    = {Pandey, Rohan and Shao, Rulin and Liang, Paul Pu and Salakhutdinov, Ruslan and Morency, Louis-Philippe},
  booktitle = {Proceedings of the 61st Annual Meeting of the Association for Computational Linguistics},
  year      = {2023},
  note      = {arXiv:2212.10549}
}"""


def model_card(model: Path, repo: str) -> str:
    """The card of a model folder, as Markdown with the hub's metadata before it.

    Args:
        model: The folder. Beside it lies its run (config.toml), inside it the folders that `cacr eval` made.
        repo: The name it will have on the hub.

    Raises:
        FileNotFoundError: No model there.
        ValueError: Records of an evaluation are broken.
    """
    if not (model / "config.json").is_file():
        raise FileNotFoundError(f"no config.json in {model}; expected RUN/model as made by `cacr train`")
    kind = read_object(model / "config.json").get("model_type", "unknown")
    recipe = model.parent / "config.toml"
    tables, copy = scores(model), repo.split("/")[-1]
    results = [
        EvalResult(
            task_type="image-text-retrieval",
            dataset_type=name,
            dataset_name=name,
            metric_type=row.metric,
            metric_value=round(100 * row.estimate.value, 2),
            metric_name=f"{row.metric}, {row.group}",
        )
        for name, _, rows in tables
        for row in rows
    ]
    data = ModelCardData(
        library_name="cacr",
        pipeline_tag="image-text-to-text",
        tags=[kind, "vision-language", "compositionality", "attention-congruence"],
        model_name=repo,
        eval_results=results or None,
    )
    parts = [
        f"---\n{data.to_yaml()}\n---",
        f"# {copy}",
        f"A {kind} model for matching captions with pictures, fine-tuned with `cacr`.",
        "## Scores",
        _score_text(tables),
        "## Recipe",
        f"```toml\n{_without_places(recipe.read_text(encoding='utf-8'))}\n```"
        if recipe.is_file()
        else "The run's configuration was not beside the model.",
        "## Use",
        f"```python\nfrom cacr.scorers import RegionScorer\n\nscorer = RegionScorer.from_pretrained({copy!r})"
        "  # a local copy of this repository\n```",
        "The weights inherit the licence of the checkpoint that the run started from.",
        "## Cite",
        f"```bibtex\n{CITATION}\n```",
        f"{MADE} from the run's own files.",
    ]
    return "\n\n".join(parts) + "\n"


def scores(model: Path) -> list[tuple[str, str, list[Row]]]:
    """Benchmark, what it was measured on, and the table, of every evaluation inside a model folder."""
    found = []
    for folder in sorted(model.glob("evaluation-*")):
        for name, records in read_records(folder).items():
            if name in BENCHMARKS:
                found.append((name, _measured_on(folder, name), table(BENCHMARKS[name], records)))
    return found


def _measured_on(folder: Path, name: str) -> str:
    about = read_about(folder, name)
    if not about:
        return "not said"
    options = about.get("options", {})
    named = {name: _without_folders(value) if name in PLACES else value for name, value in options.items()}
    return ", ".join(f"{name} {value}" for name, value in named.items()) or "all of it"


def _without_folders(value: str | list[str]) -> str:
    return " and ".join(Path(one).name for one in ([value] if isinstance(value, str) else value))


def _without_places(recipe: str) -> str:
    """A recipe with the names of files in place of where they lay on somebody's machine."""
    values = tomllib.loads(recipe)
    lines = []
    for line in recipe.strip().splitlines():
        name = line.split(" = ")[0]
        lines.append(f"{name} = {json.dumps(Path(values[name]).name)}" if name in PLACES else line)
    return "\n".join(lines)


def _score_text(tables: list[tuple[str, str, list[Row]]]) -> str:
    if not tables:
        return "Not measured yet: `cacr eval` writes its records into the model's folder, and the card shows them."
    lines = [
        "| benchmark | measured on | group | metric | % [95 % interval] | n | chance % |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, measured_on, rows in tables:
        for row in rows:
            e = row.estimate
            interval = f"[{100 * e.low:.1f}, {100 * e.high:.1f}]" if e.low == e.low else "[no interval]"
            values = f"{100 * e.value:.1f} {interval} | {e.n} | {100 * row.chance:.1f}"
            lines.append(f"| {name} | {measured_on} | {row.group} | {row.metric} | {values} |")
    return "\n".join(lines) + "\n\nOne seed: the intervals are over examples, not over runs."
