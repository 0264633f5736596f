"""Captions and pictures encoded once each, combined into any pairs by index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from cacr.models.processing import RegionProcessor
from cacr.regions import Regions


class EncodedPairs:
    """Captions and pictures encoded once each, combined into any pairs by index.

    Args:
        processor: Encodes and joins them.
        captions: The captions.
        regions: The regions of the pictures.
    """

    def __init__(self, processor: RegionProcessor, captions: Sequence[str], regions: Sequence[Regions]):
        self.processor = processor
        self.text = processor.encode_text(captions)
        self.regions = processor.encode_regions(regions)

    def inputs(self, captions: Tensor, pictures: Tensor) -> dict[str, Tensor]:
        """The model's inputs for pairs (captions[i], pictures[i])."""
        return paired(self.processor, self.text, self.regions, captions, pictures)


def paired(
    processor: RegionProcessor,
    text: Mapping[str, Tensor],
    regions: Mapping[str, Tensor],
    captions: Tensor,
    pictures: Tensor,
) -> dict[str, Tensor]:
    """The model's inputs for pairs (captions[i], pictures[i]) of rows encoded already, on their device.

    Args:
        processor: Joins them.
        text: Of ``processor.encode_text``.
        regions: Of ``processor.encode_regions``.
        captions: [pair], rows of ``text``.
        pictures: [pair], rows of ``regions``.
    """
    return processor.join(
        {name: values[captions] for name, values in text.items()},
        {name: values[pictures] for name, values in regions.items()},
    )
