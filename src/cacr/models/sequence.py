"""The sequence [text | regions] that every model here runs over, with padding in both parts, and its mask."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.masking_utils import create_bidirectional_mask


def text_and_regions(
    config: Any,
    text: Tensor | None,
    regions: Tensor | None,
    attention_mask: Tensor | None,
    region_mask: Tensor | None,
    padded: bool | None = None,
) -> tuple[Tensor, Any]:
    """The embedded sequence [batch, text + region, hidden] and the mask for a BertEncoder.

    Args:
        config: The model's, which names the attention kernel.
        text: [batch, text, hidden], or None for pictures alone.
        regions: [batch, region, hidden], or None for captions alone.
        attention_mask: [batch, text], 1 where a token is real; or [batch, query, key] over the whole sequence, 1 where
            a query may see a key. All are real if None.
        region_mask: [batch, region], 1 where a region is real; all if None.
        padded: Whether the masks hold any 0. If None they are asked, which waits for the device.

    Raises:
        ValueError: Neither part is given, a mask does not fit, or a full mask meets a kernel that takes none.
    """
    parts = [part for part in (text, regions) if part is not None]
    if not parts:
        raise ValueError("neither input_ids nor region_features were given; pass one of them at least")
    x = torch.cat(parts, 1)
    if attention_mask is not None and attention_mask.ndim == 3:
        return x, _full(config, x, attention_mask)
    masks = []
    for name, part, mask in (("attention_mask", text, attention_mask), ("region_mask", regions, region_mask)):
        if part is not None:
            masks.append(_real(name, part, mask))
    real = torch.cat(masks, 1) if padded is not False else None
    skip = padded is None
    return x, create_bidirectional_mask(
        config=config, inputs_embeds=x, attention_mask=real, allow_is_bidirectional_skip=skip or real is None
    )


def text_length(input_ids: Tensor | None, inputs_embeds: Tensor | None) -> int:
    """How many positions of the sequence are text: of token ids or embeddings in their place, 0 without either."""
    text = input_ids if inputs_embeds is None else inputs_embeds
    return 0 if text is None else text.shape[1]


def _real(name: str, part: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return torch.ones(part.shape[:2], dtype=torch.long, device=part.device)
    if mask.shape != part.shape[:2]:
        raise ValueError(
            f"{name} has shape {tuple(mask.shape)}; expected {tuple(part.shape[:2])}, 1 where a position is real"
        )
    return mask.long()


def hidden(dtype: torch.dtype) -> float:
    """What a full mask adds to scores, in place of the releases' −10,000, which scores in half precision can outweigh.

    Half of the lowest number: with a score beside it it stays finite, and a row that sees nothing would be NaN else.
    """
    return torch.finfo(dtype).min / 2


def _full(config: Any, x: Tensor, mask: Tensor) -> Tensor:
    """[batch, 1, query, key], added to the scores."""
    wanted = (x.shape[0], x.shape[1], x.shape[1])
    if mask.shape != wanted:
        raise ValueError(
            f"attention_mask has shape {tuple(mask.shape)}; expected [batch, text], or {wanted} over text and regions"
        )
    if config._attn_implementation not in ("eager", "sdpa"):
        raise ValueError(
            f"attention_mask has 3 axes, which {config._attn_implementation} attention does not take; "
            'call model.set_attn_implementation("sdpa")'
        )
    return (1 - mask[:, None].to(x.dtype)) * hidden(x.dtype)
