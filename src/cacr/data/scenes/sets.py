"""Sets of scenes: captioned pictures to train and retrieve on, and Winoground's 2 captions x 2 pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from random import Random

from cacr.data.pairs import Picture
from cacr.data.scenes.grammar import Claim
from cacr.data.scenes.scene import Scene, make_scene, paint
from cacr.data.scenes.world import RELATIONS, SIZES, arrange, new_kinds

SEEDS = {"pretrain": 0, "train": 1, "dev": 2, "test": 3, "study": 4}
"""Album of each split. The test album is for the final tables of the demo and the study album for `cacr study` alone:
nothing was chosen by looking at them."""


class SceneCaptions:
    """Scenes with one caption each, as a `CaptionSet`.

    Args:
        seed: The album; see ``SEEDS``.
        n: How many scenes.
        alike: Scenes in a row that are made of the same things (a quarter of them with two colors exchanged): hard
            negatives for fine-tuning. 1: unrelated scenes, the same as ``scene(seed, index)``.
        places: Chance that a caption names a place and not a relation.
    """

    def __init__(self, seed: int, n: int, alike: int = 1, places: float = 0.5):
        if n < 1 or alike < 1:
            raise ValueError(f"n={n} scenes, alike={alike}; expected 1 or more of each")
        self.seed, self.alike_count, self.places = seed, alike, places
        self.scenes = [self._scene(index) for index in range(n)]
        self.image_ids: Sequence[str] = [f"scene-{seed}-{index}" for index in range(n)]
        self.captions: Sequence[str] = [s.caption for s in self.scenes]
        self.image_of_caption: Sequence[int] = range(n)

    def _scene(self, index: int) -> Scene:
        if self.alike_count == 1:
            rng = Random(f"cacr scene {self.seed}/{index}")
            return make_scene(new_kinds(rng), rng, self.places)
        kinds = new_kinds(Random(f"cacr kinds {self.seed}/{index // self.alike_count}"))
        rng = Random(f"cacr alike {self.seed}/{index}")
        if rng.random() < 0.25:
            (shape_a, color_a), (shape_b, color_b) = kinds[:2]
            kinds = [(shape_a, color_b), (shape_b, color_a), *kinds[2:]]
        return make_scene(kinds, rng, self.places)

    def picture(self, image: int) -> Picture:
        """The picture at an index."""
        return as_picture(self.image_ids[image], self.scenes[image])

    def describes(self, caption: int, image: int) -> bool:
        """Whether the caption is true of the picture, by the world's own rules."""
        return self.scenes[caption].claim.is_true_of(self.scenes[image].things)

    def alike(self, image: int) -> Sequence[int]:
        """The other scenes of the same things."""
        first = image // self.alike_count * self.alike_count
        return [i for i in range(first, min(first + self.alike_count, len(self.scenes))) if i != image]


def as_picture(image_id: str, scene: Scene) -> Picture:
    """A scene as a `Picture` for a model."""
    return Picture(image_id, lambda: scene.regions, lambda: scene.image)


@dataclass(frozen=True)
class WinogroundLike:
    """Two captions made of the same words and two pictures of the same things: caption i is true of scene i only."""

    example_id: str
    """Its name in records, for instance "scenes-3-0"."""
    tag: str
    """The relation that is swapped, or "attribute" where colors are."""
    scenes: tuple[Scene, Scene]
    """The pictures."""
    claims: tuple[Claim, Claim]
    """What the captions say."""

    @property
    def captions(self) -> tuple[str, str]:
        """The two sentences."""
        return self.claims[0].caption(), self.claims[1].caption()

    def picture(self, image: int) -> Picture:
        """Picture 0 or 1."""
        return as_picture(f"{self.example_id}-{image}", self.scenes[image])


@cache
def winoground_like(seed: int, n: int) -> tuple[WinogroundLike, ...]:
    """``n`` examples: even ones swap the relation, odd ones the colors of the two things named.

    Examples:
        >>> one = winoground_like(0, 1)[0]
        >>> [claim.is_true_of(scene.things) for claim in one.claims for scene in one.scenes]
        [True, False, False, True]
    """
    return tuple(_example(seed, index) for index in range(n))


def _example(seed: int, index: int) -> WinogroundLike:
    rng = Random(f"cacr winoground {seed}/{index}")
    kinds, relation = new_kinds(rng), rng.choice(RELATIONS)
    things, free = arrange(kinds, relation, rng)
    a, b = things[:2]
    claim = Claim(a.kind, b.kind, relation)
    if index % 2:
        other = [replace(a, color=b.color), replace(b, color=a.color)]
        swapped = Claim(other[0].kind, other[1].kind, relation)
    else:
        if relation in SIZES:
            other = [replace(a, radius=b.radius), replace(b, radius=a.radius)]
        else:
            other = [replace(a, x=b.x, y=b.y), replace(b, x=a.x, y=a.y)]
        swapped = Claim(b.kind, a.kind, relation)
    scenes = (paint(things, free, claim, rng), paint([*other, *things[2:]], free, swapped, rng))
    return WinogroundLike(
        f"scenes-{seed}-{index}", "attribute" if index % 2 else relation, scenes, (claim, swapped)
    )
