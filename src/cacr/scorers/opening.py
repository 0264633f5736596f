"""A scorer by the name that a person gives: the family is recognized by the checkpoint's own config."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from pathlib import Path
from typing import Any

from cacr._hub import model_here
from cacr._json import read_json
from cacr._messages import nearest, shortly, unknown
from cacr.data import Scorer
from cacr.models.shipped import SHIPPED, shipped_model
from cacr.scorers.controls import ConstantScorer, RandomScorer

Scores = dict[str, str]
"""The name of a score -> module and class that compute it; the first is meant where none is named."""


def _scores(where: str, *names: str) -> Scores:
    return dict.fromkeys(names, where)


REGIONS = _scores("regions:RegionScorer", "match")
DUAL = _scores("contrastive.scorer:DualEncoderScorer", "match")
FAMILIES: dict[str, Scores] = {
    "uniter": REGIONS,
    "oscar": REGIONS,
    "rosita": REGIONS,
    "lxmert": _scores("match_heads.lxmert:LxmertScorer", "itm"),
    "visual_bert": _scores("match_heads.visual_bert:VisualBertScorer", "itm"),
    "vilt": _scores("match_heads.vilt:ViltScorer", "itm"),
    "blip": _scores("match_heads.blip:BlipScorer", "itm", "itc"),
    "blip-2": _scores("match_heads.blip2:Blip2Scorer", "itm", "itc"),
    "bridgetower": _scores("match_heads.bridgetower:BridgeTowerScorer", "itm", "itc"),
    "flava": _scores("match_heads.flava:FlavaScorer", "itm", "itc"),
    "clip": DUAL,
    "siglip": DUAL,
    "siglip2": DUAL,
    "align": DUAL,
    "altclip": DUAL,
    "chinese_clip": DUAL,
    "metaclip_2": DUAL,
    "open_clip": _scores("contrastive.open_clip:OpenClipScorer", "match"),
}
"""transformers' model type -> its scores. Adding a family: a file with a class, and an entry here."""
WRITES = ("ForConditionalGeneration", "ForCausalLM")
"""Endings of classes that write: a BLIP of these is no BLIP with a matching head."""
GENERATIVE: Scores = {
    "vqascore": "generative.vqascore:VQAScorer",
    "likelihood": "generative.likelihood:LikelihoodScorer",
}
TEXT_ONLY: Scores = {"plausibility": "generative.text_only:TextOnlyScorer"}
OPEN_CLIP = "open_clip"
DEEPEST = 1000
"""Layers; published models have 200 at most."""
WEIGHTS = {".pt", ".pth", ".bin", ".safetensors"}


def open_scorer(model: str, score: str | None = None, **options: Any) -> Scorer:
    """A scorer of a model.

    Args:
        model: A folder with config.json, a name on the hub (OWNER/NAME[@REVISION]), an OpenCLIP checkpoint,
            "scenes-start" (in the package), or a control: "constant", "random", "random:SEED".
        score: Which of a model's scores, where it has several; the first of `scores_of` if None.
        options: As for the family's ``from_pretrained``: device, dtype, memory, name; quick_gelu and tokenizer of an
            OpenCLIP checkpoint; template, answer, prompt and normalize of VQAScore; pool of a likelihood.

    Raises:
        FileNotFoundError: No such model.
        ValueError: A model of no family that is known here, or a score that it does not have.
    """
    control = re.fullmatch(r"(constant|random)(?::(\d+))?", model)
    if control and not Path(model).exists():
        if given := [name for name in options if name not in ("dtype", "name", "device")] + [score] * (
            score is not None
        ):
            raise ValueError(f"{given[0]} means nothing for {model}, which has no model; leave it out")
        return ConstantScorer() if control[1] == "constant" else RandomScorer(int(control[2] or 0))
    options.setdefault("name", model)
    if model == SHIPPED and not Path(model).exists():
        with shipped_model() as folder:
            return open_scorer(str(folder), score, **options)
    model = str(_here(model))
    scores = scores_of(model)
    if score is not None and score not in scores:
        raise ValueError(unknown(f"score for {model}", score, scores))
    module, name = scores[score or next(iter(scores))].split(":")
    family = getattr(importlib.import_module(f"cacr.scorers.{module}"), name)
    if list(scores.values()).count(scores[score or next(iter(scores))]) > 1:  # a class that computes several
        options["score"] = score or next(iter(scores))
    if strange := options.keys() - _takes(family):
        raise ValueError(
            f"{', '.join(sorted(strange))} means nothing for {model}, which is scored by {name}; leave it out"
        )
    return family.from_pretrained(model, **options)


