"""A caption whose phrases have boxes, and what follows for the tokens and regions of a model.

    "overlap"   a region shows what a phrase names if its IoU with one of the phrase's boxes is 1/2 or more
    "centre"    a patch does if its centre lies in one of them
    "given"     the data themselves say so of each of their regions (the embedded world)

An IoU of 1/2 is what phrase grounding counts as found (Plummer et al. 2015, arXiv:1505.04870).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cacr._messages import unknown
from cacr.data.pairs import Picture

RULES = ("overlap", "centre", "given")
ENOUGH = 0.5
"""Intersection over union from which on a region shows what a box holds."""


@dataclass(frozen=True, eq=False)
class Phrase:
    """Some characters of a caption that name something, and where that is in the picture.

    Args:
        start: The phrase's first character in the caption.
        end: The one after its last.
        boxes01: [box, 4], xyxy as fractions of the picture; none where it has no place, several for "five people".
        name: What it is called in the data.
        regions: bool [region]: which of the data's own regions show it; None where the data have no regions.

    Raises:
        ValueError: An empty phrase, or boxes of another shape.
    """

    start: int
    end: int
    boxes01: Tensor
    name: str = ""
    regions: Tensor | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(
                f"a phrase from character {self.start} to {self.end}; expected one character or more"
            )
        if self.boxes01.ndim != 2 or self.boxes01.shape[1] != 4:
            raise ValueError(
                f"boxes of {self.name or 'a phrase'} have shape {tuple(self.boxes01.shape)}; expected [box, 4]"
            )


@dataclass(frozen=True, eq=False)
class Grounded:
    """A caption with its picture, and what its phrases mean there.

    Args:
        caption: The sentence that a model reads.
        picture: The picture that it is true of.
        phrases: Its phrases.
        example: What the pair is called.
        cluster: What it shares with other pairs, such as the picture: such pairs are one draw.

    Raises:
        ValueError: A phrase that reaches over the caption's end.
    """

    caption: str
    picture: Picture
    phrases: Sequence[Phrase]
    example: str = ""
    cluster: str = ""

    def __post_init__(self) -> None:
        for one in self.phrases:
            if one.end > len(self.caption):
                raise ValueError(
                    f"{self.example or self.picture.image_id}: a phrase ends at character {one.end}, and the caption "
                    f"has {len(self.caption)}: {self.caption!r}"
                )

    def names(self, start: int, end: int) -> bool:
        """Whether some characters of the caption belong to a phrase that has a place in the picture."""
        return any(one.start < end and start < one.end for one in self.phrases if len(one.boxes01))


def truth(
    grounded: Grounded,
    spans: Sequence[tuple[int, int]],
    boxes01: Tensor | None,
    rule: str = "overlap",
) -> Tensor:
    """Which token means which region: bool [token, region].

    All tokens of a phrase mean what the phrase means: in "a red star" of Flickr30k Entities that is the article too.

    Args:
        grounded: The pair.
        spans: For each token its first character in the caption and the one after its last; equal for signs.
        boxes01: [region, 4], xyxy as fractions of the same picture; not needed for the rule "given".
        rule: "overlap", "centre" or "given".

    Raises:
        ValueError: An unknown rule, or data or regions that do not allow it.
    """
    if rule not in RULES:
        raise ValueError(unknown("rule", rule, RULES))
    if rule != "given" and boxes01 is None:
        raise ValueError(
            "the positions of this model's image side have no place in the picture, so no word can be said to mean "
            "them; alignment can be measured for models of regions or patches"
        )
    shown = [_shown(one, boxes01, rule) for one in grounded.phrases]
    regions = len(boxes01) if boxes01 is not None else (len(shown[0]) if shown else 0)
    found = torch.zeros(len(spans), regions, dtype=torch.bool)
    for one, its in zip(grounded.phrases, shown, strict=True):
        if len(its) != regions:
            raise ValueError(
                f"the data speak of {len(its)} regions and the model saw {regions}; use the rule overlap, or let "
                "the model read all regions"
            )
        for token, (start, end) in enumerate(spans):
            if start < end and start < one.end and end > one.start:
                found[token] |= its
    return found


def _shown(phrase: Phrase, boxes01: Tensor | None, rule: str) -> Tensor:
    """Which regions show what the phrase names: bool [region]."""
    if rule == "given":
        if phrase.regions is None:
            raise ValueError("these data have no regions of their own; use the rule overlap or centre")
        return phrase.regions
    assert boxes01 is not None
    own = boxes01.double().cpu()
    if not len(phrase.boxes01):
        return torch.zeros(len(own), dtype=torch.bool)
    true = phrase.boxes01.double()
    if rule == "overlap":
        return (overlap(own, true) >= ENOUGH).any(1)
    centre = (own[:, None, :2] + own[:, None, 2:]) / 2
    return ((centre >= true[None, :, :2]) & (centre < true[None, :, 2:])).all(-1).any(1)


def overlap(some: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of boxes with boxes, xyxy: [some, others]; 0 where neither has an area.

    Examples:
        >>> overlap(torch.tensor([[0.0, 0.0, 2.0, 1.0]]), torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
        tensor([[0.5000]])
    """
    low = torch.maximum(some[:, None, :2], others[None, :, :2])
    high = torch.minimum(some[:, None, 2:], others[None, :, 2:])
    shared = (high - low).clamp_min(0).prod(-1)
    area = lambda boxes: (boxes[:, 2:] - boxes[:, :2]).clamp_min(0).prod(-1)
    both = area(some)[:, None] + area(others)[None] - shared
    return torch.where(both > 0, shared / both.clamp_min(torch.finfo(both.dtype).tiny), 0.0)
