"""The regions of one picture, as a detector proposes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

OVERSHOOT = 1.0
"""Pixels by which a detector's box may leave the picture; it is cut there."""
PER_REGION = (
    "features",
    "boxes01",
    "boxes",
    "extents01",
    "object_ids",
    "object_confidence",
    "attribute_ids",
    "attribute_confidence",
    "object_names",
)
"""Fields with a value for each region."""
FINITE = ("features", "boxes01", "boxes", "extents01", "object_confidence", "attribute_confidence")
WRONG_SIZE = "the picture's size is {}; expected (width, height) in pixels, both positive"


@dataclass(frozen=True, eq=False)
class Regions:
    """Features and boxes of one picture's regions.

    Args:
        features: [region, feature], floating point.
        boxes01: [region, 4]: x1, y1, x2, y2 as fractions of the picture, 0-1, y downwards.
        boxes: The same in pixels, or None where the size of the picture is unknown.
        size: (width, height) of the picture in pixels, or None.
        extents01: [region, 2]: width and height of the boxes as fractions, where a file states them by itself (in
            float16 they are not the differences of its corners); None: they are.
        object_ids: [region]: index of the most likely class, 0 the first real one, as the detector counts them.
        object_confidence: [region]: its probability, 0-1.
        attribute_ids: [region]: index of the most likely attribute.
        attribute_confidence: [region]: its probability, 0-1.
        object_names: Name of the class of each region.

    Raises:
        ValueError: No regions, shapes that do not fit, values that are not finite or more than float32 holds, or boxes
            outside of 0-1.
    """

    features: Tensor
    boxes01: Tensor
    boxes: Tensor | None = None
    size: tuple[int, int] | None = None
    extents01: Tensor | None = None
    object_ids: Tensor | None = None
    object_confidence: Tensor | None = None
    attribute_ids: Tensor | None = None
    attribute_confidence: Tensor | None = None
    object_names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        n = len(self.features)
        if self.features.ndim != 2 or n == 0:
            raise ValueError(
                f"features have shape {tuple(self.features.shape)}; expected [region, feature], one region at least"
            )
        if tuple(self.boxes01.shape) != (n, 4):
            raise ValueError(
                f"boxes have shape {tuple(self.boxes01.shape)}; expected [{n}, 4] for {n} features"
            )
        if not self.features.is_floating_point():
            raise ValueError(f"features are {self.features.dtype}; expected floating point: features.float()")
        for name in FINITE:
            values = getattr(self, name)
            if values is not None and not _finite(values):
                called = "boxes" if name == "boxes01" else name
                raise ValueError(f"{called} hold NaN or infinite values; expected finite numbers")
        if (self.boxes01[:, 2:] < self.boxes01[:, :2]).any():
            raise ValueError("a box ends before it starts; expected x1, y1, x2, y2 (not x, y, width, height)")
        if self.boxes01.min() < -1e-3 or self.boxes01.max() > 1 + 1e-3:
            lowest, highest = float(self.boxes01.min()), float(self.boxes01.max())
            raise ValueError(
                f"boxes reach from {lowest:.3g} to {highest:.3g}; expected fractions of the picture, 0-1. "
                "For boxes in pixels use Regions.from_pixels(features, boxes, size)"
            )
        if self.size is not None and not all(1 <= side < math.inf for side in self.size):
            raise ValueError(WRONG_SIZE.format(self.size))
        if self.extents01 is not None and (self.extents01.min() < -1e-3 or self.extents01.max() > 1 + 1e-3):
            raise ValueError("extents01 are not widths and heights; expected fractions of the picture, 0-1")
        for name in PER_REGION:
            values = getattr(self, name)
            if values is not None and len(values) != n:
                raise ValueError(f"{name} has {len(values)} values; expected {n}, one a region")

    @classmethod
    def from_pixels(cls, features: Tensor, boxes: Tensor, size: tuple[int, int], **more: Any) -> Regions:
        """Regions from boxes in pixels, xyxy, the picture's (width, height), and further fields by name.

        Examples:
            >>> Regions.from_pixels(torch.zeros(1, 5), torch.tensor([[0.0, 0.0, 10.0, 5.0]]), (20, 10)).boxes01
            tensor([[0.0000, 0.0000, 0.5000, 0.5000]])
        """
        width, height = size
        if not (1 <= width < math.inf and 1 <= height < math.inf):
            raise ValueError(WRONG_SIZE.format(size))
        scale = torch.tensor([width, height, width, height], dtype=torch.float32)
        boxes = boxes.float()
        if (boxes < -OVERSHOOT).any() or (boxes > scale + OVERSHOOT).any():
            worst = boxes[((boxes < -OVERSHOOT) | (boxes > scale + OVERSHOOT)).any(1)][0].tolist()
            raise ValueError(
                f"box {worst} lies outside of the picture of {width} x {height} pixels; expected x1, y1, x2, y2"
            )
        boxes = boxes.clamp_min(0).minimum(scale)
        return cls(features, boxes / scale, boxes, (int(width), int(height)), **more)

    def __len__(self) -> int:
        """The number of regions."""
        return len(self.features)

    def first(self, n: int) -> Regions:
        """The first ``n`` regions (detectors order by confidence)."""
        kept = {name: getattr(self, name) for name in PER_REGION}
        return replace(self, **{name: values[:n] for name, values in kept.items() if values is not None})


def _finite(values: Tensor) -> bool:
    """Whether all numbers are finite in float32, in which models read them; a sum costs less than to ask each."""
    if math.isfinite(values.sum(dtype=torch.float32).item()):
        return True
    return bool(torch.isfinite(values.to(torch.float32)).all())
