"""Captions and pictures encoded once each, combined into any pairs by index, those of similar length together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cacr.models.processing import RegionProcessor
from cacr.regions import Regions

Rows = Mapping[str, Tensor]
Host = NDArray[np.integer]
ONCE = ("region_features", "region_positions")
"""Tensors of a picture that a batch holds once, however many of its pairs show it."""


@dataclass(frozen=True)
class Lengths:
    """How much of each encoded row is real. Arrays of the host, so that planning asks no device.

    Args:
        text: [caption], tokens.
        seen: What a picture brings, by the first word of its tensors' names ("region", "tag"): [picture] each.
    """

    text: Host
    seen: Mapping[str, Host]

    @classmethod
    def of(cls, text: Rows, regions: Rows) -> Lengths:
        """Lengths of what ``processor.encode_text`` and ``processor.encode_regions`` gave."""
        masks = {name: values for name, values in regions.items() if name.endswith("_mask")}
        return cls(
            text["attention_mask"].sum(1).cpu().numpy(),
            {name.removesuffix("_mask"): mask.sum(1).cpu().numpy() for name, mask in masks.items()},
        )

    def buckets(self, captions: Host, pictures: Host, most: int) -> list[Host]:
        """Places of pairs (captions[i], pictures[i]) in parts of similar length, of ``most`` pairs at most.

        How many parts there are depends on the number of pairs alone, so that processes may agree on it.
        """
        regions = self.seen["region"][pictures]
        words = self.text[captions] + sum(
            counts[pictures] for name, counts in self.seen.items() if name != "region"
        )
        by_length = (-words, -regions) if words.var() >= regions.var() else (-regions, -words)
        # what varies most comes first; equal pictures last, so that they meet in a part
        order = np.lexsort((pictures, *reversed(by_length)))
        return np.array_split(order, -(-len(order) // most))

    def cut(self, text: Rows, regions: Rows, captions: Host, pictures: Host) -> tuple[Rows, Rows]:
        """The rows, only as far as the longest of these captions and pictures."""
        longest = int(self.text[captions].max())
        most = {name: int(counts[pictures].max()) for name, counts in self.seen.items()}
        return (
            {name: values[:, :longest] for name, values in text.items()},
            {name: values[:, : most[name.split("_")[0]]] for name, values in regions.items()},
        )

    def padded(self, captions: Host, pictures: Host) -> bool:
        """Whether a batch of these pairs, cut, may hold padding."""
        counts = [self.text[captions], *(values[pictures] for values in self.seen.values())]
        tags = any(values.any() for name, values in self.seen.items() if name != "region")
        return bool(tags) or any((some != some[0]).any() for some in counts)


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
    processor: RegionProcessor, text: Rows, regions: Rows, captions: Tensor, pictures: Tensor
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


def lean(
    processor: RegionProcessor, text: Rows, regions: Rows, captions: Host, pictures: Host, lengths: Lengths
) -> dict[str, Any]:
    """The same without what these pairs do not need: `Lengths.cut`, and each picture once.

    The model is told whether padding is left (``padded``), and which picture a pair shows where several pairs show one
    (``picture_index``).
    """
    device = text["input_ids"].device
    text, regions = lengths.cut(text, regions, captions, pictures)
    known: dict[str, Any] = {"padded": lengths.padded(captions, pictures)}
    unique, place = np.unique(pictures, return_inverse=True)
    rows, columns = _moved(captions, device), _moved(pictures, device)
    shown = columns
    if len(unique) < len(pictures):
        shown, known["picture_index"] = _moved(unique, device), _moved(place, device)
    joined = processor.join(
        {name: values[rows] for name, values in text.items()},
        {name: values[shown if name in ONCE else columns] for name, values in regions.items()},
    )
    return {**joined, **known}


def _moved(index: Host, device: torch.device) -> Tensor:
    """An index on a device, without waiting for it. Only CUDA has read the host's memory when the call returns."""
    return torch.from_numpy(index).to(device, non_blocking=device.type == "cuda")
