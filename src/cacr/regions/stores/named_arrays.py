"""Regions from named arrays, in the two namings that published npz files and databases have."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from cacr.regions.regions import Regions
from cacr.regions.stores.settings import Setting

UNITER_ARRAYS = ("norm_bb", "features", "conf", "soft_labels", "nbb")
PIXEL_ARRAYS = ("x", "features", "boxes", "bbox", "image_w", "image_h")


def uniter_regions(arrays: Mapping[str, np.ndarray], keep: int | Setting | None = None) -> Regions:
    """Regions from UNITER's names: norm_bb [n, 4 or more], features [n, d], conf [n] or [n, 1], soft_labels [n, c].

    Args:
        arrays: Arrays by name; others and those without dimensions are ignored, save ``nbb``, a count.
        keep: How many of the first regions count, or the rule; all, or as many as ``nbb`` says, if None.

    Raises:
        ValueError: Arrays are missing or do not fit each other, or there are fewer regions than should count.
    """
    for name in ("norm_bb", "features"):
        if name not in arrays or arrays[name].ndim != 2:
            raise ValueError(
                f"it has no two-dimensional array {name}; its arrays are {', '.join(sorted(arrays)) or 'none'}"
            )
    features, boxes = arrays["features"], arrays["norm_bb"]
    n = len(features)
    if len(boxes) != n or boxes.shape[1] < 4:
        raise ValueError(
            f"norm_bb has shape {boxes.shape}; expected [{n}, 6], as there are {n} rows of features"
        )
    confidence = arrays.get("conf")
    if confidence is not None:
        if confidence.size != n:
            raise ValueError(f"conf has shape {confidence.shape}; expected [{n}] or [{n}, 1]")
        confidence = confidence.reshape(n)
    if isinstance(keep, Setting):
        if confidence is None:
            raise ValueError("it has no array conf, so regions above a threshold cannot be counted")
        keep = keep.count(confidence)
    elif keep is None:
        own = arrays.get("nbb")
        keep = n if own is None or own.size != 1 else whole(own, "nbb")
    if not 1 <= keep <= n:
        raise ValueError(f"{keep} regions should count, but it holds {n}; the counts are of another database")
    labels = arrays.get("soft_labels")
    with_labels = labels is not None and labels.ndim == 2 and len(labels) == n and labels.shape[1] > 1
    return Regions(
        float32(features[:keep]),
        float32(boxes[:keep, :4]),
        extents01=float32(boxes[:keep, 4:6]) if boxes.shape[1] >= 6 else None,
        # column 0 is the background
        object_ids=torch.from_numpy(labels[:keep, 1:].argmax(1)) if with_labels else None,  # type: ignore[index]
        object_confidence=None if confidence is None else float32(confidence[:keep]),
    )


def pixel_regions(arrays: Mapping[str, np.ndarray]) -> Regions:
    """Regions from bottom-up-attention's names: x or features, boxes or bbox in pixels, image_w, image_h.

    ``x`` may lie on its side, [d, n]: the number of boxes tells.

    Raises:
        ValueError: Arrays are missing or do not fit each other.
    """
    features, boxes = _either(arrays, "x", "features"), _either(arrays, "boxes", "bbox")
    if features.ndim == 2 and boxes.ndim == 2 and len(features) != len(boxes) == features.shape[1]:
        features = features.T
    size = whole(_either(arrays, "image_w"), "image_w"), whole(_either(arrays, "image_h"), "image_h")
    if features.ndim != 2 or boxes.shape != (len(features), 4):
        raise ValueError(
            f"features have shape {features.shape} and boxes {boxes.shape}; expected [n, width] and [n, 4]"
        )
    return Regions.from_pixels(float32(features), float32(boxes), size)


def whole(value: np.ndarray | bytes | int, what: str, largest: int = 1_000_000) -> int:
    """A whole number from 1 to ``largest``."""
    try:
        number = int(np.asarray(value).reshape(())[()])
    except (ValueError, OverflowError, TypeError) as error:
        raise ValueError(f"{what} is not a whole number ({error})") from error
    if not 1 <= number <= largest:
        raise ValueError(f"{what} is {number}; expected 1 to {largest}")
    return number


def float32(array: np.ndarray) -> Tensor:
    """A copy as a float32 tensor; it does not point into the file."""
    return torch.from_numpy(np.array(array, dtype=np.float32, order="C"))


def _either(arrays: Mapping[str, np.ndarray], *names: str) -> np.ndarray:
    for name in names:
        if name in arrays:
            return arrays[name]
    raise ValueError(f"it has no array {' or '.join(names)} but {', '.join(sorted(arrays)) or 'none'}")
