"""S_VV in tiles that are made from queries and keys, used, and dropped: what `carrying` and `comparing` share.

A tile holds some rows and columns of some heads of an example (on a GPU, of several examples at once). On a CPU it is
as large as its caches like; elsewhere launches must not dominate, so that it has tens of millions of entries.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cacr.attention.factored import FactoredAttention

DEVICE_ELEMENTS = 1 << 26
"""Entries of a tile on other devices than a CPU. Not measured."""


@dataclass
class Rows:
    """Some rows of S_VV: slices of examples, groups of heads (that share a key) and regions, and their queries."""

    examples: slice
    groups: slice
    rows: slice
    shape: Sequence[int]
    """Numbers of examples, heads and rows."""
    query: Tensor
    """[example · group, head of the group · row, width]."""


@dataclass
class Tile:
    """Scores or attention of some rows and columns, and what they were made from."""

    rows: Rows
    columns: slice
    values: Tensor
    """[example, head, row, column]."""
    key: Tensor
    """[example · group, column, width]."""
    hidden: Tensor | None
    """[row, column], True where a region is not seen; None: nowhere."""
    slope: Tensor | None
    """How capped scores grow with raw ones, where there is a softcap."""


class Tiles:
    """Makes tiles of S_VV, and takes gradients of their scores back to queries and keys.

    Args:
        attention: S_VV as queries and keys.
        query: Its queries, [batch, head, region, width].
        key: Its keys, [batch, group, region, width].
    """

    def __init__(self, attention: FactoredAttention, query: Tensor, key: Tensor):
        self.attention, self.query, self.key = attention, query, key
        self.group = query.shape[1] // key.shape[1]
        self.on_cpu = query.device.type == "cpu"
        self._rooms: dict[str, Tensor] = {}

    def room(self, name: str, *shape: int) -> Tensor:
        """Memory that tiles use one after the other: fresh pages would cost as much as the arithmetic."""
        wanted = math.prod(shape)
        if name not in self._rooms or self._rooms[name].numel() < wanted:
            self._rooms[name] = self.query.new_empty(wanted)
        return self._rooms[name][:wanted].view(shape)

    def heads(self, groups: slice) -> slice:
        """The heads of some groups."""
        return slice(groups.start * self.group, groups.stop * self.group)

    def examples(self) -> Iterator[slice]:
        """One at a time; on a GPU several of equal length."""
        lengths, count = self.attention.lengths, 1
        if not self.on_cpu and len(set(lengths)) == 1 and not self.attention.limited:
            count = max(1, DEVICE_ELEMENTS // (self.query.shape[1] * lengths[0] ** 2))
        return pieces(len(lengths), count)

    def groups(self, entries: int, most: int) -> Iterator[slice]:
        """On a CPU as many groups of heads as make a tile of ``most``, at so many entries a head; elsewhere all."""
        step = max(1, most // (entries * self.group)) if self.on_cpu else self.key.shape[1]
        return pieces(self.key.shape[1], step)

    def rows_on_device(self, examples: slice) -> int:
        """Rows of a tile, all columns wide, elsewhere than on a CPU."""
        length = self.attention.lengths[examples.start]
        entries = (examples.stop - examples.start) * self.query.shape[1] * length
        return max(1, DEVICE_ELEMENTS // entries)

    def rows(self, examples: slice, groups: slice, rows: slice) -> Rows:
        """Queries of some rows."""
        query = self.query[examples, self.heads(groups), rows]
        shape = query.shape[:3]
        return Rows(examples, groups, rows, shape, query.reshape(-1, shape[2] * self.group, query.shape[3]))

    def make(self, rows: Rows, columns: slice, room: str) -> Tile:
        """Scores of these rows and columns; 0 where a region is not seen."""
        query, count = rows.query, columns.stop - columns.start
        key = self.key[rows.examples, rows.groups, columns].flatten(0, 1)
        scores = self.room(room, len(query), query.shape[1], count)
        scores = multiply(query, key.mT, scores).view(*rows.shape, count)
        slope = None
        if (cap := self.attention.softcap) is not None:
            capped = scores.div_(cap).tanh_()
            slope = 1 - capped * capped
            scores = capped.mul_(cap)
        hidden = None
        if (
            self.attention.limited
            and (seen := self.attention.seen(rows.examples.start, rows.rows, columns)) is not None
        ):
            hidden = ~seen
            scores.masked_fill_(hidden, 0.0)
        return Tile(rows, columns, scores, key, hidden, slope)

    def back(self, tile: Tile, upstream: Tensor, d_query: Tensor | None, d_key: Tensor | None) -> None:
        """Add to the gradients of queries and keys what a gradient of the tile's scores gives; it is overwritten."""
        rows, columns = tile.rows, tile.key.shape[1]
        if tile.slope is not None:
            upstream = upstream.mul_(tile.slope)
        upstream = upstream.reshape(len(tile.key), -1, columns)
        if d_query is not None:
            there = d_query[rows.examples, self.heads(rows.groups), rows.rows]
            there += multiply(upstream, tile.key).view_as(there)
        if d_key is not None:
            there = d_key[rows.examples, rows.groups, tile.columns]
            there.view(-1, *there.shape[2:]).baddbmm_(upstream.mT, rows.query)  # a copy would lose the sum


def multiply(some: Tensor, others: Tensor, out: Tensor | None = None) -> Tensor:
    """Products of matrices [batch, .., ..]; a batch of one as plain matrices, which does not clear ``out`` first."""
    if len(some) > 1:
        return torch.bmm(some, others, out=out)
    return torch.mm(some[0], others[0], out=None if out is None else out[0])[None]


def pieces(length: int, most: int) -> Iterator[slice]:
    """0 to ``length`` in slices of ``most`` or less, as equal as can be: products with few rows are slow."""
    count = -(-length // most)
    ends = [length * i // count for i in range(count + 1)]
    return (slice(*ends[i : i + 2]) for i in range(count))
