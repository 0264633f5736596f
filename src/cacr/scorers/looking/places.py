"""Where in the picture each image token of a model that writes stands, family by family.

Only orders that are certain from transformers' code and proved by tests/unit/scorers/looking are here; tokens of any
other family have no place, and so have queries (BLIP-2, InstructBLIP, Idefics2, Kosmos-2). A count that does not fit
what the model reads gives none, never a wrong place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel

from cacr.scorers.generative.passages import image_token
from cacr.scorers.looking.pair import Seen
from cacr.scorers.looking.pictures import cells, shown


@dataclass(frozen=True, eq=False)
class Sight:
    """What a model read of one picture."""

    config: Any
    processor: Any
    """Of images."""
    inputs: Mapping[str, Tensor]
    image: Image.Image
    """The picture as it was given."""
    count: int | None
    """How many tokens of the sequence stand for it; None where the layout counts other positions."""

    @property
    def pixels(self) -> Tensor:
        """Pixel values without the axes that count one picture: [(tile,) channel, height, width]."""
        values = self.inputs["pixel_values"]
        while values.ndim > 3 and len(values) == 1:
            values = values[0]
        return values

    @property
    def patch(self) -> int:
        """The side of a patch in pixels."""
        return int(self.config.vision_config.patch_size)

    def show(self, pixels: Tensor) -> Image.Image | None:
        """Pixel values as a picture."""
        return shown(pixels, self.processor)


def seen_by(model: PreTrainedModel, processor: Any, inputs: Mapping[str, Tensor], image: Image.Image) -> Seen:
    """The picture as the model saw it, and the places of the tokens that stand for it."""
    from cacr.scorers.looking.tiles import TILES

    kind, token = model.config.model_type, image_token(model.config)
    across = token is None or "cross_attention_mask" in inputs  # the picture is no part of the sequence
    found = None if across else int(inputs["input_ids"].eq(int(token or 0)).sum())
    sight = Sight(model.config, processor.image_processor, inputs, image, found or None)
    seen = {**PLACES, **TILES}.get(kind, nowhere)(sight)
    kept = None if seen.boxes01 is None else len(seen.boxes01)
    total = kept if seen.keep is None else len(seen.keep)
    if kept is not None and (
        sight.count not in (None, total) or (seen.keep is not None and int(seen.keep.sum()) != kept)
    ):
        return nowhere(sight)
    return seen


def nowhere(sight: Sight) -> Seen:
    """Tokens without a place, beside the picture as it was seen, where it was seen whole."""
    pixels = sight.pixels if "pixel_values" in sight.inputs else torch.empty(0)
    return Seen(sight.show(pixels) if pixels.ndim == 3 else sight.image)


def patches(sight: Sight) -> Seen:
    """Patches of one picture in reading order; a [CLS] before them is left out where the layout counts it."""
    pixels = sight.pixels
    if pixels.ndim != 3:
        return nowhere(sight)
    height, width = pixels.shape[1:]
    grid = height // sight.patch, width // sight.patch
    keep = None
    if sight.count == grid[0] * grid[1] + 1:
        keep = torch.arange(sight.count) > 0
    boxes = cells(*grid, sight.patch / height, sight.patch / width)
    return Seen(sight.show(pixels), boxes, grid, keep)


def _llava(sight: Sight) -> Seen:
    """Patches; Pixtral's pictures have a size each, and are padded at the right and the bottom."""
    return _sized(sight, 1) if "image_sizes" in sight.inputs else patches(sight)


def _mistral3(sight: Sight) -> Seen:
    """Pixtral's patches, merged; breaks between rows are tokens of their own that do not count."""
    return _sized(sight, int(sight.config.spatial_merge_size))


def _sized(sight: Sight, merged: int) -> Seen:
    pixels = sight.pixels
    if pixels.ndim != 3:
        return nowhere(sight)
    height, width = (int(side) for side in sight.inputs["image_sizes"].flatten()[:2])
    cell = sight.patch * merged
    grid = height // cell, width // cell
    return Seen(sight.show(pixels[:, :height, :width]), cells(*grid, cell / height, cell / width), grid)


def _pooled(sight: Sight) -> Seen:
    """Gemma 3: patches in squares, averaged. Several crops of a picture (pan and scan) have no place here."""
    pixels = sight.pixels
    if pixels.ndim != 3:
        return nowhere(sight)
    side, size = int(sight.config.mm_tokens_per_image**0.5), pixels.shape[-1]
    cell = int(sight.config.vision_config.image_size) // sight.patch // side * sight.patch / size
    return Seen(sight.show(pixels), cells(side, side, cell, cell), (side, side))


def _square(sight: Sight, before: int = 0) -> Seen:
    """A square grid that fills a square picture, after ``before`` tokens without a place."""
    pixels, count = sight.pixels, (sight.count or 0) - before
    side = round(count**0.5) if count > 0 else 0
    if pixels.ndim != 3 or pixels.shape[1] != pixels.shape[2] or not side or side**2 != count:
        return nowhere(sight)
    keep = torch.arange(count + before) >= before if before else None
    return Seen(sight.show(pixels), cells(side, side), (side, side), keep)


def _florence2(sight: Sight) -> Seen:
    """The mean of all, then the cells of the vision tower's last map."""
    return _square(sight, before=1)


def _qwen(sight: Sight) -> Seen:
    """Patches merged to squares, these in reading order; the processor writes a square's patches after each other."""
    (frames, rows, columns), *more = sight.inputs["image_grid_thw"].tolist()
    merged = int(sight.config.vision_config.spatial_merge_size)
    if frames != 1 or more:
        return nowhere(sight)
    whole = rearrange(
        sight.inputs["pixel_values"],
        "(r c a b) (channel time h w) -> time channel (r a h) (c b w)",
        r=rows // merged,
        c=columns // merged,
        a=merged,
        b=merged,
        channel=3,
        h=sight.patch,
        w=sight.patch,
    )
    grid = rows // merged, columns // merged
    return Seen(sight.show(whole[0]), cells(*grid), grid)


PLACES: dict[str, Callable[[Sight], Seen]] = {
    **dict.fromkeys(("paligemma", "git", "blip"), patches),
    **dict.fromkeys(("qwen2_vl", "qwen2_5_vl", "qwen3_vl"), _qwen),
    "llava": _llava,
    "mistral3": _mistral3,
    "gemma3": _pooled,
    "chameleon": _square,
    "florence2": _florence2,
}
"""transformers' model type -> the places of its tokens, for pictures that are seen whole; `tiles` has the others."""
