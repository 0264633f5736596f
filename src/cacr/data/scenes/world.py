"""The things of the world and where they stand: two or three coloured shapes on a 3 x 3 grid."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

SIDE = 96
"""Width and height of a picture in pixels."""
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "diamond", "bar")
"""What things are; none is twice in a scene."""
COLORS = {
    "red": (220, 40, 40),
    "green": (40, 160, 60),
    "blue": (50, 80, 220),
    "yellow": (235, 205, 40),
    "purple": (140, 60, 170),
    "orange": (240, 130, 30),
    "black": (25, 25, 25),
    "cyan": (60, 200, 215),
}
"""Name -> RGB, 0-255; each painted thing varies by up to 18 in each channel."""
OPPOSITE = {"left of": "right of", "above": "below", "bigger than": "smaller than"}
OPPOSITE |= {b: a for a, b in OPPOSITE.items()}
RELATIONS = tuple(OPPOSITE)
"""What a caption may say of two things: the first is left of, above … the second."""
SIZES = ("bigger than", "smaller than")
PLACES = (("top", "middle", "bottom"), ("left", "center", "right"))
"""Words for the rows and the columns of the grid."""
BIG, SMALL = (11.0, 13.0), (6.5, 8.5)
"""Ranges of radii in pixels."""

Kind = tuple[str, str]
"""(shape, color)"""


@dataclass(frozen=True)
class Thing:
    """A painted shape; radius and centre in pixels."""

    shape: str
    color: str
    radius: float
    x: float
    y: float

    @property
    def kind(self) -> Kind:
        """(shape, color)."""
        return self.shape, self.color

    @property
    def place(self) -> tuple[str, str]:
        """Words for its cell of the grid, e.g. ("top", "left")."""
        return PLACES[0][int(3 * self.y / SIDE)], PLACES[1][int(3 * self.x / SIDE)]


def holds(relation: str, a: Thing, b: Thing) -> bool:
    """Whether a stands in the relation to b, by a margin that anyone sees (8 pixels, or 1.5 of radius)."""
    if relation not in OPPOSITE:
        raise ValueError(f"unknown relation {relation!r}; known: {', '.join(RELATIONS)}")
    margins = {"left of": b.x - a.x - 8, "above": b.y - a.y - 8, "bigger than": a.radius - b.radius - 1.5}
    if relation in margins:
        return margins[relation] > 0
    return holds(OPPOSITE[relation], b, a)


def new_kinds(rng: Random) -> list[Kind]:
    """Two or three kinds, no shape and no color twice."""
    n = rng.randrange(2, 4)
    return list(zip(rng.sample(SHAPES, n), rng.sample(tuple(COLORS), n), strict=True))


def arrange(kinds: list[Kind], relation: str, rng: Random) -> tuple[list[Thing], list[tuple[float, float]]]:
    """Place the kinds so that the first stands in ``relation`` to the second; also the centres of free cells."""
    if relation in SIZES:
        ends = [(c % 3, c // 3) for c in rng.sample(range(9), 2)]
    else:
        near, far = sorted(rng.sample(range(3), 2))
        line = rng.randrange(3)
        across = relation in ("left of", "right of")
        ends = [(near, line), (far, line)] if across else [(line, near), (line, far)]
        if relation in ("right of", "below"):
            ends.reverse()
    rest = [(i, j) for i in range(3) for j in range(3) if (i, j) not in ends]
    rng.shuffle(rest)
    centres = [
        (SIDE / 3 * (i + 0.5) + rng.uniform(-3, 3), SIDE / 3 * (j + 0.5) + rng.uniform(-3, 3))
        for i, j in ends + rest
    ]
    big = [rng.random() < 0.5 for _ in kinds]
    if relation in SIZES:
        big[:2] = [relation == "bigger than", relation == "smaller than"]
    things = [
        Thing(*kind, rng.uniform(*(BIG if large else SMALL)), x, y)
        for kind, large, (x, y) in zip(kinds, big, centres, strict=False)
    ]
    return things, centres[len(kinds) :]
