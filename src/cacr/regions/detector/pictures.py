"""A picture as the detector wants it: blue, green, red, 0-255, scaled, minus the mean.

Source: transformers' research project lxmert, processing_image.py (Preprocess), which mixes up the colors of pictures
that are read from files; here they are always blue, green, red, as the weights were trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from cacr.regions.detector.configuration import DetectorConfig

SHORTEST = 32
"""Pixels of a scaled side that leave two cells of the feature map."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Pictures in one batch.

    Args:
        images: [picture, 3, height, width], padded right and below with 0.
        sizes: (height, width) of each scaled picture in pixels, without the padding.
        raw_sizes: (height, width) of each picture as it was.
    """

    images: Tensor
    sizes: list[tuple[int, int]]
    raw_sizes: list[tuple[int, int]]


def scaled_size(height: int, width: int, config: DetectorConfig) -> tuple[int, int]:
    """Height and width after scaling: the short side to its length, unless the long one would get too long.

    Examples:
        >>> scaled_size(480, 640, DetectorConfig())
        (800, 1067)
    """
    scale = config.short_side / min(height, width)
    new_height, new_width = (
        (config.short_side, scale * width) if height < width else (scale * height, config.short_side)
    )
    longest = max(new_height, new_width)
    if longest > config.long_side:
        scale = config.long_side / longest
        new_height, new_width = new_height * scale, new_width * scale
    return int(new_height + 0.5), int(new_width + 0.5)


def pixels_bgr(picture: Image.Image) -> Tensor:
    """[height, width, 3], uint8: blue, green, red."""
    return torch.from_numpy(np.ascontiguousarray(np.asarray(picture.convert("RGB"))[:, :, ::-1]))


def prepare(bgr: Tensor, config: DetectorConfig) -> Tensor:
    """Scale one picture and subtract the mean: [height, width, 3] 0-255 -> [3, height, width].

    Raises:
        ValueError: Not a picture of three colors.
    """
    if bgr.ndim != 3 or bgr.shape[2] != 3 or 0 in bgr.shape:
        raise ValueError(f"a picture has shape {tuple(bgr.shape)}; expected [height, width, 3]")
    image = bgr.permute(2, 0, 1)[None].float()
    size = scaled_size(bgr.shape[0], bgr.shape[1], config)
    if min(size) < SHORTEST:
        raise ValueError(
            f"a picture of {bgr.shape[1]} x {bgr.shape[0]} pixels is too narrow: scaled to {size[1]} x {size[0]}, and "
            f"at least {SHORTEST} on each side are needed"
        )
    # no antialias, as in training
    image = F.interpolate(image, size=size, mode="bilinear", align_corners=False)[0]
    mean, std = (
        torch.tensor(values, device=bgr.device)[:, None, None] for values in (config.mean_bgr, config.std_bgr)
    )
    return (image - mean) / std


def batch(images: Sequence[Tensor], raw_sizes: Sequence[tuple[int, int]]) -> Prepared:
    """Prepared pictures as one batch, padded with 0 after the mean was subtracted."""
    sizes = [(int(image.shape[1]), int(image.shape[2])) for image in images]
    height, width = max(h for h, _ in sizes), max(w for _, w in sizes)
    padded = torch.stack(
        [F.pad(image, (0, width - w, 0, height - h)) for image, (h, w) in zip(images, sizes, strict=True)]
    )
    return Prepared(padded, sizes, list(raw_sizes))
