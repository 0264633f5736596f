"""Four fixed pairs that every scorer is asked, so that a record tells which variant of a model was measured.

A model that was loaded with another activation, precision, prompt or size of pictures keeps its name and changes its
scores; these four numbers change with them.
"""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image

from cacr.data.pairs import Picture
from cacr.data.scenes import scene
from cacr.data.scorer import Scorer
from cacr.regions import Regions

CAPTIONS = ("a red circle is left of a blue square", "two dogs play on the grass near a small mug")
SIDE, REGIONS = 224, 8
DIGITS = 5
"""Significant digits that are kept: machines differ in the sixth."""


def fingerprint(scorer: Scorer) -> list[float]:
    """The matches of two captions with two drawn pictures, row by row, to five digits.

    A model of regions sees seeded random features of its own width (``scorer.region_dim``).
    """
    pictures = [_picture(index, getattr(scorer, "region_dim", None)) for index in (0, 1)]
    match = scorer.match(
        [caption for caption in CAPTIONS for _ in pictures],
        [picture for _ in CAPTIONS for picture in pictures],
    )
    return [float(f"{value:.{DIGITS}g}") for value in match.tolist()]


def describe(scorer: Scorer) -> dict[str, Any]:
    """Name, description and fingerprint of a scorer, for a record."""
    seen = fingerprint(scorer)  # first: some learn from their first pairs how they score
    return {"name": scorer.name, **scorer.describe(), "fingerprint": seen}


def _picture(index: int, width: int | None) -> Picture:
    image = scene(0, index).image.resize((SIDE, SIDE), Image.Resampling.NEAREST)
    if width is None:
        return Picture(f"fingerprint-{index}", None, lambda: image)
    generator = torch.Generator().manual_seed(index)
    corners = torch.rand(REGIONS, 2, generator=generator) / 2
    boxes = torch.cat([corners, corners + 0.1 + corners / 2], 1)
    features = torch.randn(REGIONS, width, generator=generator).relu()
    regions = Regions(features, boxes, object_names=["thing"] * REGIONS)
    return Picture(f"fingerprint-{index}", lambda: regions, lambda: image)
