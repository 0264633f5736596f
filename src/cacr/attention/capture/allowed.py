"""Which keys a query may see, read off the masks that attention functions are given."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

HIDDEN = -5000.0
"""An additive mask hides what it lowers by more than this: transformers uses the lowest number, BLIP −10,000."""


def allowed_by(mask: Any, batch: int, queries: int, keys: int) -> Tensor | None:
    """A mask of any kind as booleans [batch or 1, head or 1, query or 1, key]; None stays None.

    Args:
        mask: Boolean (True: may be seen), additive, a padding mask [batch, key], or flex attention's block mask.
        batch: Examples of the call.
        queries: Length of the queries.
        keys: Length of the keys.

    Raises:
        TypeError: Another kind of mask.
    """
    if mask is None:
        return None
    if hasattr(mask, "mask_mod"):
        from torch.nn.attention.flex_attention import create_mask

        return create_mask(mask.mask_mod, batch, 1, queries, keys, device=str(mask.kv_num_blocks.device))
    if not isinstance(mask, Tensor) or mask.ndim not in (2, 3, 4):
        given = f"of shape {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(
            f"the attention mask is {given}; expected [batch, key], [batch, query, key], [batch, head, query, key] "
            "or a block mask of flex attention. Give the model another attn_implementation"
        )
    if mask.ndim == 2:
        return mask.bool()[:, None, None, :] if mask.shape == (batch, keys) else _visible(mask)[None, None]
    mask = mask[:, None] if mask.ndim == 3 else mask
    seen = _visible(mask)[..., :keys]
    # transformers expands padding masks to all queries without a copy: one row says it all
    return seen[:, :, :1] if mask.stride(2) == 0 else seen


def bias_of(mask: Any) -> Tensor | None:
    """What a floating-point mask adds to the scores where it hides nothing: relative positions and the like."""
    if not isinstance(mask, Tensor) or not mask.is_floating_point():
        return None
    mask = mask.reshape((1,) * (4 - mask.ndim) + mask.shape) if mask.ndim < 3 else mask
    mask = mask[:, None] if mask.ndim == 3 else mask
    return mask.masked_fill(mask <= HIDDEN, 0.0)


def window(queries: int, keys: int, width: int, device: torch.device) -> Tensor:
    """A causal sliding window, [1, 1, query, key]: the last ``width`` keys up to a query's own position."""
    distance = torch.arange(queries, device=device)[:, None] - torch.arange(keys, device=device)[None, :]
    return ((distance >= 0) & (distance < width))[None, None]


def _visible(mask: Tensor) -> Tensor:
    return mask if mask.dtype == torch.bool else mask > HIDDEN
