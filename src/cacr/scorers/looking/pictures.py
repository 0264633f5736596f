"""The picture that a model saw, made again from its numbers, and the boxes of a grid on it."""

from __future__ import annotations

from typing import Any

import torch
from einops import rearrange
from PIL import Image
from torch import Tensor


def shown(pixels: Tensor, processor: Any) -> Image.Image | None:
    """The picture of [channel, height, width] as the image processor gave it, 0-255; None if that cannot be undone."""
    if pixels.ndim != 3 or len(pixels) != 3:
        return None
    values = pixels.detach().float().cpu()
    if getattr(processor, "do_normalize", False):
        mean, std = getattr(processor, "image_mean", None), getattr(processor, "image_std", None)
        if mean is None or std is None:
            return None
        by_channel = (torch.tensor(each, dtype=torch.float32).reshape(-1, 1, 1) for each in (std, mean))
        values = values * next(by_channel) + next(by_channel)
    if getattr(processor, "do_rescale", False):
        values = values / float(processor.rescale_factor)
    array = values.round().clamp(0, 255).to(torch.uint8)
    return Image.fromarray(rearrange(array, "channel height width -> height width channel").numpy())


def cells(rows: int, columns: int, height: float | None = None, width: float | None = None) -> Tensor:
    """Boxes of a grid in reading order, [rows · columns, 4], xyxy as fractions of the picture.

    Args:
        rows: Of the grid.
        columns: Of the grid.
        height: Of a cell, as a fraction of the picture; 1/rows if None. Less where patches do not fill the picture.
        width: Of a cell; 1/columns if None.

    Examples:
        >>> cells(1, 2)
        tensor([[0.0000, 0.0000, 0.5000, 1.0000],
                [0.5000, 0.0000, 1.0000, 1.0000]])
    """
    height, width = height or 1 / rows, width or 1 / columns
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    corners = torch.stack([x * width, y * height, (x + 1) * width, (y + 1) * height], -1)
    return corners.reshape(-1, 4).float().clamp(0, 1)


def into(boxes01: Tensor, part01: tuple[float, float, float, float]) -> Tensor:
    """Boxes on a part of a picture as boxes on the picture; ``part01`` is the part's own box."""
    left, top, right, bottom = part01
    size = torch.tensor([right - left, bottom - top] * 2)
    return (boxes01 * size + torch.tensor([left, top] * 2)).clamp(0, 1)


def stitched(tiles: Tensor, rows: int, columns: int) -> Tensor:
    """Tiles [rows · columns, channel, height, width] in reading order as one picture."""
    return rearrange(tiles, "(r c) channel h w -> channel (r h) (c w)", r=rows, c=columns)
