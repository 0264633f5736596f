"""What attention losses have in common: own attention, row by row, against what the other modality makes of it.

    language   S_LL  against  left · rightᵀ      left, right: [text, ·], made of the other blocks
    vision     S_VV  against  left · rightᵀ      left, right: [region, ·]

CACR: left = C, rightᵀ = S_VV · Cᵀ with C = S_LV; IAIS: the same with C the argmax of S_LV; the flat control: 0. Since
``right`` has no more columns than the other modality has tokens, S_VV may be read tile by tile: compared with a product
of two thin matrices (`cacr.losses.comparing`), or multiplied with one (`cacr.losses.carrying`).
"""

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cacr._messages import unknown
from cacr.attention import AttentionBlocks, full_precision
from cacr.attention.factored import FactoredBlocks
from cacr.attention.precision import product
from cacr.losses.carrying import carry, rows_of
from cacr.losses.comparing import Against, compare
from cacr.losses.divergence import Divergence, pairs, pool_rows

DIRECTIONS = ("both", "language", "vision")
FADES = 100
"""Regions beyond which it is said, once, that the vision loss of the release's reading fades."""
Blocks = AttentionBlocks | FactoredBlocks
logger = logging.getLogger(__name__)
_SAID: list[str] = []
Factors = tuple[Tensor, Tensor]
"""``left`` and ``right`` [.., own, ·]: own attention is compared with left · rightᵀ."""


@dataclass(frozen=True)
class Comparison(ABC):
    """A loss of this family: what own attention is compared with, and how."""

    divergence: Divergence
    """(own, projected, pairs) -> one value a row."""
    rows: str = "mean"
    """"mean" or "sum" over the rows of an example."""
    on_scores: Divergence | None = None
    """The same where blocks hold scores; None: they are refused."""
    name: str = "this loss"
    """What refuses them."""

    @abstractmethod
    def factors(self, other: Tensor | None, cross: Tensor, back: Tensor | None, mask: Tensor) -> Factors:
        """What own attention is compared with.

        Args:
            other: [.., other, other], the other modality's attention; None for those that do not read it.
            cross: [.., own, other], from own queries to the other modality's keys.
            back: [.., other, own], the reverse; None where a model has none.
            mask: [.., own], True where a row counts.
        """


@dataclass(frozen=True)
class Carried(Comparison):
    """Compared with the other modality's attention, carried over: C · other · Cᵀ."""

    carrier: Callable[[Tensor], Tensor] = Tensor.detach
    """Cross attention -> C."""
    centered: bool = False
    """The divergence does not see constants of a row (a softmax follows): they are taken off before they are large."""
    fades: bool = False
    """A softmax over probabilities of about one in N: in the vision direction the loss falls with the square of N."""
    hard: bool = False
    """C has a single 1 a row: it reads few rows of the other modality's attention."""

    def ends(self, cross: Tensor, mask: Tensor) -> Factors:
        """C twice, [.., own, other]: what stands on the left, and what stands on the right, of the product."""
        left = self.carrier(cross)
        if not self.centered:
            return left, left
        real = mask[..., None]
        mean = left.masked_fill(~real, 0.0).sum(-2, keepdim=True) / real.sum(-2, keepdim=True)
        return left, (left - mean).masked_fill(~real, 0.0)

    def factors(self, other: Tensor | None, cross: Tensor, back: Tensor | None, mask: Tensor) -> Factors:
        """As in `Comparison`."""
        assert other is not None
        left, right = self.ends(cross, mask)
        return left, product(other, right.mT).mT


def compared(blocks: Blocks, comparison: Comparison, direction: str) -> Tensor:
    """The loss of one direction, or the sum of both (equation 6), averaged over examples and heads: a scalar.

    Raises:
        ValueError: An unknown direction, one that needs S_VL where the model has none, blocks of scores for a loss
            on probabilities, or a loss that is not finite.
    """
    if direction not in DIRECTIONS:
        raise ValueError(unknown("direction", direction, DIRECTIONS))
    parts = by_direction(blocks, comparison, ("language", "vision") if direction == "both" else (direction,))
    loss = parts[0] + parts[1] if len(parts) > 1 else parts[0]
    if not torch.compiler.is_compiling() and not math.isfinite(loss.item()):
        raise ValueError(
            f"the loss is {loss.item()} in {loss.dtype}: the attention of the layer holds values that are "
            "not finite, or scores so large that products of them are not. Scale queries and keys, or give float64"
        )
    return loss


