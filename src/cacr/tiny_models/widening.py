"""The same architectures, wider: where arithmetic outweighs Python, so that costs can be compared."""

from __future__ import annotations

import copy
from typing import Any

import torch

from cacr.tiny_models._tiny import TinyModel

WIDTHS = (
    *("hidden_size", "intermediate_size", "embed_dim", "ffn_dim", "d_model", "d_ff", "d_kv", "head_dim"),
    *(
        "projection_dim",
        "projection_size",
        "out_hidden_size",
        "encoder_hidden_size",
        "image_text_hidden_size",
    ),
    *("encoder_ffn_dim", "decoder_ffn_dim", "word_embed_proj_dim", "vision_output_dim", "resampler_head_dim"),
    *("mrope_section", "query_pre_attn_scalar"),
)
"""Config entries that are widths, or grow with them."""


def widen(tiny: TinyModel, factor: int, copies: int) -> TinyModel:
    """A model of the same class with all widths multiplied, and the batch repeated.

    Args:
        tiny: What a builder of this folder gave.
        factor: Of every width; heads and layers stay.
        copies: How often the batch is repeated.
    """
    config: Any = type(tiny.model.config).from_dict(_scaled(tiny.model.config.to_dict(), factor))
    config._attn_implementation = tiny.model.config._attn_implementation
    make: Any = type(tiny.model)
    inputs = {
        name: x if x.ndim == 0 else x.repeat(copies, *[1] * (x.ndim - 1)) for name, x in tiny.inputs.items()
    }
    return TinyModel(make(config), inputs)


def _scaled(entry: Any, factor: int) -> Any:
    if not isinstance(entry, dict):
        return copy.deepcopy(entry)
    scaled: dict[str, Any] = {}
    for name, value in entry.items():
        if name in WIDTHS and isinstance(value, int) and not isinstance(value, bool):
            scaled[name] = value * factor
        elif name in WIDTHS and isinstance(value, list):
            scaled[name] = [part * factor for part in value]
        else:
            scaled[name] = _scaled(value, factor)
    return scaled


def task_loss(out: Any) -> torch.Tensor:
    """The model's own loss, or for a class without one the mean square of what it returns."""
    if getattr(out, "loss", None) is not None:
        return out.loss
    values = [x for x in out.to_tuple() if isinstance(x, torch.Tensor) and x.is_floating_point()]
    return torch.stack([x.float().square().mean() for x in values]).sum()
