"""A detector by the name a person gives: a checkpoint of bottom-up attention, "random", or one of transformers'."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch

from cacr._hub import files_of_model
from cacr.regions.detector.bottom_up import BottomUpDetector
from cacr.regions.detector.stand_in import TransformersDetector

MOST = 36
"""Regions of a detector of transformers', where none is said."""


def open_detector(
    name: str, config: Path | None = None, least: int | None = None, most: int | None = None
) -> BottomUpDetector | TransformersDetector:
    """A detector with its weights.

    Args:
        name: A folder, a file or a name on the hub; "random" for random weights of the full size.
        config: The checkpoint's configuration, if it does not lie beside it.
        least: Regions wanted at least; the checkpoint's own if None.
        most: Most regions per picture; the checkpoint's own if None.

    Raises:
        FileNotFoundError: No such checkpoint.
        ValueError: Options that mean nothing for this detector.
    """
    if _of_transformers(name):
        if config is not None or least is not None:
            raise ValueError(
                f"{name} is a model of transformers, for which --detector-config and --min-regions mean nothing; leave "
                "them out"
            )
        return TransformersDetector.from_pretrained(name, MOST if most is None else most)
    if name == "random":
        torch.manual_seed(0)
        model = BottomUpDetector.new()
    else:
        model = BottomUpDetector.from_original(name, config)
    known = model.config
    if most is None:
        most = known.max_regions if least is None else max(known.max_regions, least)
    least = min(known.min_regions, most) if least is None else least
    model.config = replace(known, min_regions=least, max_regions=most)
    return model


def _of_transformers(name: str) -> bool:
    """Whether a folder, or a repository of the hub, has a config.json of transformers."""
    try:
        local = Path(name).exists() or "/" not in name
        folder = Path(name) if local else files_of_model(name, ["config.json"])
        return "model_type" in json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
