"""Captions and regions to UNITER's inputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cacr.models.processing import RegionProcessor, extents
from cacr.regions import Regions

MAX_TEXT_LENGTH = 60
"""Word pieces with [CLS] and [SEP], as in the releases."""


def position_features(boxes01: Tensor, extents01: Tensor | None = None) -> Tensor:
    """UNITER's 7 numbers of a box: x1, y1, x2, y2, w, h, w·h, all as fractions of the picture.

    Args:
        boxes01: [region, 4], xyxy, 0-1.
        extents01: [region, 2], w and h where a file states them by itself; from the corners if None.

    Examples:
        >>> position_features(torch.tensor([[0.0, 0.5, 0.5, 1.0]]))
        tensor([[0.0000, 0.5000, 0.5000, 1.0000, 0.5000, 0.5000, 0.2500]])
    """
    width, height = extents(boxes01, extents01)
    return torch.cat([boxes01, torch.stack([width, height, width * height], 1)], 1)


class UniterProcessor(RegionProcessor):
    """Tokenizes captions and pads regions: ``processor(captions, regions)`` are the model's inputs.

    Args:
        tokenizer: A fast BERT-like tokenizer with [CLS] and [SEP]; bert-base-cased for the released models.
        max_text_length: Word pieces per caption, with [CLS] and [SEP]; longer captions are cut.
        max_regions: Regions per picture, the first ones; all if None.

    Examples:
        >>> from cacr.data.scenes import scene, tokenizer
        >>> one = scene(0, 0)
        >>> inputs = UniterProcessor(tokenizer())([one.caption], [one.regions])
        >>> sorted(inputs)
        ['attention_mask', 'input_ids', 'region_features', 'region_mask', 'region_positions']
    """

    box_numbers = 7

    def __init__(
        self,
        tokenizer: Any,
        max_text_length: int = MAX_TEXT_LENGTH,
        max_regions: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(tokenizer, max_text_length, max_regions, **kwargs)

    def positions(self, regions: Regions) -> Tensor:
        """[region, 7], see `position_features`."""
        return position_features(regions.boxes01, regions.extents01)