def by_direction(blocks: Blocks, comparison: Comparison, directions: Sequence[str]) -> list[Tensor]:
    """The loss of each of these directions, "language" or "vision"; both read S_VV once, where it is factored.

    What is not finite is passed on: whoever trains decides whether to stop or to skip a step.
    """
    if blocks.vl is None and "vision" in directions:
        asked = "both" if len(directions) > 1 else "vision"
        raise ValueError(
            f"direction={asked!r} needs the attention from regions to words (S_VL), and these blocks have "
            'none (vl=None: a causal model). Use direction="language"'
        )
    if blocks.space != "probabilities":
        if comparison.on_scores is None:
            raise ValueError(
                f"{comparison.name} needs probabilities and the blocks hold {blocks.space}; make them with "
                'space="probabilities"'
            )
        comparison = replace(comparison, divergence=comparison.on_scores)
    elif isinstance(comparison, Carried) and comparison.fades and "vision" in directions:
        _say_that_it_fades(blocks.region_mask.shape[1])
    with full_precision(blocks.ll.device):
        if isinstance(blocks, FactoredBlocks):
            return _streamed(blocks, comparison, directions)
        return [_whole(blocks, comparison, direction) for direction in directions]


def _say_that_it_fades(regions: int) -> None:
    if regions <= FADES or torch.compiler.is_compiling() or _SAID:
        return
    _SAID.append("the vision loss fades")
    logger.warning(
        "the vision loss of CACR as released, a softmax over attention probabilities, fades with the square of the "
        "number of regions: of random attention it is 1e-4 nats at 36 regions, 5e-8 at 2,304, and here are %d. Use "
        'normalize="rows" (loss="cacr-rows"), which does not, or a larger weight',
        regions,
    )


def _whole(blocks: AttentionBlocks, comparison: Comparison, direction: str) -> Tensor:
    text, regions = _masks(blocks)
    if direction == "language":
        own, other, cross, back = blocks.ll, blocks.vv, blocks.lv, blocks.vl
        mask, support = text, blocks.ll_support
    else:
        assert blocks.vl is not None
        own, other, cross, back = blocks.vv, blocks.ll, blocks.vl, blocks.lv
        mask, support = regions, blocks.vv_support
    return closed(own, other, cross, comparison, mask, _over_heads(blocks, support), back).mean()


def closed(
    own: Tensor,
    other: Tensor,
    cross: Tensor,
    comparison: Comparison,
    mask: Tensor,
    support: Tensor | None = None,
    back: Tensor | None = None,
) -> Tensor:
    """One direction in closed form: one value per example (and head)."""
    return _pooled(own, comparison.factors(other, cross, back, mask), comparison, mask, support)


def _pooled(
    own: Tensor, factors: Factors, comparison: Comparison, mask: Tensor, support: Tensor | None
) -> Tensor:
    left, right = factors
    alone = support is None and _known_full(mask)
    rows = comparison.divergence(own, product(left, right.mT), None if alone else pairs(mask, support))
    return pool_rows(rows, mask, comparison.rows)


def _streamed(blocks: FactoredBlocks, comparison: Comparison, directions: Sequence[str]) -> list[Tensor]:
    (text, regions), found = _masks(blocks), {}
    ends = value = carried = None
    if isinstance(comparison, Carried) and "language" in directions:
        assert blocks.lv is not None
        ends = comparison.ends(blocks.lv, text)
        value = None if comparison.hard else ends[1].mT
    if "vision" in directions:
        assert blocks.vl is not None
        left, right = comparison.factors(blocks.ll, blocks.vl, blocks.lv, regions)
        against = Against(left, right, comparison.divergence, comparison.rows)
        found["vision"], carried = compare(blocks.regions, against, value)
    elif value is not None:
        carried = carry(blocks.regions, value)
    if "language" in directions:
        if ends is None:
            assert blocks.lv is not None
            factors = comparison.factors(None, blocks.lv, blocks.vl, text)
        elif carried is None:  # few rows of S_VV are enough
            factors = rows_of(blocks.regions, ends[0].argmax(-1)), ends[1]
        else:
            factors = ends[0], carried.mT
        support = _over_heads(blocks, blocks.ll_support)
        found["language"] = _pooled(blocks.ll, factors, comparison, text, support).mean()
    return [found[direction] for direction in directions]


def _masks(blocks: Blocks) -> tuple[Tensor, Tensor]:
    """Of text and regions, with an axis of heads where the blocks have one."""
    text, regions = blocks.text_mask, blocks.region_mask
    return (text[:, None], regions[:, None]) if blocks.per_head else (text, regions)


def _known_full(mask: Tensor) -> bool:
    """Whether a mask is True everywhere; False where that would stop a device or a compiler to find out."""
    return not torch.compiler.is_compiling() and mask.device.type == "cpu" and bool(mask.all())


def _over_heads(blocks: Blocks, support: Tensor | None) -> Tensor | None:
    return support[:, None] if blocks.per_head and support is not None else support
