"""S_VV in tiles that are made from queries and keys, used, and dropped: what `carrying` and `comparing` share.

A tile holds some rows and columns of one group of heads (those that share a key) of one example: [head of the group ·
row, column], a plain matrix. On a CPU it is as large as its caches like. Elsewhere launches must not dominate: all
heads of several examples make one tile, with an axis in front, of tens of millions of entries.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from cacr.attention.factored import FactoredAttention

DEVICE_ELEMENTS = 1 << 26
"""Entries of a tile on other devices than a CPU. Not measured."""


class Unit:
    """Heads that are worked on together: one group of one example, or on a GPU all of several examples.

    Args:
        attention: S_VV as queries and keys.
        query: [batch, head, region, width], its queries.
        key: [batch, group, region, width], its keys.
        examples: Which examples; all of one length.
        groups: Which groups of heads.
        d_query: Where gradients of the queries are added up, if anywhere.
        d_key: The same of the keys.
    """

    def __init__(
        self,
        attention: FactoredAttention,
        query: Tensor,
        key: Tensor,
        examples: slice,
        groups: slice,
        d_query: Tensor | None = None,
        d_key: Tensor | None = None,
    ):
        self.attention, self.examples = attention, examples
        self.group = query.shape[1] // key.shape[1]
        self.heads = slice(groups.start * self.group, groups.stop * self.group)
        self.count = (examples.stop - examples.start) * (groups.stop - groups.start)
        self.alone = self.count == self.group == 1
        self.query = self.by_group(query)
        self._query = self.query[0, 0] if self.alone else None
        self.key = self._plain(key[examples, groups].flatten(0, 1))
        self.d_query = self.d_key = None
        if d_query is not None:  # views must do: sums in a copy would be lost
            self.d_query = d_query[examples, self.heads].view(self.query.shape)
        if d_key is not None:
            self.d_key = self._plain(d_key[examples, groups].view(-1, *d_key.shape[2:]))

    def by_group(self, x: Tensor) -> Tensor:
        """What belongs to these heads of x [batch, head, region, any]: [example · group, head of it, region, any]."""
        return x[self.examples, self.heads].reshape(self.count, self.group, *x.shape[2:])

    def fold(self, part: Tensor) -> Tensor:
        """[example · group, head of it, row, any] as the rows of a tile."""
        return self._plain(part.flatten(1, 2))

    def queries(self, rows: slice) -> Tensor:
        """Queries of some rows, folded."""
        return self.fold(self.query[:, :, rows]) if self._query is None else self._query[rows]

    def unfold(self, tile: Tensor) -> Tensor:
        """The reverse: [example · group, head of it, row, any]."""
        return tile.view(self.count, self.group, -1, tile.shape[-1])

    def _plain(self, x: Tensor) -> Tensor:
        return x[0] if self.count == 1 else x

    def scores(self, query: Tensor, columns: slice, out: Tensor) -> tuple[Tensor, Tensor | None]:
        """Scores of folded rows of queries, in ``out``; and how capped ones grow with raw ones, if they are capped."""
        keys = self.key[..., columns, :]
        scores = torch.matmul(query, keys.mT, out=out)
        if (cap := self.attention.softcap) is None:
            return scores, None
        capped = scores.div_(cap).tanh_()
        slope = 1 - capped * capped
        return capped.mul_(cap), slope

    def hide(self, tile: Tensor, rows: slice, columns: slice, value: float) -> None:
        """Put a value where a region is not seen."""
        if self.attention.limited:
            seen = self.attention.seen(self.examples.start, rows, columns)
            if seen is not None:
                self.unfold(tile).masked_fill_(~seen, value)

    def back(self, upstream: Tensor, query: Tensor, rows: slice, columns: slice) -> None:
        """Add to the gradients of queries and keys what a gradient of a tile's scores gives."""
        if self.d_query is not None:
            keys = self.key[..., columns, :]
            if self.alone:
                self.d_query[0, 0, rows].addmm_(upstream, keys)
            else:
                self.d_query[:, :, rows] += self.unfold(upstream @ keys)
        if self.d_key is not None:
            there = self.d_key[..., columns, :]
            (there.addmm_ if self.count == 1 else there.baddbmm_)(upstream.mT, query)


class Rooms:
    """Memory that tiles use one after the other: fresh pages would cost as much as the arithmetic."""

    def __init__(self, like: Tensor):
        self._like, self._rooms = like, dict[str, Tensor]()

    def __call__(self, name: str, *shape: int) -> Tensor:
        """A tensor of this shape, holding anything."""
        wanted = math.prod(shape)
        if name not in self._rooms or self._rooms[name].numel() < wanted:
            self._rooms[name] = self._like.new_empty(wanted)
        return self._rooms[name][:wanted].view(shape)


def together(attention: FactoredAttention) -> Iterator[tuple[slice, list[slice]]]:
    """Examples that are worked on at a time, and the groups of heads that make a tile each."""
    lengths, groups, count = attention.lengths, attention.key.shape[1], 1
    if on_cpu(attention):
        step = 1
    else:
        step = groups
        if len(set(lengths)) == 1 and not attention.limited:
            count = max(1, DEVICE_ELEMENTS // (attention.query.shape[1] * lengths[0] ** 2))
    for examples in pieces(len(lengths), count):
        yield examples, list(pieces(groups, step))


def rows_on_device(attention: FactoredAttention, examples: slice) -> int:
    """Rows of a tile, all columns wide, elsewhere than on a CPU."""
    heads, length = attention.query.shape[1], attention.lengths[examples.start]
    return max(1, DEVICE_ELEMENTS // ((examples.stop - examples.start) * heads * length))


def on_cpu(attention: FactoredAttention) -> bool:
    """Whether tiles should fit a cache."""
    return attention.query.device.type == "cpu"


def zeros_for(given: Sequence[Tensor | None], needs: Sequence[bool]) -> list[Tensor | None]:
    """Where gradients are added up, of those that need one; in plain strides, since parts are viewed."""
    return [
        one.new_zeros(one.shape) if one is not None and yes else None
        for one, yes in zip(given, needs, strict=True)
    ]


def pieces(length: int, most: int) -> Iterator[slice]:
    """0 to ``length`` in slices of ``most`` or less, as equal as can be: products with few rows are slow."""
    count = -(-length // most)
    ends = [length * i // count for i in range(count + 1)]
    return (slice(*ends[i : i + 2]) for i in range(count))
