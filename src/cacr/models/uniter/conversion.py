"""Original UNITER, IAIS and CACR checkpoints (a plain ``torch.save`` of the state dict) to our model.

Older names are translated (``module.``, ``gamma``/``beta``, ``bert.``), half precision becomes float32, and the
vocabulary and the width of region features are read off the weights, since some releases padded the vocabulary.

Source: github.com/ChenRocks/UNITER and github.com/lancopku/IAIS, release layouts. Nothing is unpickled.
"""

from __future__ import annotations

import json
import os
import pickle
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from cacr._messages import unknown
from cacr.models.uniter.configuration import UniterConfig
from cacr.models.uniter.modeling import (
    UniterForImageTextRetrieval,
    UniterModel,
    UniterPreTrainedModel,
)
from cacr.models.uniter.pretraining import UniterForPreTraining

HEADS: dict[str, type[UniterPreTrainedModel]] = {
    "retrieval": UniterForImageTextRetrieval,
    "pretraining": UniterForPreTraining,
    "base": UniterModel,
}

_RENAME = [
    (r"^module\.", ""),
    (r"^bert\.", ""),
    (r"^(embeddings|img_embeddings|encoder|pooler)\.", r"uniter.\1."),
    (r"\.gamma$", ".weight"),
    (r"\.beta$", ".bias"),
    (r"^uniter\.embeddings\.LayerNorm\.", "uniter.embeddings.layer_norm."),
    (r"^uniter\.img_embeddings\.LayerNorm\.", "uniter.img_embeddings.layer_norm."),
    (r"^uniter\.img_embeddings\.img_linear\.", "uniter.img_embeddings.feature_linear."),
    (r"^uniter\.img_embeddings\.img_layer_norm\.", "uniter.img_embeddings.feature_layer_norm."),
    (r"^uniter\.img_embeddings\.pos_linear\.", "uniter.img_embeddings.position_linear."),
    (r"^uniter\.img_embeddings\.pos_layer_norm\.", "uniter.img_embeddings.position_layer_norm."),
    (r"^uniter\.img_embeddings\.", "uniter.region_embeddings."),
    (r"^feat_regress\.", "region_regression."),
]
_DROP = re.compile(r"^region_regression\.weight$|position_ids$")  # a transposed tie; a buffer
_ORIGINAL_FIELDS = {"img_dim": "region_dim", "img_label_dim": "region_label_dim"}


def convert_original_checkpoint(
    checkpoint: str | os.PathLike[str],
    config: str | os.PathLike[str] | dict[str, Any] | None = None,
    head: str = "retrieval",
) -> UniterPreTrainedModel:
    """A model with the weights of an original checkpoint.

    Args:
        checkpoint: ``.pt`` or ``.safetensors`` with the original key names.
        config: The original json (path or dict). If None, sizes are read off the weights; then heads are 64 wide
            as in every released UNITER (a smaller model gets 12 heads if its width allows, else 4).
        head: "retrieval" (the ranking head starts from the match row where the checkpoint has none),
            "pretraining" or "base".

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is broken, holds no UNITER, or its shapes do not fit the configuration.
    """
    if head not in HEADS:
        raise ValueError(unknown("head", head, HEADS))
    path = Path(checkpoint)
    state = convert_state_dict(_read(path))
    settings = _settings(config) | sizes(state, path)
    if head == "base":
        state = {
            name.removeprefix("uniter."): value for name, value in state.items() if name.startswith("uniter.")
        }
    if head == "pretraining" and "cls.predictions.bias" in state:
        state["cls.predictions.decoder.bias"] = state["cls.predictions.bias"]
    if "num_attention_heads" not in settings:
        settings["num_attention_heads"] = _guess_heads(settings["hidden_size"])
    model = HEADS[head](UniterConfig(**settings))
    wanted = model.state_dict()
    wrong = [name for name in wanted if name in state and wanted[name].shape != state[name].shape]
    if wrong:
        raise ValueError(
            f"{path}: {wrong[0]} has shape {tuple(state[wrong[0]].shape)}; the configuration wants "
            f"{tuple(wanted[wrong[0]].shape)} ({len(wrong)} such tensors). Give the json that belongs to it"
        )
    missing, _ = model.load_state_dict(state, strict=False)
    rank_missing = [name for name in missing if name.startswith("rank_output.")]
    tied = set(getattr(model, "_tied_weights_keys", None) or ())
    lost = [name for name in missing if name not in tied and name not in rank_missing]
    if lost:
        raise ValueError(
            f"{path} lacks {len(lost)} tensors of a UNITER with head={head!r}, first {lost[0]}. "
            'Is it another kind of checkpoint? Known heads: "retrieval", "pretraining", "base"'
        )
    if rank_missing:
        model.init_rank_from_itm()  # type: ignore[operator]
    model.tie_weights()
    return model.eval()


