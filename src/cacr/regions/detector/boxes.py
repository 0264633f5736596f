"""Boxes: decoding, cutting, suppressing those that overlap. Corners x1, y1, x2, y2 in pixels, continuous (no +1)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

MOST = math.log(1000.0 / 16)
"""Largest logarithm by which a box may grow."""


def decode(boxes: Tensor, deltas: Tensor, weights: Sequence[float]) -> Tensor:
    """Move and scale boxes: [box, 4] by [box, class · 4] -> [box, class · 4].

    Args:
        boxes: Where to start.
        deltas: Of each class: dx and dy in widths and heights, dw and dh as logarithms.
        weights: They are divided by these four.

    Source: detectron2's Box2BoxTransform.
    """
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    x, y = boxes[:, 0] + 0.5 * widths, boxes[:, 1] + 0.5 * heights
    dx, dy, dw, dh = (deltas[:, i::4] / weights[i] for i in range(4))
    dw, dh = dw.clamp(max=MOST), dh.clamp(max=MOST)
    x, y = dx * widths[:, None] + x[:, None], dy * heights[:, None] + y[:, None]
    w, h = dw.exp() * widths[:, None], dh.exp() * heights[:, None]
    return torch.stack([x - 0.5 * w, y - 0.5 * h, x + 0.5 * w, y + 0.5 * h], -1).flatten(1)


def cut(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes cut at the borders of a picture of (height, width) pixels."""
    height, width = size
    most = torch.tensor([width, height, width, height], dtype=boxes.dtype, device=boxes.device)
    return boxes.clamp_min(0).minimum(most)


def suppress(boxes: Tensor, scores: Tensor, threshold: float, most: int | None = None) -> Tensor:
    """Indices of the boxes that no better one overlaps by more than ``threshold`` (IoU), best first.

    Bit-equal to torchvision's ``nms`` with ties in their order. The boxes of one picture are few, and each step
    depends on the one before: this runs on the CPU.

    Args:
        boxes: [box, 4].
        scores: [box].
        threshold: 0-1.
        most: Stop after so many.

    Examples:
        >>> boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]])
        >>> suppress(boxes, torch.tensor([0.5, 0.9, 0.1]), 0.5)
        tensor([1, 2])
    """
    order = scores.argsort(descending=True, stable=True)
    sorted_boxes = boxes[order].float().cpu().numpy()
    x1, y1, x2, y2 = np.ascontiguousarray(sorted_boxes.T)
    areas = (x2 - x1) * (y2 - y1)
    left = np.arange(len(areas))
    kept: list[int] = []
    while left.size and (most is None or len(kept) < most):
        best, left = left[0], left[1:]
        kept.append(int(best))
        wide = np.minimum(x2[best], x2[left]) - np.maximum(x1[best], x1[left])
        high = np.minimum(y2[best], y2[left]) - np.maximum(y1[best], y1[left])
        both = np.maximum(wide, np.float32(0)) * np.maximum(high, np.float32(0))
        # two boxes without an area: NaN, which is not above
        with np.errstate(invalid="ignore", divide="ignore"):
            overlap = both / (areas[best] + areas[left] - both)
        left = left[~(overlap.astype(np.float64) > threshold)]
    return order[torch.tensor(kept, dtype=torch.long, device=order.device)]
