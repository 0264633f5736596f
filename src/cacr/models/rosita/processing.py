"""Captions and regions to ROSITA's inputs."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from cacr.models.processing import RegionProcessor
from cacr.regions import Regions

MAX_TEXT_LENGTH, MAX_REGIONS = 30, 36
"""Of the release: 28 word pieces with [CLS] and [SEP]; its features are 36 regions a picture."""
_DELETED = re.compile(r"[^\w\s]|_")


def position_features(boxes01: Tensor) -> Tensor:
    """ROSITA's 5 numbers of a box: x1, y1, x2, y2 and the area, all as fractions of the picture.

    Args:
        boxes01: [region, 4], xyxy, 0-1.

    Examples:
        >>> position_features(torch.tensor([[0.0, 0.5, 0.5, 1.0]]))
        tensor([[0.0000, 0.5000, 0.5000, 1.0000, 0.2500]])
    """
    width, height = boxes01[:, 2] - boxes01[:, 0], boxes01[:, 3] - boxes01[:, 1]
    return torch.cat([boxes01, (width * height)[:, None]], 1)


def without_punctuation(caption: str) -> str:
    """The caption with everything deleted that is neither letter, digit nor space, as in the release.

    Examples:
        >>> without_punctuation("a man's T-shirt, on a small_table!")
        'a mans Tshirt on a smalltable'
    """
    return _DELETED.sub("", caption)


class RositaProcessor(RegionProcessor):
    """Tokenizes captions and pads regions: ``processor(captions, regions)`` are the model's inputs.

    Args:
        tokenizer: A fast BERT-like tokenizer with [CLS] and [SEP]; bert-base-uncased for the released models.
        max_text_length: Word pieces per caption, with [CLS] and [SEP]; longer captions are cut.
        max_regions: Regions per picture, the first ones; all if None.
    """

    box_numbers = 5

    def __init__(
        self,
        tokenizer: Any,
        max_text_length: int = MAX_TEXT_LENGTH,
        max_regions: int | None = MAX_REGIONS,
        **kwargs: Any,
    ):
        super().__init__(tokenizer, max_text_length, max_regions, **kwargs)

    def positions(self, regions: Regions) -> Tensor:
        """[region, 5], see `position_features`."""
        return position_features(regions.boxes01)

    def clean(self, caption: str) -> str:
        """Without punctuation, see `without_punctuation`."""
        return without_punctuation(caption)
