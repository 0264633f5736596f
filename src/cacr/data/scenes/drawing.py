"""Pictures of things, with Pillow."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

from cacr.data.scenes.world import SIDE, Thing

RGB = tuple[int, int, int]

_ARM = 0.36
_CORNERS: dict[str, list[tuple[float, float]]] = {
    "triangle": [(0, -1), (-1, 1), (1, 1)],
    "diamond": [(0, -1), (0.7, 0), (0, 1), (-0.7, 0)],
    "cross": [
        (-_ARM, -1), (_ARM, -1), (_ARM, -_ARM), (1, -_ARM), (1, _ARM), (_ARM, _ARM),
        (_ARM, 1), (-_ARM, 1), (-_ARM, _ARM), (-1, _ARM), (-1, -_ARM), (-_ARM, -_ARM),
    ],
    "star": [
        (q * math.sin(k * math.pi / 5), -q * math.cos(k * math.pi / 5)) for k, q in enumerate([1, 0.42] * 5)
    ],
}  # fmt: skip


def draw(things: Sequence[Thing], paints: Sequence[RGB], shade: int) -> Image.Image:
    """The picture: each thing in its paint on a grey ground of ``shade`` (0-255)."""
    image = Image.new("RGB", (SIDE, SIDE), (shade,) * 3)
    pen = ImageDraw.Draw(image)
    for thing, paint in zip(things, paints, strict=True):
        r, x, y = thing.radius, thing.x, thing.y
        around = (x - r, y - r, x + r, y + r)
        match thing.shape:
            case "circle":
                pen.ellipse(around, fill=paint)
            case "ring":
                pen.ellipse(around, outline=paint, width=max(2, int(0.35 * r)))
            case "square":
                pen.rectangle(around, fill=paint)
            case "bar":
                pen.rectangle((x - r, y - 0.38 * r, x + r, y + 0.38 * r), fill=paint)
            case shape:
                pen.polygon([(x + r * a, y + r * b) for a, b in _CORNERS[shape]], fill=paint)
    return image
