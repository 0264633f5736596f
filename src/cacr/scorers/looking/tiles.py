"""Where image tokens stand in pictures that a processor cuts into tiles, and shows once more whole.

    InternVL, Aya Vision      [ tiles in reading order | the whole picture ]      the picture stretched to the tiles
    Idefics3, SmolVLM         [ tiles in reading order | the whole picture ]      likewise
    LLaVA-NeXT, OneVision     [ the whole picture | rows over all tiles, with a token after each ]      padded, then cut
    Llama 3.2 Vision          [ tiles in reading order ]                          padded at the right and the bottom

Boxes of a tile's tokens are small ones on the whole picture. Source of each order: the processor and the function that
packs features in transformers' models/got_ocr2, aya_vision, idefics3, llava_next, llava_onevision and mllama.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from cacr.scorers.looking.pair import Seen
from cacr.scorers.looking.pictures import cells, into, stitched
from cacr.scorers.looking.places import Sight, nowhere


def _tiles_then_whole(sight: Sight, rows: int, columns: int) -> Seen:
    """Tiles in reading order with a square grid of tokens each, then as many tokens of the whole picture."""
    pixels = sight.pixels
    tiles = pixels if pixels.ndim == 4 else pixels[None]
    side = round(((sight.count or 0) / len(tiles)) ** 0.5)
    if not side or tiles.shape[-1] % side or tiles.shape[-1] != tiles.shape[-2]:
        return nowhere(sight)
    one = cells(side, side)
    if len(tiles) == 1:
        return Seen(sight.show(tiles[0]), one, (side, side))
    if len(tiles) != rows * columns + 1:
        return nowhere(sight)
    boxes = [into(one, tuple(part)) for part in cells(rows, columns).tolist()]
    return Seen(sight.show(stitched(tiles[:-1], rows, columns)), torch.cat([*boxes, one]))


def _got_ocr2(sight: Sight) -> Seen:
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas

    processor, size = sight.processor, sight.pixels.shape[-2:]
    if sight.pixels.ndim == 3:
        return _tiles_then_whole(sight, 1, 1)
    columns, rows = get_optimal_tiled_canvas(
        (sight.image.height, sight.image.width), tuple(size), processor.min_patches, processor.max_patches
    )
    return _tiles_then_whole(sight, rows, columns)


def _idefics3(sight: Sight) -> Seen:
    if sight.pixels.ndim == 3:
        return _tiles_then_whole(sight, 1, 1)
    again = sight.processor([[sight.image]], return_row_col_info=True)
    return _tiles_then_whole(sight, int(again["rows"][0][0]), int(again["cols"][0][0]))


def _any_resolution(sight: Sight) -> Seen:
    """LLaVA-NeXT and OneVision: the rows over all tiles lose those that hold padding alone."""
    from transformers.models.llava_next.modeling_llava_next import get_anyres_image_grid_shape, unpad_image

    tiles = sight.inputs["pixel_values"][0]
    vision, given = sight.config.vision_config, sight.inputs["image_sizes"][0].tolist()
    side, cell = vision.image_size // sight.patch, sight.patch / vision.image_size
    rows, columns = get_anyres_image_grid_shape(given, sight.config.image_grid_pinpoints, vision.image_size)
    if tiles.ndim != 4 or len(tiles) != rows * columns + 1:
        return nowhere(sight)
    canvas, one = stitched(tiles[1:], rows, columns), cells(side, side, cell, cell)
    height, width = canvas.shape[1:]
    left, top, right, bottom = picture = _within((height, width), given)
    parts = torch.cat([into(one, tuple(part)) for part in cells(rows, columns).tolist()])
    index = torch.arange(len(parts)).view(rows, columns, side, side).transpose(1, 2)  # rows over all tiles
    kept = unpad_image(index.reshape(1, rows * side, columns * side), given)[0]
    boxes, (down, across) = _on_picture(parts[kept.flatten()], picture, height, width), kept.shape
    most = str(getattr(sight.config, "vision_aspect_ratio", ""))
    if "anyres_max_" in most:  # OneVision brings large grids to fewer tokens, evenly
        ratio = math.sqrt(down * across / (int(most.removeprefix("anyres_max_")) * side**2))
        if ratio > 1.1:
            down, across = int(down // ratio), int(across // ratio)
            whole = torch.cat([boxes[:, :2].amin(0), boxes[:, 2:].amax(0)])
            boxes = into(cells(down, across), tuple(whole.tolist()))
    counts = torch.ones(down, across + 1, dtype=torch.bool)
    counts[:, across] = False  # the token after each row
    keep = torch.cat([torch.ones(len(one), dtype=torch.bool), counts.flatten()])
    image = sight.show(canvas[:, top:bottom, left:right])
    return Seen(image, torch.cat([one, boxes]), keep=keep)


def _within(canvas: tuple[int, int], given: list[int]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in pixels of a picture that was brought into a canvas and padded on both sides."""
    (height, width), (own_height, own_width) = canvas, given
    if width / own_width < height / own_height:
        new = min(math.ceil(own_height * width / own_width), height), width
    else:
        new = height, min(math.ceil(own_width * height / own_height), width)
    top, left = (height - new[0]) // 2, (width - new[1]) // 2
    return left, top, left + new[1], top + new[0]


def _on_picture(boxes01: Tensor, picture: tuple[int, int, int, int], height: int, width: int) -> Tensor:
    """Boxes on a canvas as boxes on the picture within it, cut at its sides."""
    left, top, right, bottom = picture
    pixels = boxes01 * torch.tensor([width, height] * 2) - torch.tensor([left, top] * 2)
    return (pixels / torch.tensor([right - left, bottom - top] * 2)).clamp(0, 1)


def _mllama(sight: Sight) -> Seen:
    """Patches of the tiles that are not filling; the picture is shown with its padding."""
    number = int(sight.inputs["aspect_ratio_ids"][0, 0])
    vision = sight.config.vision_config
    rows, columns = vision.supported_aspect_ratios[number - 1]
    side, tiles = vision.image_size // sight.patch, sight.inputs["pixel_values"][0, 0]
    one = cells(side, side)
    boxes = torch.cat([into(one, tuple(part)) for part in cells(rows, columns).tolist()])
    image = sight.show(stitched(tiles[: rows * columns], rows, columns))
    return Seen(image, boxes, (side, side) if rows * columns == 1 else None)


TILES: dict[str, Callable[[Sight], Seen]] = {
    **dict.fromkeys(("internvl", "aya_vision"), _got_ocr2),
    **dict.fromkeys(("idefics3", "smolvlm"), _idefics3),
    **dict.fromkeys(("llava_next", "llava_onevision"), _any_resolution),
    "mllama": _mllama,
}
"""transformers' model type -> the places of its tokens."""
