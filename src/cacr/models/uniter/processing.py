"""Captions and regions to UNITER's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import BatchFeature, ProcessorMixin

from cacr.regions import Regions

MAX_TEXT_LENGTH = 60
"""Word pieces with [CLS] and [SEP], as in the releases."""


def position_features(boxes01: Tensor) -> Tensor:
    """UNITER's 7 numbers of a box: x1, y1, x2, y2, w, h, w·h, all as fractions of the picture.

    Args:
        boxes01: [region, 4], xyxy, 0-1.

    Example:
        >>> position_features(torch.tensor([[0.0, 0.5, 0.5, 1.0]]))
        tensor([[0.0000, 0.5000, 0.5000, 1.0000, 0.5000, 0.5000, 0.2500]])
    """
    width, height = boxes01[:, 2] - boxes01[:, 0], boxes01[:, 3] - boxes01[:, 1]
    return torch.cat([boxes01, torch.stack([width, height, width * height], 1)], 1)


class UniterProcessor(ProcessorMixin):
    """Tokenizes captions and pads regions: ``processor(captions, regions)`` are the model's inputs.

    Args:
        tokenizer: A fast BERT-like tokenizer with [CLS] and [SEP]; bert-base-cased for the released models.
        max_text_length: Word pieces per caption, with [CLS] and [SEP]; longer captions are cut.

    Example:
        >>> from cacr.data.scenes import scene, tokenizer
        >>> one = scene(0, 0)
        >>> inputs = UniterProcessor(tokenizer())([one.caption], [one.regions])
        >>> sorted(inputs)
        ['attention_mask', 'input_ids', 'region_features', 'region_mask', 'region_positions']
    """

    tokenizer_class = "AutoTokenizer"

    def __init__(self, tokenizer: Any, max_text_length: int = MAX_TEXT_LENGTH, **kwargs: Any):
        super().__init__(tokenizer, **kwargs)
        self.max_text_length = max_text_length

    def __call__(self, captions: Sequence[str], regions: Sequence[Regions]) -> BatchFeature:
        """Inputs of pairs: caption i with picture i.

        Raises:
            ValueError: Different numbers of captions and pictures, or regions of different widths.
        """
        if len(captions) != len(regions):
            raise ValueError(
                f"{len(captions)} captions and {len(regions)} pictures; expected one picture a caption"
            )
        return BatchFeature({**self.encode_text(captions), **self.encode_regions(regions)})

    def encode_text(self, captions: Sequence[str]) -> dict[str, Tensor]:
        """``input_ids`` and ``attention_mask``, [caption, longest]."""
        out = self.tokenizer(
            list(captions),
            padding=True,
            truncation=True,
            max_length=self.max_text_length,
            return_tensors="pt",
        )
        return {"input_ids": out["input_ids"], "attention_mask": out["attention_mask"]}

    def encode_regions(self, regions: Sequence[Regions]) -> dict[str, Tensor]:
        """``region_features``, ``region_positions`` and ``region_mask``, padded to the most regions."""
        widths = {r.features.shape[1] for r in regions}
        if len(widths) != 1:
            raise ValueError(
                f"regions have features of {sorted(widths)} numbers; expected one width for all pictures"
            )
        most = max(len(r) for r in regions)
        features = torch.zeros(len(regions), most, widths.pop())
        positions = torch.zeros(len(regions), most, 7)
        mask = torch.zeros(len(regions), most, dtype=torch.long)
        for i, r in enumerate(regions):
            features[i, : len(r)] = r.features
            positions[i, : len(r)] = position_features(r.boxes01)
            mask[i, : len(r)] = 1
        return {"region_features": features, "region_positions": positions, "region_mask": mask}

    def text_mask(self, input_ids: Tensor, attention_mask: Tensor, special_tokens: bool = False) -> Tensor:
        """Which tokens count as text, bool: all real ones, or those without [CLS] and [SEP]."""
        mask = attention_mask.bool()
        if special_tokens:
            return mask
        return mask & (input_ids != self.tokenizer.cls_token_id) & (input_ids != self.tokenizer.sep_token_id)


class EncodedPairs:
    """Captions and pictures encoded once each, combined into any pairs by index.

    Args:
        processor: Encodes them.
        captions: The captions.
        regions: The regions of the pictures.
    """

    def __init__(self, processor: UniterProcessor, captions: Sequence[str], regions: Sequence[Regions]):
        self.text = processor.encode_text(captions)
        self.regions = processor.encode_regions(regions)

    def inputs(self, captions: Tensor, pictures: Tensor) -> dict[str, Tensor]:
        """The model's inputs for pairs (captions[i], pictures[i])."""
        text = {name: values[captions] for name, values in self.text.items()}
        return text | {name: values[pictures] for name, values in self.regions.items()}
