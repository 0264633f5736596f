"""Rules that tell text from regions: by their order in the sequence, or by placeholder tokens."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from cacr.attention.layouts.layout import Masks, Run, padding

PLACEHOLDERS = ("image_token_id", "image_token_index", "video_token_id", "video_token_index")
MARKERS = (
    *("vision_start_token_id", "vision_end_token_id", "image_start_token_id", "image_end_token_id"),
    *("video_start_token_id", "video_end_token_id", "boi_token_index", "eoi_token_index"),
)


def text_then_regions(features: str, mask: str) -> Masks:
    """[text | regions], each with a mask of its own among the inputs.

    Args:
        features: Name of the input [batch, region, feature].
        mask: Name of its mask; every region is real where it is not given.
    """

    def masks(run: Run) -> tuple[Tensor, Tensor]:
        text, regions = run.words(), run.regions(real(run, features, mask))
        return pad(text, (0, regions.shape[1])), pad(regions, (text.shape[1], 0))

    return masks


def real(run: Run, features: str, mask: str) -> Tensor:
    """Which regions are real, [batch, region]."""
    given = run.inputs.get(mask)
    if given is not None:
        return given.bool()
    return torch.ones(run.input(features).shape[:2], dtype=torch.bool, device=run.input(features).device)


def image_then_text(skip: Callable[[Run, int], Tensor]) -> Masks:
    """[image | text]: the text is what the text input is long, at the end.

    Args:
        skip: (run, image positions) -> which of them are no regions, [positions]: [CLS] and the like.
    """

    def masks(run: Run) -> tuple[Tensor, Tensor]:
        text, keys = run.words(), run.keys("lv")
        image = keys.shape[1] - text.shape[1]
        regions = run.regions(keys[:, :image] & ~skip(run, image).to(keys.device))
        return pad(text, (image, 0)), pad(regions, (0, text.shape[1]))

    return masks


def placeholders(after_image: bool) -> Masks:
    """Tokens of the text input that stand for the image, by the ids in the config.

    Args:
        after_image: Whether only text after the last image counts, since in a causal model none other sees it.
    """

    def masks(run: Run) -> tuple[Tensor, Tensor]:
        if run.masks_are_given:
            return run.words(), run.regions()
        ids = run.input("input_ids")
        image = is_any_of(ids, run, PLACEHOLDERS)
        regions = run.regions(image & _real(run, ids))
        return run.words(_text(run, ids, image, after_image)), regions

    return masks


def marked(name: str) -> Masks:
    """A causal model whose input ``name`` is 1 at image positions."""

    def masks(run: Run) -> tuple[Tensor, Tensor]:
        image = run.input(name).bool()
        return run.words(_text(run, run.input("input_ids"), image, True)), run.regions(image)

    return masks


def prefix_text(run: Run) -> tuple[Tensor, Tensor]:
    """PaliGemma: image and prefix see each other; the suffix (token_type_ids 1) is left out."""
    text, regions = placeholders(after_image=False)(run)
    types = run.inputs.get("token_type_ids")
    return (text if types is None or run.text_mask is not None else text & (types == 0)), regions


def suffix_text(run: Run) -> tuple[Tensor, Tensor]:
    """PaliGemma: the suffix (token_type_ids 1), which sees the image and its own past."""
    text, regions = placeholders(after_image=False)(run)
    return (text if run.text_mask is not None else text & (run.input("token_type_ids") == 1)), regions


def is_any_of(ids: Tensor, run: Run, names: tuple[str, ...]) -> Tensor:
    """True where a token id is one of those that the config names."""
    found = torch.zeros_like(ids, dtype=torch.bool)
    for name in names:
        token = getattr(run.config, name, None)
        if token is not None:
            found = found | (ids == token)
    return found


def _text(run: Run, ids: Tensor, image: Tensor, after_image: bool) -> Tensor:
    text = ~image & ~is_any_of(ids, run, MARKERS)
    return text & (image.cumsum(1) == image.sum(1, keepdim=True)) if after_image else text


def _real(run: Run, ids: Tensor) -> Tensor:
    given = run.inputs.get("attention_mask")
    return torch.ones_like(ids, dtype=torch.bool) if given is None else padding(given, "attention_mask")
