"""The old RoIPool: the maximum over each cell of a grid laid over a region of the feature map.

Bit-equal to torchvision's ``roi_pool``, in plain torch. Cells overlap and differ in size; since a maximum may count a
place twice, each is the maximum of four windows whose sides are powers of two, read from tables of such windows.
"""

from __future__ import annotations

import torch
from torch import Tensor


def roi_pool(features: Tensor, boxes: Tensor, cells: int = 14, scale: float = 1 / 16) -> Tensor:
    """Pool regions: [region, feature, cells, cells]. Cells outside of the map are 0.

    Args:
        features: [picture, feature, height, width].
        boxes: [region, 5]: index of the picture, then x1, y1, x2, y2 in pixels.
        cells: Along each side.
        scale: Cells of the map per pixel.
    """
    _, width, rows, columns = features.shape
    picture = boxes[:, 0].long()
    x1, y1, x2, y2 = (_round(boxes[:, i] * scale) for i in range(1, 5))
    top, bottom = _edges(y1, y2, cells, rows)
    left, right = _edges(x1, x2, cells, columns)
    high, low = _powers((bottom - top).amax()), _powers((right - left).amax())
    tables, size = _tables(features, high, low), rows * columns
    ky, oy = _window(top, bottom)
    kx, ox = _window(left, right)
    table = (ky[:, :, None] * low + kx[:, None, :]) * len(features) + picture[:, None, None]
    pooled = None
    for y in (top, oy):
        for x in (left, ox):
            place = (
                table * size
                + y[:, :, None].clamp(0, rows - 1) * columns
                + x[:, None, :].clamp(0, columns - 1)
            )
            found = tables.index_select(0, place.flatten())
            pooled = found if pooled is None else torch.maximum(pooled, found)
    empty = (bottom <= top)[:, :, None] | (right <= left)[:, None, :]
    assert pooled is not None
    pooled = pooled.view(len(boxes), cells, cells, width).masked_fill(empty[..., None], 0.0)
    return pooled.permute(0, 3, 1, 2).contiguous()


def _round(x: Tensor) -> Tensor:
    """To the nearest, halves away from zero, as C does; torch.round takes halves to the even number."""
    whole = x.trunc()
    return (whole + x.sign() * ((x - whole).abs() >= 0.5)).long()


def _edges(start: Tensor, end: Tensor, cells: int, most: int) -> tuple[Tensor, Tensor]:
    """First and one past the last index of each cell: [region, cell]. The products are float32, as in the original."""
    size = (end - start + 1).clamp_min(1).float() / cells
    steps = torch.arange(cells, device=start.device, dtype=torch.float32)
    first = (steps * size[:, None]).floor().long() + start[:, None]
    last = ((steps + 1) * size[:, None]).ceil().long() + start[:, None]
    return first.clamp(0, most), last.clamp(0, most)


def _powers(longest: Tensor) -> int:
    """How many powers of two, from 1 on, are needed for windows of up to this length."""
    return max(int(longest), 1).bit_length()


def _tables(features: Tensor, high: int, low: int) -> Tensor:
    """Maxima of windows 2^a high and 2^b wide from each place on: [(a, b, picture, row, column), feature]."""
    by_height = [features]
    for a in range(1, high):
        step = 2 ** (a - 1)
        by_height.append(torch.maximum(by_height[-1], _shifted(by_height[-1], step, -2)))
    tables = []
    for table in by_height:
        tables.append(table)
        for b in range(1, low):
            tables.append(torch.maximum(tables[-1], _shifted(tables[-1], 2 ** (b - 1), -1)))
    return torch.stack(tables).permute(0, 1, 3, 4, 2).reshape(-1, features.shape[1])


def _shifted(x: Tensor, step: int, axis: int) -> Tensor:
    """What lies ``step`` places on; beyond the border the last place, which windows that fit never read."""
    length = x.shape[axis]
    index = (torch.arange(length, device=x.device) + step).clamp_max(length - 1)
    return x.index_select(axis, index)


def _window(first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """The power of two whose window fits into each cell, and where a second such window ends with the cell."""
    length = (last - first).clamp_min(1)
    power = torch.frexp(length.double())[1].long() - 1
    return power, last - (1 << power)