def _takes(family: Any) -> set[str]:
    """The options of a family's ``from_pretrained``: its own, and where it hands others on, those of its classes."""
    own = inspect.signature(family.from_pretrained).parameters
    named = {name for name, one in own.items() if one.kind is not one.VAR_KEYWORD} - {"folder"}
    if len(named) + 1 < len(own):
        classes = [one for one in family.__mro__ if one.__module__.startswith("cacr.")]
        handed_on = {name for one in classes for name in inspect.signature(one.__init__).parameters}
        named |= handed_on - {"self", "model", "processor", "tokenizer", "kwargs"}  # read from the checkpoint
    return named


def scores_of(model: str) -> Scores:
    """The scores that a model has, by its config: name -> module and class. The first is meant where none is named.

    Raises:
        FileNotFoundError: No such model.
        ValueError: A model of no family that is known here.
    """
    kind, classes = _kind(model)
    if asks := [name for name in classes if name.endswith("ForQuestionAnswering")]:
        raise ValueError(
            f"{model} is a {asks[0]}, which answers questions by a part of its own that no score here reads; take a "
            "checkpoint with a matching head, or one that writes"
        )
    writes = any(name.endswith(WRITES) for name in classes)
    found = (None if writes else FAMILIES.get(kind)) or _of_transformers(kind) or FAMILIES.get(kind)
    if not found:
        raise ValueError(
            unknown(f"kind of model at {model}:", kind, FAMILIES)
            + " Beside these: every image-text-to-text model and causal language model of transformers. Python files "
            "that come with a model are never run"
        )
    return found


def _of_transformers(kind: str) -> Scores:
    """Scores of what transformers knows as a model that writes."""
    from transformers.models.auto import modeling_auto

    if kind in modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return GENERATIVE
    if kind in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return TEXT_ONLY
    return {}


def _kind(model: str) -> tuple[str, list[str]]:
    """The model type, and the names of the classes that the checkpoint says it was saved from."""
    path = _here(model)
    if path.is_file() and path.suffix in WEIGHTS:
        return OPEN_CLIP, []
    if path.is_dir() and _holds_open_clip(path):
        return OPEN_CLIP, []
    if (path / "adapter_config.json").is_file() and importlib.util.find_spec("peft") is None:
        raise ImportError(
            f'{path} has an adapter_config.json, which counts only with peft: pip install "cacr[trl]"'
        )
    file = path / "config.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"no config.json in {path}; expected a model folder as written by `cacr train` (RUN/model), by "
            "`cacr convert CHECKPOINT FOLDER` or by save_pretrained"
        )
    config = read_json(file, "copy the model again")
    _check_depth(config, file)
    kind = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(kind, str):
        raise ValueError(
            f"{file} names no model_type; an original checkpoint? `cacr convert` makes a model folder of those of "
            "UNITER, OSCAR and ROSITA"
        )
    named = config.get("architectures")
    return kind, [name for name in named if isinstance(name, str)] if isinstance(named, list) else []


def _check_depth(config: Any, file: Path) -> None:
    """Refuse a configuration that asks for so many layers that making them would never end."""
    parts = [config]
    while parts:
        part = parts.pop()
        for name, value in part.items() if isinstance(part, dict) else ():
            if isinstance(value, dict):
                parts.append(value)
            elif "layer" in name and isinstance(value, int) and value > DEEPEST:
                raise ValueError(f"{file}: {name} is {shortly(value)}; expected {DEEPEST} at most")


def _holds_open_clip(folder: Path) -> bool:
    """Whether a folder has weights of OpenCLIP, and none of transformers."""
    names = [file.name for file in folder.iterdir()]
    if any(name.startswith(("model", "pytorch_model")) and Path(name).suffix in WEIGHTS for name in names):
        return False
    return any(name.startswith("open_clip_") for name in names) or sum(n.endswith(".pt") for n in names) == 1


def _here(model: str) -> Path:
    """The folder or file of a model, copied from the hub where there is none of that name."""
    near = nearest(model, (SHIPPED, "constant", "random"))
    return model_here(
        model,
        "RUN/model as made by `cacr train`, a folder made by `cacr convert` or save_pretrained, a model's name on the "
        "hub, scenes-start, constant or random" + ("" if near is None else f". Did you mean {near}?"),
        pickled=True,
    )
