"""What fits into a page: all heads and layers, else means over heads, else fewer layers, evenly spaced."""

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
        heads: Model -> number of heads kept beside their mean; 0: the mean alone.
    """

    layers: Mapping[str, list[int]]
    heads: Mapping[str, int]

    def left_out(self, counts: Counts) -> str:
        """A sentence about what the page does not have; empty if it has everything."""
        said = []
        for name, (layers, heads) in counts.items():
            missing = []
            if heads and not self.heads[name]:
                missing.append(f"its {heads} heads one by one (the mean over heads is here)")
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
    if any(heads for _, heads in counts.values()):
        yield Plan(everything, {name: heads for name, (_, heads) in counts.items()})
    for number in range(max(map(len, everything.values())), 0, -1):
        yield Plan(
            {name: spaced(layers, number) for name, layers in everything.items()}, dict.fromkeys(counts, 0)
        )


def spaced(layers: Sequence[int], number: int) -> list[int]:
    """Some of the layers, evenly spaced: always the last one, and the first where there are two or more.

    Example:
        >>> spaced(range(12), 4), spaced(range(12), 1)
        ([0, 4, 7, 11], [11])
    """
    if number >= len(layers):
        return list(layers)
    return [layers[round(x)] for x in np.linspace(len(layers) - 1, 0, number)[::-1]]


class Parts:
    """The numbers of some items, as text for the page; each part is computed once, when it is first asked for."""

    def __init__(self, items: Sequence[Item]):
        self.items = items
        self._parts: dict[tuple[int, str, int, int, int | None], np.ndarray] = {}

    def about(self, plan: Plan) -> float:
        """About how many characters the numbers take: as if all parts of a pair were like those of its last layer."""
        total = 0.0
        for index, item in enumerate(self.items):
            for name in item.views:
                heads = plan.heads[name]
                for pair, (_, attended) in enumerate(item.pairs(name)):
                    last = plan.layers[name][-1]
                    one = [
                        self._part(index, name, pair, attended, last, head)
                        for head in ((0,) if heads else (None,))
                    ]
                    total += len(packed(one)) * len(plan.layers[name]) * (heads + 1) * 4 / 3
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
                    for head in (None, *range(plan.heads[name])):
                        yield self._part(index, name, pair, attended, layer, head)

    def _part(
        self, index: int, name: str, pair: int, attended: Attended, layer: int, head: int | None
    ) -> np.ndarray:
        key = (index, name, pair, layer, head)
        if key not in self._parts:
            self._parts[key] = part(attended, layer, head)
        return self._parts[key]
