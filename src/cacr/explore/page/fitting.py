"""What fits into a page, the first of these that does, where fewer layers are evenly spaced ones:

all heads of all layers; all heads of fewer layers, means over heads of the others; means alone; means of fewer layers
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cacr.attention.attended import Attended
from cacr.explore.page.arrays import packed, part, text
from cacr.explore.page.item import Item

Counts = Mapping[str, tuple[list[int], int]]
"""Model -> (layers, heads)."""


@dataclass(frozen=True)
class Plan:
    """Which layers and heads of each model a page keeps.

    Args:
        layers: Model -> layers, in order.
        apart: Model -> those of them whose heads are kept one by one beside their mean.
    """

    layers: Mapping[str, list[int]]
    apart: Mapping[str, list[int]]

    def left_out(self, counts: Counts) -> str:
        """A sentence about what the page does not have; empty if it has everything."""
        said = []
        for name, (layers, heads) in counts.items():
            missing = []
            if heads and not self.apart[name]:
                missing.append(f"its {heads} heads one by one (the mean over heads is here)")
            elif heads and len(self.apart[name]) < len(layers):
                missing.append(
                    f"its {heads} heads one by one in {len(layers) - len(self.apart[name])} of {len(layers)} layers "
                    f"(kept: {', '.join(map(str, self.apart[name]))}; the mean over heads is here)"
                )
            if len(self.layers[name]) < len(layers):
                kept = ", ".join(map(str, self.layers[name]))
                missing.append(
                    f"{len(layers) - len(self.layers[name])} of {len(layers)} layers (kept: {kept})"
                )
            if missing:
                said.append(f"{name}: " + " and ".join(missing))
        return "Left out to keep the file small. " + "; ".join(said) + "." if said else ""


def plans(counts: Counts) -> Iterator[Plan]:
    """From everything down to the last layer's mean."""
    everything = {name: layers for name, (layers, _) in counts.items()}
    fewer = [
        {name: spaced(layers, number) for name, layers in everything.items()}
        for number in range(max(map(len, everything.values())), 0, -1)
    ]
    if any(heads for _, heads in counts.values()):
        for kept in fewer:
            yield Plan(everything, {name: kept[name] if heads else [] for name, (_, heads) in counts.items()})
    for kept in fewer:
        yield Plan(kept, {name: [] for name in counts})


def spaced(layers: Sequence[int], number: int) -> list[int]:
    """Some of the layers, evenly spaced: always the last one, and the first where there are two or more.

    Examples:
        >>> spaced(range(12), 4), spaced(range(12), 1)
        ([0, 4, 7, 11], [11])
    """
    if number >= len(layers):
        return list(layers)
    return [layers[round(x)] for x in np.linspace(len(layers) - 1, 0, number)[::-1]]


class Parts:
    """The numbers of some items, as text for the page; each part is computed once, when it is first asked for."""

    def __init__(self, items: Sequence[Item], counts: Counts):
        self.items, self.counts = items, counts
        self._sizes: dict[tuple[int, str, int, int, int | None], int] = {}
        self._parts: dict[tuple[int, str, int, int, int | None], np.ndarray] = {}

    def about(self, plan: Plan) -> float:
        """About how many characters the numbers take: as if all parts of a pair were like those of its last layer."""
        total = 0.0
        for index, item in enumerate(self.items):
            for name in item.views:
                heads = len(plan.apart[name]) * self.counts[name][1]
                for pair, (_, attended) in enumerate(item.pairs(name)):
                    of = (index, name, pair, attended, plan.layers[name][-1])
                    total += len(plan.layers[name]) * self._size(*of, None) * 4 / 3
                    total += heads * self._size(*of, 0) * 4 / 3 if heads else 0
        return total

    def blocks(self, plan: Plan, most: float) -> list[str] | None:
        """The numbers of each item, or None as soon as they are longer than ``most`` characters.

        The order within an item: by model, caption, picture, layer; the mean over heads, then each head.
        """
        made: list[str] = []
        for index in range(len(self.items)):
            made.append(text(packed(self._of(index, plan))))
            most -= len(made[-1])
            if most < 0:
                return None
        return made

    def _of(self, index: int, plan: Plan) -> Iterator[np.ndarray]:
        item = self.items[index]
        for name in item.views:
            for pair, (_, attended) in enumerate(item.pairs(name)):
                for layer in plan.layers[name]:
                    heads = range(self.counts[name][1] if layer in plan.apart[name] else 0)
                    for head in (None, *heads):
                        yield self._part(index, name, pair, attended, layer, head)

    def _part(
        self, index: int, name: str, pair: int, attended: Attended, layer: int, head: int | None
    ) -> np.ndarray:
        key = (index, name, pair, layer, head)
        if key not in self._parts:
            self._parts[key] = part(attended, layer, head)
        return self._parts[key]

    def _size(
        self, index: int, name: str, pair: int, attended: Attended, layer: int, head: int | None
    ) -> int:
        key = (index, name, pair, layer, head)
        if key not in self._sizes:
            self._sizes[key] = len(packed([self._part(index, name, pair, attended, layer, head)]))
        return self._sizes[key]
