"""How far S_VV is from left · rightᵀ, without keeping either: the vision direction in memory linear in the regions.

A tile is a few rows, all columns: rows are whole, so that softmaxes over them need no running maximum. Its gradient is
made while it is there, going forward; going backward only scales it. Arithmetic: three products of region x region x
width per head (scores, gradients of queries and keys), and a divergence of the mean over heads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cacr.attention import full_precision
from cacr.attention.factored import FactoredAttention
from cacr.losses.divergence import Divergence
from cacr.losses.tiles import Rows, Tile, Tiles, pieces

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
        ctx.early = learns and given[-1] is None
        ctx.attention, ctx.against = attention, against
        one = _Pass(attention, against, given, ctx.needs_input_grad[3:] if ctx.early else None)
        one.run()
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
        self.tiles = Tiles(attention, query, key)
        self.loss = query.new_zeros(())
        self.carried = None if self.value is None or self.learns else torch.zeros_like(self.value)
        self.gradients = [
            torch.zeros_like(one) if one is not None and yes else None
            for one, yes in zip(given, needs or [False] * len(given), strict=True)
        ]

    def run(self) -> None:
        """Row of tiles by row of tiles."""
        for examples, rows in self._rows():
            columns = slice(0, self.attention.columns(examples.start, rows))
            entries = (rows.stop - rows.start) * columns.stop
            some = [self.tiles.rows(examples, one, rows) for one in self.tiles.groups(entries, ELEMENTS)]
            if self.attention.per_head:
                for one in some:
                    tile = self._tile(one, columns, "tile")
                    upstream = self._use(tile.values, (examples, self.tiles.heads(one.groups)), rows, columns)
                    self._back(tile, upstream)
            else:
                self._mean(some, columns)

    def _mean(self, some: list[Rows], columns: slice) -> None:
        """Rows whose heads are averaged before they are compared; all heads are kept until then."""
        examples, rows, heads = some[0].examples, some[0].rows, self.tiles.query.shape[1]
        shape = tuple(one.stop - one.start for one in (examples, rows, columns))
        own, kept = self.tiles.room("own", *shape).zero_(), []
        for number, one in enumerate(some):
            tile = self._tile(one, columns, f"tile {number}" if self.learns else "tile")
            for head in tile.values.unbind(1):
                own += head
            kept.append(tile)
        upstream = self._use(own.div_(heads), (examples,), rows, columns)
        if upstream is not None:
            upstream = upstream[:, None].div_(heads)
        for tile in kept:
            self._back(tile, upstream)

    def _rows(self) -> Iterator[tuple[slice, slice]]:
        tiles = self.tiles
        for examples in tiles.examples():
            length = self.attention.lengths[examples.start]
            step = tiles.rows_on_device(examples)
            if tiles.on_cpu:
                step = max(1, ROWS // tiles.group, ELEMENTS // (length * tiles.group))
            for rows in pieces(length, step):
                yield examples, rows

    def _tile(self, rows: Rows, columns: slice, room: str) -> Tile:
        tile = self.tiles.make(rows, columns, room)
        if self.attention.space == "probabilities":
            if tile.hidden is not None:
                tile.values.masked_fill_(tile.hidden, torch.finfo(tile.values.dtype).min)
            torch.softmax(tile.values, -1, out=tile.values)
            if tile.hidden is not None:
                tile.values.masked_fill_(tile.hidden, 0.0)
        return tile

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
        weight = 1 / len(attention.lengths) / (self.tiles.query.shape[1] if attention.per_head else 1)
        if self.against.rows == "mean":
            weight /= attention.lengths[first]
        count, right = rows.stop - rows.start, self.right[there]
        step = max(1, COMPARED // (columns.stop * own[..., 0, 0].numel())) if self.tiles.on_cpu else count
        d_left, d_right = self.gradients[2:4]
        through = d_left is not None or d_right is not None
        upstream = self.tiles.room("gradient", *own.shape) if self.learns else None
        for some in pieces(count, step):
            absolute = slice(rows.start + some.start, rows.start + some.stop)
            here = (*at, absolute)
            seen = attention.seen(first, absolute, columns)
            with torch.set_grad_enabled(self.learns):
                part = own[..., some, :].detach().requires_grad_(self.learns)
                projected = (self.left[here] @ right.mT).detach().requires_grad_(through)
                loss = self.against.divergence(part, projected, seen).sum() * weight
            self.loss += loss.detach()
            if upstream is None:
                continue
            made = torch.autograd.grad(loss, (part, projected) if through else (part,), self.d_loss)
            upstream[..., some, :] = made[0]
            if d_left is not None:
                d_left[here] = made[1] @ right
            if d_right is not None:
                d_right[there] += made[1].mT @ self.left[here]
        return upstream

    def _back(self, tile: Tile, upstream: Tensor | None) -> None:
        if upstream is None:
            return
        if self.attention.space == "probabilities":
            attention = tile.values
            if upstream.shape != attention.shape:
                upstream = self.tiles.room("upstream", *attention.shape).copy_(upstream)
            scores = self.tiles.room("scores", *attention.shape)
            backward = torch.ops.aten._softmax_backward_data.out
            backward(upstream, attention, -1, attention.dtype, grad_input=scores)
        else:
            scores = upstream if tile.hidden is None else upstream.masked_fill(tile.hidden, 0.0)
        self.tiles.back(tile, scores, *self.gradients[:2])