def convert_state_dict(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our names for the original tensors, in float32."""
    renamed = {}
    for name, value in state.items():
        for pattern, replacement in _RENAME:
            name = re.sub(pattern, replacement, name)
        if not _DROP.search(name):
            renamed[name] = value.float() if value.is_floating_point() else value
    return renamed


def sizes(state: dict[str, Tensor], path: Path) -> dict[str, int]:
    """The sizes that the weights themselves tell."""
    needed = [
        "uniter.embeddings.word_embeddings.weight",
        "uniter.embeddings.position_embeddings.weight",
        "uniter.region_embeddings.feature_linear.weight",
        "uniter.encoder.layer.0.intermediate.dense.weight",
    ]
    absent = [name for name in needed if name not in state]
    if absent:
        raise ValueError(
            f"{path} is not a UNITER checkpoint: it has no {absent[0]} among its {len(state)} tensors. "
            "Expected the state dict of the original code, e.g. uniter-base.pt"
        )
    layers = {
        int(m.group(1)) for m in (re.match(r"uniter\.encoder\.layer\.(\d+)\.", name) for name in state) if m
    }
    found = {
        "vocab_size": state[needed[0]].shape[0],
        "hidden_size": state[needed[0]].shape[1],
        "max_position_embeddings": state[needed[1]].shape[0],
        "region_dim": state[needed[2]].shape[1],
        "intermediate_size": state[needed[3]].shape[0],
        "num_hidden_layers": max(layers) + 1,
    }
    if "region_classifier.net.3.weight" in state:
        found["region_label_dim"] = state["region_classifier.net.3.weight"].shape[0]
    return found


def _settings(config: str | os.PathLike[str] | dict[str, Any] | None) -> dict[str, Any]:
    if config is None:
        return {}
    if isinstance(config, dict):
        values = config
    else:
        try:
            values = json.loads(Path(config).read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
            raise ValueError(f"{config} is no JSON: {error}; expected the original configuration") from error
    if not isinstance(values, dict):
        raise ValueError(
            f"{config} holds {type(values).__name__}; expected the original configuration, name -> value"
        )
    known = UniterConfig.__dataclass_fields__
    renamed = {_ORIGINAL_FIELDS.get(name, name): value for name, value in values.items()}
    return {name: value for name, value in renamed.items() if name in known}


def _guess_heads(width: int) -> int:
    if width % 64 == 0:
        return width // 64
    return 12 if width % 12 == 0 and width >= 144 else 4


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}; expected a .pt or .safetensors file")
    try:
        state = (
            load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        )
    except (
        SafetensorError,
        RuntimeError,
        EOFError,
        pickle.UnpicklingError,
        OSError,
        ValueError,
        KeyError,
    ) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{path} cannot be read as a checkpoint ({first}). It may be cut off, or hold more than tensors, which "
            "is never unpickled here; download it again"
        ) from error
    if isinstance(state, dict) and isinstance(state.get("model"), dict):
        state = state["model"]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} holds {type(state).__name__}; expected a state dict, name -> tensor")
    return state
