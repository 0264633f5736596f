"""Two relation maps side by side: attention within a modality, and the other's carried over. How far apart, by row.

    soft      S_LL  against  S_LV S_VV S_LVᵀ              what CACR compares
    hard      S_LL  against  S_VV[i*, j*]                 what IAIS compares; i* = argmax_k S_LV[i, k]

Every map is normalized by rows, so that one scale fits all: a row tells how one word's attention is shared out among
the words (the losses that a model was trained with may put a softmax in its place; see docs/paper_notes.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cacr.attention import AttentionBlocks
from cacr.losses.congruence import project

DIRECTIONS = ("language", "vision")


@dataclass(frozen=True, eq=False)
class Relations:
    """Relation maps of one pair in one direction, in one layer (mean over heads or one head). Rows sum to 1.

    Divergences are symmetric KL in nats, one per row: KL(p‖q) + KL(q‖p), as in equation 4 of the paper.
    """

    own: Tensor
    """[own, own]: attention among words ("language") or among regions ("vision")."""
    soft: Tensor
    """[own, own]: the other modality's attention, carried over by all of the cross attention."""
    hard: Tensor
    """[own, own]: the same, each row looked up at its argmax."""
    best: Tensor
    """[own]: the argmax of each row of the cross attention, an index into the other modality."""
    support: Tensor
    """[own, own]: True where a word may see a word; causal models have a triangle."""

    @property
    def soft_divergence(self) -> Tensor:
        """[own]: own against soft."""
        return divergence(self.own, self.soft, self.support)

    @property
    def hard_divergence(self) -> Tensor:
        """[own]: own against hard."""
        return divergence(self.own, self.hard, self.support)

    @property
    def flatness(self) -> dict[str, Tensor]:
        """How far each map is from uniform: "own", "soft", "hard" -> [own]."""
        flat = self.support / self.support.sum(-1, keepdim=True)
        return {name: divergence(getattr(self, name), flat, self.support) for name in ("own", "soft", "hard")}


def divergence(p: Tensor, q: Tensor, support: Tensor) -> Tensor:
    """Symmetric KL of rows, in nats.

    Example:
        >>> half, sure, all_ = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.9, 0.1]]), torch.ones(1, 2) > 0
        >>> divergence(half, sure, all_)
        tensor([0.8789])
    """
    floor = torch.finfo(p.dtype).tiny
    terms = (p - q) * (p.clamp_min(floor).log() - q.clamp_min(floor).log())
    return terms.masked_fill(~support, 0.0).sum(-1)


def relations(blocks: AttentionBlocks, direction: str = "language") -> Relations:
    """The relation maps of a pair.

    Args:
        blocks: Of a batch of one without padding, mean over heads or of one head (`Attended.at`).
        direction: "language" (S_LL against the carried-over S_VV) or "vision" (its mirror).

    Raises:
        ValueError: An unknown direction, or "vision" where regions do not attend to words.
    """
    if direction not in DIRECTIONS:
        raise ValueError(f"direction is {direction!r}; expected language or vision")
    if direction == "language":
        own, other, cross, support = blocks.ll, blocks.vv, blocks.lv, blocks.ll_support
    else:
        if blocks.vl is None:
            raise ValueError(
                'no attention from regions to words (S_VL) in this model; use direction="language"'
            )
        own, other, cross, support = blocks.vv, blocks.ll, blocks.vl, blocks.vv_support
    if own.ndim != 3 or len(own) != 1:
        raise ValueError(
            f"blocks of shape {tuple(own.shape)}; expected [1, query, key]: one pair, one head or their mean"
        )
    own, other, cross = (block[0].detach().double() for block in (own, other, cross))
    seen = torch.ones_like(own, dtype=torch.bool) if support is None else support[0]
    best = cross.argmax(-1)
    return Relations(
        own=_rows(own, seen),
        soft=_rows(project(other, cross), seen),
        hard=_rows(other[best][:, best], seen),
        best=best,
        support=seen,
    )


def _rows(x: Tensor, support: Tensor) -> Tensor:
    x = x.masked_fill(~support, 0.0)
    total = x.sum(-1, keepdim=True)
    return x / total.masked_fill(total == 0, 1.0)
