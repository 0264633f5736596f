"""What every attention loss shares: the symmetric KL of the paper's equation 4, rows of logits, the two directions."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cacr._messages import unknown
from cacr.attention import AttentionBlocks, full_precision

DIRECTIONS = ("both", "language", "vision")

Side = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor | None], Tensor]
"""A loss of one direction: (own, other, cross, own_mask, support) -> one value per example (and head)."""


def symmetric_kl(
    log_p: Float[Tensor, "*batch row column"],
    log_q: Float[Tensor, "*batch row column"],
    mask: Bool[Tensor, "*#batch row"],
    rows: str = "mean",
    support: Bool[Tensor, "*#batch row row"] | None = None,
) -> Float[Tensor, "*batch"]:
    """KL(p‖q) + KL(q‖p) in nats, row by row, pooled over the real rows of each example.

    Args:
        log_p: Log probabilities; rows sum to one over their real columns.
        log_q: The same, to compare with.
        mask: True where a row (and the column of the same index) counts.
        rows: "mean" or "sum" over an example's real rows.
        support: True where a row's distribution is defined (causal models: a triangle); None: every real column.

    Example:
        >>> half, sure = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.9, 0.1]]).log()
        >>> symmetric_kl(half.expand(2, 2), sure.expand(2, 2), torch.ones(2, dtype=torch.bool))
        tensor(0.8789)

    Source: arXiv:2212.10549, equation 4.
    """
    return pool_rows((log_p.exp() - log_q.exp()) * (log_p - log_q), mask, rows, support)


def pool_rows(
    terms: Float[Tensor, "*batch row column"],
    mask: Bool[Tensor, "*#batch row"],
    rows: str = "mean",
    support: Bool[Tensor, "*#batch row row"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Sum over the columns that count, then mean or sum over real rows."""
    per_row = terms.masked_fill(~pairs(mask, support), 0.0).sum(-1)
    return per_row.sum(-1) if rows == "sum" else per_row.sum(-1) / mask.sum(-1)


def pairs(mask: Bool[Tensor, "*#batch own"], support: Bool[Tensor, "*#batch own own"] | None) -> Tensor:
    """True where both ends are real and the model lets the one see the other."""
    both = mask[..., :, None] & mask[..., None, :]
    return both if support is None else both & support


def log_softmax(
    scores: Float[Tensor, "*batch own own"],
    mask: Bool[Tensor, "*#batch own"],
    support: Bool[Tensor, "*#batch own own"] | None = None,
) -> Tensor:
    """Log softmax over the columns of each row that count."""
    counts = mask[..., None, :] if support is None else pairs(mask, support)
    return scores.masked_fill(~counts, torch.finfo(scores.dtype).min).log_softmax(-1)


def log_rows(probabilities: Float[Tensor, "*batch own own"]) -> Tensor:
    """Log of probabilities, with zeros (padding) kept finite."""
    return probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log()


def needs_probabilities(blocks: AttentionBlocks, what: str) -> None:
    """Refuse blocks of scores for a loss that is defined on probabilities."""
    if blocks.space != "probabilities":
        raise ValueError(
            f'{what} needs probabilities and the blocks hold {blocks.space}; make them with space="probabilities"'
        )


def over_directions(blocks: AttentionBlocks, direction: str, side: Side) -> Float[Tensor, ""]:
    """Mean over examples (and heads) of ``side`` in one direction, or the sum of both (equation 6).

    Raises:
        ValueError: An unknown direction, or one that needs S_VL where the model has none.
    """
    if direction not in DIRECTIONS:
        raise ValueError(unknown("direction", direction, DIRECTIONS))
    if blocks.vl is None and direction != "language":
        raise ValueError(
            f"direction={direction!r} needs the attention from regions to words (S_VL), and these blocks have "
            'none (vl=None: a causal model). Use direction="language"'
        )
    over_heads: Callable[[Tensor | None], Any] = lambda x: (
        x[:, None] if blocks.per_head and x is not None else x
    )
    text = over_heads(blocks.text_mask), over_heads(blocks.ll_support)
    regions = over_heads(blocks.region_mask), over_heads(blocks.vv_support)
    with full_precision(blocks.ll.device):
        total = blocks.ll.new_zeros(())
        if direction != "vision":
            total = total + side(blocks.ll, blocks.vv, blocks.lv, *text).mean()
        if direction != "language" and blocks.vl is not None:
            total = total + side(blocks.vv, blocks.ll, blocks.vl, *regions).mean()
        return total
