"""What a page shows: items of one or two captions and pictures, seen by one or two models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from cacr.attention.attended import Attended

MOST = 2
"""Captions, pictures and models that an item may have."""


@dataclass(frozen=True, eq=False)
class Item:
    """One or two captions with one or two pictures; where there are two of each, caption i belongs to picture i.

    Args:
        title: A line for lists.
        captions: One or two.
        images: One or two; None where there are no pixels. Where an `Attended` has a picture of its own (resized, cut),
            that one is shown, because its boxes are fractions of it.
        views: Name of a model -> ``views[model][caption][image]``.
        note: A line below the title, for instance tags.

    Raises:
        ValueError: Too many or too few of something, or views that do not fit.
    """

    title: str
    captions: Sequence[str]
    images: Sequence[Image.Image | None]
    views: Mapping[str, Sequence[Sequence[Attended]]]
    note: str = ""

    def __post_init__(self) -> None:
        for what, given in (("captions", self.captions), ("images", self.images), ("models", self.views)):
            if isinstance(given, str) or not 1 <= len(given) <= MOST:
                number = "one string" if isinstance(given, str) else len(given)
                raise ValueError(f'item "{self.title}" has {number} {what}; expected a list of one or two')
        wanted = [len(self.images)] * len(self.captions)
        for model, rows in self.views.items():
            shape = [len(row) for row in rows]
            if shape != wanted:
                raise ValueError(
                    f'item "{self.title}": views of {model} have {shape} pictures for each caption; expected '
                    f"{wanted}, as views[model][caption][image]"
                )
            for row, caption in zip(rows, self.captions, strict=True):
                for attended in row:
                    if attended.match is not None and not math.isfinite(attended.match):
                        raise ValueError(
                            f'item "{self.title}": the match of a view of {model} is {attended.match}; expected a '
                            "finite number, or None where the model has none"
                        )
                    if attended.boxes01 is not None and not attended.boxes01.isfinite().all():
                        raise ValueError(
                            f'item "{self.title}": a box of {model} is not finite; repair the regions'
                        )
                    if attended.caption != caption:
                        raise ValueError(
                            f'item "{self.title}": a view of {model} is of "{attended.caption}" where '
                            f'"{caption}" was expected; the order is views[model][caption][image]'
                        )

    def pairs(self, model: str) -> list[tuple[int, Attended]]:
        """(picture, attention) of all pairs of a model, in the order in which the page stores them."""
        return [(image, attended) for row in self.views[model] for image, attended in enumerate(row)]


def layers_and_heads(items: Sequence[Item]) -> dict[str, tuple[list[int], int]]:
    """Model -> (layers, number of heads that were kept apart), the same in all items.

    Raises:
        ValueError: No items; or items that differ in their models, or in a model's layers or heads.
    """
    if not items:
        raise ValueError("no items; a page shows one or more")
    names = list(items[0].views)
    known: dict[str, tuple[list[int], int]] = {}
    for item in items:
        if list(item.views) != names:
            raise ValueError(
                f'item "{item.title}" is seen by {list(item.views)}, the first by {names}; expected the same models '
                "in the same order in all items"
            )
        for name in names:
            for _, attended in item.pairs(name):
                blocks = [attended.blocks[layer] for layer in attended.layers]
                heads: set[Any] = {block.ll.shape[1] if block.per_head else 0 for block in blocks}
                found = (attended.layers, heads.pop())
                if heads or known.setdefault(name, found) != found:
                    raise ValueError(
                        f'item "{item.title}": layers or heads of {name} differ from those of other pairs '
                        f"({found} and {known.get(name, heads)}); watch the same ones for all"
                    )
    return known
