"""The CACR loss straight from queries and keys: with all blocks, or with S_VV read tile by tile in linear memory.

"blocks" keeps region x region matrices of every head: fastest where they are small. "streaming" never does
(`cacr.losses.carrying`, `cacr.losses.comparing`): the same value and gradients, memory linear in the regions, and
faster where those matrices would leave the cache.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cacr._messages import unknown
from cacr.attention import AttentionBlocks
from cacr.attention.blocks import check_query_key
from cacr.attention.cut import BLOCKS, Captured, Cutter, cut
from cacr.attention.factored import can_factor, factored
from cacr.losses.comparison import Blocks
from cacr.losses.congruence import cacr_loss
from cacr.losses.iais import iais_loss

METHODS = ("auto", "blocks", "streaming")
CROSSOVER = {"cpu": 4_000_000}
"""batch x heads x regions² from which on streaming is faster, by device."""
CROSSOVER_ELSEWHERE = 1 << 26
"""Of devices without a measured one: below this a tile would hold all of S_VV."""
READS = {"language": ("ll", "lv", "vv"), "vision": ("ll", "vl", "vv")}
"""Blocks that one direction reads, of all that there are."""
SPACE_AND_HEADS = {"release": ("probabilities", "mean"), "paper": ("scores", "each")}
"""What each variant of the loss is defined on."""


def cacr_loss_from_query_key(
    query: Tensor,
    key: Tensor,
    text_mask: Tensor,
    region_mask: Tensor,
    direction: str = "both",
    method: str = "auto",
    variant: str = "release",
    scale: float | None = None,
    space: str | None = None,
    heads: str | None = None,
    **choices: Any,
) -> Tensor:
    """`cacr_loss` of one attention layer over words and regions; gradients reach ``query`` and ``key``.

    Args:
        query: [batch, head, sequence, width], in any floating-point type; half precision is computed in float32.
        key: [batch, head, sequence, width], or fewer heads that each serve several of the queries' (GQA).
        text_mask: [batch, sequence], True where a position counts as text.
        region_mask: [batch, sequence], True where a position counts as a region.
        direction: "language", "vision" or "both" (their sum).
        method: "blocks", "streaming" (memory linear in the regions; blocks while torch.compile traces), or "auto":
            whichever is faster at this size.
        variant: "release" or "paper".
        scale: Factor of query · key; 1/√width if None.
        space: "probabilities" or "scores"; what the variant is defined on if None.
        heads: "mean" or "each"; what the variant is defined on if None.
        choices: As for `cacr_loss`.

    Returns:
        Nats; once differentiable.

    Raises:
        ValueError: As for `AttentionBlocks.from_query_key` and `cacr_loss`, or an unknown method.

    Examples:
        >>> import torch
        >>> query, key = torch.randn(2, 1, 2, 5, 8)
        >>> text = torch.tensor([[True, True, False, False, False]])
        >>> cacr_loss_from_query_key(query, key, text, ~text, method="streaming") >= 0
        tensor(True)
    """
    usual = SPACE_AND_HEADS.get(variant, SPACE_AND_HEADS["release"])  # the loss refuses an unknown variant
    given = query, key, text_mask, region_mask, scale, space or usual[0], heads or usual[1]
    return cacr_loss(_blocks(*given, method, READS.get(direction, BLOCKS)), direction, variant, **choices)


def iais_loss_from_query_key(
    query: Tensor,
    key: Tensor,
    text_mask: Tensor,
    region_mask: Tensor,
    direction: str = "both",
    method: str = "auto",
    kind: str = "singular",
    scale: float | None = None,
) -> Tensor:
    """`iais_loss` of one attention layer in nats; ``kind`` as there, the rest as in `cacr_loss_from_query_key`."""
    reads = READS.get(direction, BLOCKS) if kind == "singular" else BLOCKS
    given = query, key, text_mask, region_mask, scale, "probabilities", "mean"
    return iais_loss(_blocks(*given, method, reads), direction, kind)


def streams(call: Captured, regions: Sequence[int], space: str) -> bool:
    """Whether "auto" means streaming: S_VV of this call can be left out, and is large enough.

    Args:
        call: The attention call that S_VV comes from.
        regions: How many each example has; unknown while torch.compile traces, which keeps blocks.
        space: Of the blocks to make.
    """
    if not regions or not can_factor(call, space) or call.query is None:
        return False
    size = len(regions) * call.query.shape[1] * max(regions) ** 2
    return size >= CROSSOVER.get(call.query.device.type, CROSSOVER_ELSEWHERE)


def _blocks(
    query: Tensor,
    key: Tensor,
    text_mask: Tensor,
    region_mask: Tensor,
    scale: float | None,
    space: str,
    heads: str,
    method: str,
    reads: Sequence[str],
) -> Blocks:
    """The blocks that are read; the attention from the one modality to the other may be missing."""
    call = check_query_key(query, key, text_mask, region_mask, scale, space, heads)
    if method not in METHODS:
        raise ValueError(unknown("method", method, METHODS))
    cutter, captured = Cutter(text_mask, region_mask), dict.fromkeys(reads, call)
    if method == "auto":
        method = "streaming" if streams(call, cutter.lengths("v"), space) else "blocks"
    if method == "streaming" and not torch.compiler.is_compiling():  # tiles depend on data
        return factored(captured, text_mask, region_mask, space, heads, cutter)
    return AttentionBlocks.trusted(**cut(captured, text_mask, region_mask, space, heads, cutter))
