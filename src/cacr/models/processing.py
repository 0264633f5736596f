"""Captions and regions to the inputs of a model: what UNITER, OSCAR and ROSITA share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import BatchFeature, ProcessorMixin

from cacr._messages import shortly
from cacr.regions import Regions

logger = logging.getLogger(__name__)


class RegionProcessor(ProcessorMixin):
    """Tokenizes captions and pads regions: ``processor(captions, regions)`` are the model's inputs.

    Captions and pictures can also be encoded by themselves (`encode_text`, `encode_regions`), once each, and any rows
    of both be combined later (`join`).

    Args:
        tokenizer: A fast BERT-like tokenizer with [CLS] and [SEP].
        max_text_length: Word pieces per text, with [CLS] and [SEP]; longer ones are cut, which is said once.
        max_regions: Regions per picture, the first ones; all if None.
    """

    tokenizer_class = "AutoTokenizer"
    box_numbers = 0
    """How many numbers the model takes of a box."""
    regions_type = Regions
    """What it takes of a picture: ``processor.regions_type(features, boxes01)``, for those who have not cacr."""

    def __init__(
        self, tokenizer: Any, max_text_length: int = 60, max_regions: int | None = None, **kwargs: Any
    ):
        super().__init__(tokenizer, **kwargs)
        regions = 1 if max_regions is None else max_regions
        if not all(type(n) is int for n in (max_text_length, regions)) or not (
            3 <= max_text_length < 2**31 and regions >= 1
        ):
            raise ValueError(
                f"max_text_length is {shortly(max_text_length)} and max_regions {shortly(max_regions)}; expected whole "
                "numbers with room for [CLS], a word and [SEP], and for one region at least"
            )
        self.max_text_length, self.max_regions = max_text_length, max_regions
        self._said_cut = False

    def __call__(self, captions: Sequence[str], regions: Sequence[Regions]) -> BatchFeature:
        """Inputs of pairs: caption i with picture i.

        Raises:
            ValueError: Different numbers of captions and pictures, or regions of different widths.
        """
        if len(captions) != len(regions):
            raise ValueError(
                f"{len(captions)} captions and {len(regions)} pictures; expected one picture a caption"
            )
        return BatchFeature(self.join(self.encode_text(captions), self.encode_regions(regions)))

    def encode_text(self, captions: Sequence[str]) -> dict[str, Tensor]:
        """``input_ids`` and ``attention_mask``, [caption, longest], padded at the end.

        Raises:
            ValueError: No captions, or one that is no text.
        """
        if len(captions) == 0:
            raise ValueError("no captions were given; expected one at least")
        for i, caption in enumerate(captions):
            if not isinstance(caption, str) or not _is_text(caption):
                raise ValueError(f"caption {i} is {shortly(caption)}; expected text")
        out = self.tokenizer(
            [self.clean(caption) for caption in captions],
            padding=True,
            padding_side="right",
            truncation=True,
            max_length=self.max_text_length,
            return_tensors="pt",
        )
        self._say_cut(captions, out.encodings or ())
        return {"input_ids": out["input_ids"], "attention_mask": out["attention_mask"]}

    def encode_regions(self, regions: Sequence[Regions]) -> dict[str, Tensor]:
        """``region_features``, ``region_positions`` and ``region_mask``, padded to the most regions.

        Raises:
            ValueError: No pictures, or regions of different widths.
        """
        kept = regions if self.max_regions is None else [r.first(self.max_regions) for r in regions]
        return padded_regions(kept, self.box_numbers, self.positions)

    def join(self, text: dict[str, Tensor], pictures: dict[str, Tensor]) -> dict[str, Tensor]:
        """The model's inputs of pairs, from rows of `encode_text` and of `encode_regions`; on any device."""
        return {**text, **pictures}

    def text_mask(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        special_tokens: bool = False,
        token_type_ids: Tensor | None = None,
    ) -> Tensor:
        """Which tokens count as text, bool: all real ones, or those without [CLS] and [SEP].

        Args:
            input_ids: [batch, text].
            attention_mask: [batch, text], 1 where a token is real.
            special_tokens: Whether [CLS] and [SEP] count.
            token_type_ids: [batch, text]; tells a caption from tags where the model has these.
        """
        mask = attention_mask.bool()
        if special_tokens:
            return mask
        return mask & (input_ids != self.tokenizer.cls_token_id) & (input_ids != self.tokenizer.sep_token_id)

    def _say_cut(self, captions: Sequence[str], encodings: Sequence[Any]) -> None:
        if self._said_cut:
            return
        for caption, encoding in zip(captions, encodings, strict=False):
            if encoding.overflowing:
                self._said_cut = True
                logger.warning(
                    "a caption has more than %d word pieces and is cut, as all such are (said once): %s",
                    self.max_text_length,
                    shortly(caption),
                )
                return

    def clean(self, caption: str) -> str:
        """The caption as it is tokenized."""
        return caption

    def positions(self, regions: Regions) -> Tensor:
        """The numbers of each box, [region, box_numbers]."""
        raise NotImplementedError


def padded_regions(
    regions: Sequence[Regions], numbers: int, positions: Callable[[Regions], Tensor]
) -> dict[str, Tensor]:
    """``region_features``, ``region_positions`` and ``region_mask``, padded to the most regions.

    Args:
        regions: Of each picture.
        numbers: How many numbers ``positions`` gives of each region.
        positions: What a model reads of the boxes of a picture: [region, numbers].

    Raises:
        ValueError: No pictures, or regions of different widths.
    """
    if len(regions) == 0:
        raise ValueError("no pictures were given; expected the regions of one at least")
    widths = {r.features.shape[1] for r in regions}
    if len(widths) != 1:
        raise ValueError(
            f"regions have features of {sorted(widths)} numbers; expected one width for all pictures"
        )
    most = max(len(r) for r in regions)
    features = torch.zeros(len(regions), most, widths.pop())
    boxes = torch.zeros(len(regions), most, numbers)
    mask = torch.zeros(len(regions), most, dtype=torch.long)
    for i, r in enumerate(regions):
        features[i, : len(r)] = r.features
        boxes[i, : len(r)] = positions(r)
        mask[i, : len(r)] = 1
    return {"region_features": features, "region_positions": boxes, "region_mask": mask}


def _is_text(caption: str) -> bool:
    """Whether every sign is one of Unicode's: halves of pairs, which JSON can hold, are not."""
    return caption.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in caption)


def extents(boxes01: Tensor, extents01: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Width and height of boxes, [region] each, 0-1: as stated by their file, or from their corners."""
    if extents01 is not None:
        return extents01[:, 0], extents01[:, 1]
    return boxes01[:, 2] - boxes01[:, 0], boxes01[:, 3] - boxes01[:, 1]
