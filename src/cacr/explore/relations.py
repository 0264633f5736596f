"""Two relation maps side by side: attention within a modality, and the other's carried over. How far apart, by row.

    soft      S_LL  against  S_LV S_VV S_LVᵀ              what CACR compares
    hard      S_LL  against  S_VV[i*, j*]                 what IAIS compares; i* = argmax_k S_LV[i, k]

Every map is normalized by rows, so that one scale fits all: a row tells how one word's attention is shared out among
the words (the losses that a model was trained with may put a softmax in its place; see docs/paper_notes.md).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import torch
from torch import Tensor

from cacr.attention import AttentionBlocks
from cacr.losses.congruence import project

DIRECTIONS = ("language", "vision")
Maps = tuple[Tensor, Tensor, Tensor, Tensor]
"""own, other, cross and support of a direction, each with a leading axis of heads."""


@dataclass(frozen=True, eq=False)
class Relations:
    """Relation maps of one pair in one direction: of one head or the mean over heads, or of several along a first axis.

    Rows sum to 1. Divergences are symmetric KL in nats, one per row: KL(p‖q) + KL(q‖p), as in equation 4 of the paper;
    they are worked out once, when they are first asked for.
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
    projected: Tensor
    """[own, own]: what ``soft`` is made of: S_LV S_VV S_LVᵀ, not normalized."""
    looked_up: Tensor
    """[own, own]: what ``hard`` is made of: S_VV[i*, j*], not normalized."""

    @cached_property
    def soft_divergence(self) -> Tensor:
        """[own]: own against soft."""
        return divergence(self.own, self.soft, self.support)

    @cached_property
    def hard_divergence(self) -> Tensor:
        """[own]: own against hard."""
        return divergence(self.own, self.hard, self.support)

    @cached_property
    def uniform(self) -> Tensor:
        """[own, own]: attention that is shared out evenly."""
        return self.support / self.support.sum(-1, keepdim=True)

    @cached_property
    def flatness(self) -> dict[str, Tensor]:
        """How far each map is from uniform: "own", "soft", "hard" -> [own]."""
        flat = self.uniform
        return {name: divergence(getattr(self, name), flat, self.support) for name in ("own", "soft", "hard")}


def divergence(p: Tensor, q: Tensor, support: Tensor) -> Tensor:
    """Symmetric KL of rows, in nats.

    Examples:
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
    maps = sides(blocks, direction)
    if blocks.per_head or len(blocks) != 1:
        raise ValueError(
            f"blocks of shape {tuple(blocks.ll.shape)}; expected [1, query, key]: one pair, one head or their mean"
        )
    found = related(*maps)
    return Relations(**{one.name: getattr(found, one.name)[0] for one in fields(found)})


def sides(blocks: AttentionBlocks, direction: str) -> Maps:
    """What is compared in a direction, in float64 on the CPU: own, other, cross, and which of own may see which.

    Args:
        blocks: Of a batch of one without padding; without an axis of heads they count as one head.
        direction: "language" or "vision".

    Returns:
        [head, own, own], [head, other, other], [head, own, other] and bool [head, own, own].

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
    own, other, cross = (
        (one[0] if blocks.per_head else one).detach().double().cpu() for one in (own, other, cross)
    )
    seen = torch.ones(own.shape[-2:], dtype=torch.bool) if support is None else support[0].cpu()
    return own, other, cross, seen.expand_as(own)


def related(own: Tensor, other: Tensor, cross: Tensor, support: Tensor) -> Relations:
    """The relation maps of several heads at once, along the first axis of all that is given; see `sides`."""
    projected, found = project(other, cross), looked_up(other, cross)
    return Relations(
        own=by_rows(own, support),
        soft=by_rows(projected, support),
        hard=by_rows(found, support),
        best=cross.argmax(-1),
        support=support,
        projected=projected,
        looked_up=found,
    )


def looked_up(other: Tensor, cross: Tensor) -> Tensor:
    """S_VV[i*, j*] of each head, not normalized: [head, own, own]."""
    best = cross.argmax(-1)
    rows = other.gather(1, best[:, :, None].expand(*best.shape, other.shape[-1]))
    return rows.gather(2, best[:, None, :].expand(len(best), best.shape[1], best.shape[1]))


def by_rows(x: Tensor, support: Tensor) -> Tensor:
    """Each row divided by its sum over what it may see; a row of zeros stays."""
    x = x.masked_fill(~support, 0.0)
    total = x.sum(-1, keepdim=True)
    return x / total.masked_fill(total == 0, 1.0)
