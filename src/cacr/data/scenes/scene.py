"""One scene: things, the picture of them, a detector's regions, a caption, and which word means which region."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from random import Random

import torch
from PIL import Image
from torch import Tensor

from cacr.data.scenes.drawing import RGB, draw
from cacr.data.scenes.features import Box, features
from cacr.data.scenes.grammar import Claim
from cacr.data.scenes.world import COLORS, OPPOSITE, RELATIONS, SIDE, Kind, Thing, arrange, new_kinds
from cacr.regions import Regions


@dataclass(frozen=True)
class Scene:
    """A seeded picture and all that is true of it."""

    things: tuple[Thing, ...]
    """What is painted: two or three."""
    claim: Claim
    """What the caption says."""
    paints: tuple[RGB, ...]
    """Color of each thing, 0-255."""
    shade: int
    """Grey of the ground, 0-255."""
    boxes: tuple[Box, ...]
    """Proposed regions, xyxy in pixels: a jittered box and a part of each thing, and two of the ground."""
    owners: tuple[int, ...]
    """Index of the thing that each region shows, -1 for the ground."""

    @property
    def caption(self) -> str:
        """A true sentence."""
        return self.claim.caption()

    @cached_property
    def image(self) -> Image.Image:
        """The picture, 96 x 96 pixels."""
        return draw(self.things, self.paints, self.shade)

    @cached_property
    def regions(self) -> Regions:
        """Boxes with 40 features each, taken from the pixels."""
        boxes = torch.tensor(self.boxes, dtype=torch.float32)
        return Regions.from_pixels(features(self.image, list(self.boxes)), boxes, (SIDE, SIDE))

    def alignment(self, claim: Claim | None = None) -> Tensor:
        """Which word of a caption means which region: bool [word, region]; words are split at blanks.

        Args:
            claim: The caption's claim; the scene's own if None.
        """
        words = (claim or self.claim).words()
        kinds = [self.things[owner].kind if owner >= 0 else None for owner in self.owners]
        return torch.tensor([[kind is not None and kind == seen for seen in kinds] for _, kind in words])


def scene(seed: int, index: int) -> Scene:
    """Scene ``index`` of the endless album ``seed``; the same on every platform.

    Args:
        seed: The album; those in use are in ``SEEDS``.
        index: From 0.

    Examples:
        >>> scene(0, 0).caption
        'a red star is right of an orange cross'
    """
    rng = Random(f"cacr scene {seed}/{index}")
    return make_scene(new_kinds(rng), rng, places=0.5)


def make_scene(kinds: list[Kind], rng: Random, places: float) -> Scene:
    """Arrange and paint the kinds; the caption names a place with chance ``places``, else a relation."""
    relation = rng.choice(RELATIONS)
    things, free = arrange(kinds, relation, rng)
    first, second = (things[0], things[1]) if rng.random() < 0.5 else (things[1], things[0])
    if rng.random() < places:
        claim = Claim(first.kind, second.kind, place=first.place)
    else:
        stated = relation if first is things[0] else OPPOSITE[relation]
        claim = Claim(first.kind, second.kind, relation=stated)
    return paint(things, free, claim, rng)


def paint(things: list[Thing], free: list[tuple[float, float]], claim: Claim, rng: Random) -> Scene:
    """Choose the shades of a picture and what a detector proposes in it."""
    shade = rng.randrange(205, 245)
    paints = []
    for thing in things:
        red, green, blue = (min(255, max(0, value + rng.randrange(-18, 19))) for value in COLORS[thing.color])
        paints.append((red, green, blue))
    proposals: list[tuple[Box, int]] = []
    for owner, thing in enumerate(things):
        x, y, r = thing.x, thing.y, thing.radius
        x1, y1, x2, y2 = (edge + rng.uniform(-0.1, 0.1) * r for edge in (x - r, y - r, x + r, y + r))
        proposals.append(((x1, y1, x2, y2), owner))
        halves = [
            (x - r, y - r, x + r, y),
            (x - r, y, x + r, y + r),
            (x - r, y - r, x, y + r),
            (x, y - r, x + r, y + r),
        ]
        proposals.append((rng.choice(halves), owner))
    for x, y in free[:2]:
        w, h = rng.uniform(6, 14), rng.uniform(6, 14)
        proposals.append(((x - w, y - h, x + w, y + h), -1))
    rng.shuffle(proposals)
    boxes = tuple(_inside(box) for box, _ in proposals)
    owners = tuple(owner for _, owner in proposals)
    return Scene(tuple(things), claim, tuple(paints), shade, boxes, owners)


def _inside(box: Box) -> Box:
    x1, y1, x2, y2 = (min(SIDE, max(0.0, edge)) for edge in box)
    return x1, y1, x2, y2
