"""Read a published detector: weights and configuration from a folder, a file, or the hub. Nothing is unpickled."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from cacr._hub import files_of_model
from cacr._weights import read_weights
from cacr.regions.detector.configuration import DetectorConfig

WEIGHTS = ("model.safetensors", "weights.safetensors", "pytorch_model.bin")
CONFIGS = ("config.yaml", "config.yml", "config.json")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@.+)?")


def read_original(
    checkpoint: str | os.PathLike[str], config: str | os.PathLike[str] | Mapping[str, Any] | None
) -> tuple[dict[str, Tensor], DetectorConfig, str]:
    """Tensors by their original names, the settings, and a name for messages."""
    path = Path(checkpoint)
    if not path.exists() and _HUB_NAME.fullmatch(str(checkpoint)):
        path = files_of_model(str(checkpoint), [*WEIGHTS, *CONFIGS])
    if not path.exists():
        raise FileNotFoundError(
            f"no detector at {checkpoint}; expected a folder with pytorch_model.bin and config.yaml, a file of "
            "weights, "
            'or the name "unc-nlp/frcnn-vg-finetuned" where the hub can be reached'
        )
    folder = path if path.is_dir() else path.parent
    if path.is_dir():
        found = [path / name for name in WEIGHTS if (path / name).is_file()]
        if not found:
            raise FileNotFoundError(f"no weights in {path}; expected one of {', '.join(WEIGHTS)}")
        path = found[0]
    if config is None:
        config = next((folder / name for name in CONFIGS if (folder / name).is_file()), None)
    settings = DetectorConfig() if config is None else DetectorConfig.from_original(config)
    return _tensors(path), settings, str(path)


def weight_sizes(state: Mapping[str, Tensor], where: str) -> dict[str, int]:
    """The sizes that the weights themselves tell.

    Raises:
        ValueError: A tensor that tells one is missing, or tells none.
    """

    def shape(name: str) -> tuple[int, ...]:
        if name not in state:
            raise ValueError(
                f"{where} is no bottom-up-attention detector: it has no {name} among its {len(state)} tensors. "
                "Expected the tensors of unc-nlp/frcnn-vg-finetuned"
            )
        if state[name].ndim < 2:
            raise ValueError(
                f"{where}: {name} has shape {tuple(state[name].shape)}; expected a matrix at least"
            )
        return tuple(state[name].shape)

    def blocks(prefix: str) -> int:
        return len({name.split(".")[2] for name in state if name.startswith(f"{prefix}.")})

    head = "roi_heads.box_predictor"
    return {
        "stem": shape("backbone.stem.conv1.weight")[0],
        "width": shape("backbone.res2.0.conv3.weight")[0],
        "narrow": shape("backbone.res2.0.conv1.weight")[0],
        "res2": blocks("backbone.res2"),
        "res3": blocks("backbone.res3"),
        "res4": blocks("backbone.res4"),
        "res5": blocks("roi_heads.res5"),
        "last_narrow": shape("roi_heads.res5.0.conv1.weight")[0],
        "features": shape("roi_heads.res5.0.conv3.weight")[0],
        "proposal_hidden": shape("proposal_generator.rpn_head.conv.weight")[0],
        "anchors": shape("proposal_generator.anchor_generator.cell_anchors.0")[0],
        "classes": shape(f"{head}.cls_score.weight")[0] - 1,
        "attributes": shape(f"{head}.attr_score.weight")[0] - 1,
        "embedding": shape(f"{head}.cls_embedding.weight")[1],
        "attribute_hidden": shape(f"{head}.fc_attr.weight")[0],
    }


def _tensors(path: Path) -> dict[str, Tensor]:
    state = read_weights(path)
    if isinstance(state, dict) and isinstance(state.get("model"), dict):
        state = state["model"]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} holds {type(state).__name__}; expected tensors by name")
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
