"""How far S_VV is from left · rightᵀ, without keeping either: the vision direction in memory linear in the regions.

A tile is a few rows, all columns: rows are whole, so that softmaxes over them need no running maximum. Its gradient is
made while it is there, going forward; going backward only scales it. Arithmetic: three products of region x region x
width per head (scores, gradients of queries and keys), and a divergence of the mean over heads.

With a value the same tiles are multiplied with it as well, for the language direction. That gradient needs all rows of
the result, so the tiles are made once more going backward: four products instead of the seven of two passes apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cacr.attention import full_precision
from cacr.attention.factored import FactoredAttention
from cacr.losses.divergence import Divergence, rows_and_gradients
from cacr.losses.tiles import Rooms, Unit, on_cpu, pieces, rows_on_device, together, zeros_for

ROWS = 96
"""Rows of a tile on a CPU, at least: products with fewer are slow."""
ELEMENTS = 160_000
"""Entries of a tile of one head on a CPU, about."""
COMPARED = 80_000
"""Entries whose divergence is worked out at a time on a CPU: it makes a dozen copies."""


@dataclass(frozen=True)
class Against:
    """What S_VV is compared with, left · rightᵀ, and how."""

    left: Tensor
    """[batch, (head,) region, any]; padding is not read."""
    right: Tensor
    """The same."""
    divergence: Divergence
    """Rows of S_VV and of the product -> one value each."""
    rows: str = "mean"
    """"mean" or "sum" over the rows of an example."""


def compare(
    attention: FactoredAttention, against: Against, value: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """The divergence of S_VV from a product; and, with a value, S_VV · value as well.

    Args:
        attention: S_VV as queries and keys.
        against: What to compare with.
        value: [batch, (head,) region, any], or None.

    Returns:
        Mean over examples (and heads) of the divergence pooled over rows, a scalar in nats; and [batch, (head,)
        region, any] with 0 at padding, or None. Once differentiable.
    """
    given = attention.query, attention.key, against.left, against.right, value
    learns = torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in given)
    with full_precision(attention.query.device):
        return _Compare.apply(attention, against, learns, *given)


class _Compare(torch.autograd.Function):
    """(loss, carried). Without a value the gradient is made going forward, else going backward."""

    @staticmethod
    def forward(
        ctx: Any, attention: FactoredAttention, against: Against, learns: bool, *given: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        assert given[0] is not None
        ctx.early = learns and given[-1] is None
        one = _Pass(attention, against, given, ctx.needs_input_grad[3:] if ctx.early else None)
        one.run()
        if not ctx.early:
            nothing = given[0].new_empty(0)
            ctx.attention = attention.without_values()
            ctx.against = replace(against, left=nothing, right=nothing)
        ctx.save_for_backward(*(one.gradients if ctx.early else given))
        return one.loss, one.carried

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_loss: Tensor, d_carried: Tensor | None) -> tuple[Tensor | None, ...]:
        if ctx.early:
            return None, None, None, *(None if one is None else one * d_loss for one in ctx.saved_tensors)
        with full_precision(d_loss.device):
            one = _Pass(
                ctx.attention, ctx.against, ctx.saved_tensors, ctx.needs_input_grad[3:], d_loss, d_carried
            )
            one.run()
        return None, None, None, *one.gradients


class _Pass:
    """All rows of S_VV once: without gradients if ``needs`` is None, else with those that are needed."""

    def __init__(
        self,
        attention: FactoredAttention,
        against: Against,
        given: Sequence[Tensor | None],
        needs: Sequence[bool] | None,
        d_loss: Tensor | None = None,
        d_carried: Tensor | None = None,
    ):
        query, key, left, right, self.value = given
        assert query is not None and key is not None and left is not None and right is not None
        self.left, self.right = left, right
        self.attention, self.against = attention, against
        self.learns, self.d_loss, self.d_carried = needs is not None, d_loss, d_carried
        self.query, self.key, self.room = query, key, Rooms(query)
        self.loss = query.new_zeros(())
        self.carried = None if self.value is None or self.learns else torch.zeros_like(self.value)
        self.gradients = zeros_for(given, needs or [False] * len(given))

    def run(self) -> None:
        """Row of tiles by row of tiles."""
        for examples, groups in together(self.attention):
            units = [
                Unit(self.attention, self.query, self.key, examples, some, *self.gradients[:2])
                for some in groups
            ]
            for rows in self._rows(examples, units[0].group):
                columns = slice(0, self.attention.columns(examples.start, rows))
                if self.attention.per_head:
                    for unit in units:
                        tile = _Tile(unit, rows, columns, self.room, "tile")
                        own = tile.attention.view(-1, unit.heads.stop - unit.heads.start, *tile.size)
                        upstream = self._use(own, (examples, unit.heads), rows, columns)
                        if upstream is not None:
                            tile.back(upstream, self.room)
                else:
                    self._mean(units, rows, columns)

    def _mean(self, units: list[Unit], rows: slice, columns: slice) -> None:
        """Rows whose heads are averaged before they are compared; all heads are kept until then."""
        examples, kept = units[0].examples, []
        count = examples.stop - examples.start
        own = self.room("own", count, rows.stop - rows.start, columns.stop).zero_()
        for number, unit in enumerate(units):
            tile = _Tile(unit, rows, columns, self.room, f"tile {number}" if self.learns else "tile")
            if unit.alone:
                own[0].add_(tile.attention)
            else:
                own.add_(tile.attention.view(count, -1, *tile.size).sum(1))
            if self.learns:
                kept.append(tile)
        heads = self.query.shape[1]
        upstream = self._use(own.div_(heads), (examples,), rows, columns)
        if upstream is not None:
            upstream = upstream.div_(heads)[:, None]
            for tile in kept:
                tile.back(upstream, self.room)

    def _rows(self, examples: slice, group: int) -> Iterator[slice]:
        length = self.attention.lengths[examples.start]
        if not on_cpu(self.attention):
            return pieces(length, rows_on_device(self.attention, examples))
        return pieces(length, max(1, ROWS // group, ELEMENTS // (length * group)))

    def _use(self, own: Tensor, at: tuple[slice, ...], rows: slice, columns: slice) -> Tensor | None:
        """Compare these rows of S_VV, and carry with them; if learning, the gradient with respect to them."""
        here, there = (*at, rows), (*at, columns)
        if self.carried is not None:
            assert self.value is not None
            self.carried[here] = own @ self.value[there]
        upstream = self._compared(own, at, rows, columns)
        if upstream is not None and self.value is not None and self.d_carried is not None:
            came, d_value = self.d_carried[here], self.gradients[4]
            upstream += came @ self.value[there].mT
            if d_value is not None:
                d_value[there] += own.mT @ came
        return upstream

    def _compared(self, own: Tensor, at: tuple[slice, ...], rows: slice, columns: slice) -> Tensor | None:
        """Add to the loss and to the gradients of left and right; the gradient with respect to own attention."""
        attention, first, there = self.attention, at[0].start, (*at, columns)
        weight = 1 / len(attention.lengths) / (self.query.shape[1] if attention.per_head else 1)
        if self.against.rows == "mean":
            weight /= attention.lengths[first]
        count, right = rows.stop - rows.start, self.right[there]
        step = max(1, COMPARED // (columns.stop * own[..., 0, 0].numel())) if on_cpu(attention) else count
        d_left, d_right = self.gradients[2:4]
        through = d_left is not None or d_right is not None
        needs = self.learns, self.learns and through
        upstream = self.room("gradient", *own.shape) if self.learns else None
        factor = weight if self.d_loss is None else self.d_loss * weight
        for some in pieces(count, step):
            absolute = slice(rows.start + some.start, rows.start + some.stop)
            here = (*at, absolute)
            seen, left = attention.seen(first, absolute, columns), self.left[here]
            part = own[..., some, :]
            values, d_own, d_projected = rows_and_gradients(
                self.against.divergence, part, left @ right.mT, seen, needs
            )
            self.loss.add_(values.sum(), alpha=weight)
            if upstream is not None and d_own is not None:
                torch.mul(d_own, factor, out=upstream[..., some, :])
            if d_projected is not None:
                d_projected.mul_(factor)
                if d_left is not None:
                    d_left[here] = d_projected @ right
                if d_right is not None:
                    d_right[there] += d_projected.mT @ left
        return upstream


class _Tile:
    """Attention of some rows, all columns wide, and the way back to queries and keys."""

    def __init__(self, unit: Unit, rows: slice, columns: slice, room: Rooms, name: str):
        self.unit, self.rows, self.columns = unit, rows, columns
        self.size = rows.stop - rows.start, columns.stop
        self.query = unit.queries(rows)
        tile, self.slope = unit.scores(self.query, columns, room(name, *self.query.shape[:-1], columns.stop))
        if unit.attention.space == "probabilities":
            unit.hide(tile, rows, columns, torch.finfo(tile.dtype).min)
            torch.softmax(tile, -1, out=tile)
        unit.hide(tile, rows, columns, 0.0)
        self.attention = tile
        """[(example · group,) head of the group · row, column]."""

    def back(self, upstream: Tensor, room: Rooms) -> None:
        """Gradients, from that of the attention: [example, head or 1, row, column]."""
        unit, tile = self.unit, self.attention
        if upstream.numel() < tile.numel():  # the same for all heads
            shape = len(upstream), tile.numel() // upstream.numel(), *self.size
            upstream = room("upstream", *shape).copy_(upstream)
        upstream = upstream.view(tile.shape)
        if unit.attention.space == "probabilities":
            scores = room("scores", *tile.shape)
            backward = torch.ops.aten._softmax_backward_data.out
            backward(upstream, tile, -1, tile.dtype, grad_input=scores)
        else:
            scores = upstream
            unit.hide(scores, self.rows, self.columns, 0.0)
        unit.back(
            scores if self.slope is None else scores.mul_(self.slope), self.query, self.rows, self.columns
        )
