"""Positions of a sequence that count, taken out of it: as a slice where that can be, which costs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from einops import rearrange
from torch import Tensor

Where = Tensor | slice | None
"""Positions to take from a sequence: [batch, entry], the same slice of all examples, or all of them (None)."""


@dataclass(frozen=True, eq=False)
class Selected:
    """The positions that count, in order, padded to the longest example."""

    where: Where
    real: Tensor
    """[batch, entry], True where an entry counts."""
    lengths: tuple[int, ...] = ()
    """How many count in each example; unknown while torch.compile traces."""

    @property
    def full(self) -> bool:
        """Whether it is known that all entries count."""
        return len(set(self.lengths)) == 1


def selected(*masks: Tensor) -> list[Selected]:
    """The True entries of each mask [batch, position].

    While torch.compile traces, nothing is selected: lengths that depend on the data would break the graph. Else the
    device is asked once for masks of equal shape.
    """
    if torch.compiler.is_compiling():
        return [Selected(None, mask) for mask in masks]
    if len({mask.shape for mask in masks}) > 1:
        return [one for mask in masks for one in selected(mask)]
    stacked = torch.stack(masks)
    counts, first = stacked.sum(2), stacked.byte().argmax(2)
    places = torch.arange(stacked.shape[2], device=stacked.device)
    last = torch.where(stacked, places, -1).amax(2)
    alike = (last - first + 1 == counts) & (first == first[:, :1])  # side by side, from the same place on
    told = torch.cat([first[:, :1], alike.all(1, keepdim=True), counts], 1).tolist()
    return [_selected(mask, one, *numbers) for mask, one, numbers in zip(masks, counts, told, strict=True)]


def _selected(mask: Tensor, counts: Tensor, first: int, alike: int, *lengths: int) -> Selected:
    longest = max(lengths)
    where: Where = slice(first, first + longest)
    if not alike:
        where = (~mask).byte().argsort(dim=1, stable=True)[:, :longest]
    real = torch.arange(longest, device=mask.device) < counts[:, None]
    return Selected(where, real, lengths)


def take(x: Tensor, where: Where, axis: int) -> Tensor:
    """Entries ``where`` [batch, entry] of ``x`` [batch, head, ...] along axis 2 or 3."""
    if where is None:
        return x
    if isinstance(where, slice):
        return x[:, :, where] if axis == 2 else x[..., where]
    if axis == 2:
        index = rearrange(where, "batch row -> batch 1 row 1").expand(-1, x.shape[1], -1, x.shape[3])
    else:
        index = rearrange(where, "batch column -> batch 1 1 column").expand(-1, x.shape[1], x.shape[2], -1)
    return torch.gather(x, axis, index)


def take_both(x: Tensor, some: Where, others: Where) -> tuple[Tensor, Tensor]:
    """Two selections of one sequence along axis 2; two slices at once, whose gradient is then put together once."""
    if isinstance(some, slice) and isinstance(others, slice):
        low, high = sorted((some, others), key=lambda one: one.start)
        if low.stop <= high.start:
            ends = [0, low.start, low.stop, high.start, high.stop, x.shape[2]]
            parts = x.split([b - a for a, b in pairwise(ends)], 2)
            return (parts[1], parts[3]) if low is some else (parts[3], parts[1])
    return take(x, some, 2), take(x, others, 2)
