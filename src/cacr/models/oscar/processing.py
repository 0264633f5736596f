"""Captions, object tags and regions to OSCAR's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cacr.models.processing import RegionProcessor, extents
from cacr.regions import Regions

MAX_TEXT_LENGTH, MAX_REGIONS = 70, 70
"""Of the retrieval models: word pieces of caption, tags and three special tokens; regions (the first OSCAR took 50)."""


def position_features(boxes01: Tensor, extents01: Tensor | None = None) -> Tensor:
    """OSCAR's 6 numbers of a box: x1, y1, x2, y2, w, h, all as fractions of the picture.

    Args:
        boxes01: [region, 4], xyxy, 0-1.
        extents01: [region, 2], w and h where a file states them by itself; from the corners if None.

    Examples:
        >>> position_features(torch.tensor([[0.0, 0.5, 0.5, 1.0]]))
        tensor([[0.0000, 0.5000, 0.5000, 1.0000, 0.5000, 0.5000]])
    """
    return torch.cat([boxes01, torch.stack(extents(boxes01, extents01), 1)], 1)


class OscarProcessor(RegionProcessor):
    """Tokenizes captions and tags and pads regions: ``processor(captions, regions)`` are the model's inputs.

    The tags are the names of a picture's objects, in order, repeats kept; a picture whose names are not known gets
    none. They belong to the picture, so `join` lays them behind whichever caption it is asked about.

    Args:
        tokenizer: A fast BERT-like tokenizer with [CLS] and [SEP]; bert-base-uncased for the released models.
        max_text_length: Word pieces of caption and tags, with [CLS] and two [SEP]; a caption is cut to it, the tags to
            what is left.
        max_regions: Regions per picture, the first ones; all if None. Tags are those of all regions.
        tags_are_text: Whether `text_mask` counts the tags, if not told otherwise.
    """

    box_numbers = 6

    def __init__(
        self,
        tokenizer: Any,
        max_text_length: int = MAX_TEXT_LENGTH,
        max_regions: int | None = MAX_REGIONS,
        tags_are_text: bool = False,
        **kwargs: Any,
    ):
        super().__init__(tokenizer, max_text_length, max_regions, **kwargs)
        self.tags_are_text = tags_are_text

    def positions(self, regions: Regions) -> Tensor:
        """[region, 6], see `position_features`."""
        return position_features(regions.boxes01, regions.extents01)

    def encode_regions(self, regions: Sequence[Regions]) -> dict[str, Tensor]:
        """The regions, and ``tag_ids`` and ``tag_mask`` [picture, most tags] without special tokens."""
        return {**super().encode_regions(regions), **self._tags([r.object_names or () for r in regions])}

    def _tags(self, names: Sequence[Sequence[str]]) -> dict[str, Tensor]:
        room = self.max_text_length - 3  # beside [CLS] and two [SEP]
        sentences = [" ".join(some) for some in names]
        out = self.tokenizer(
            sentences, add_special_tokens=False, truncation=True, max_length=max(room, 1), padding=False
        )
        rows = [row[:room] for row in out["input_ids"]]
        most = max(map(len, rows), default=0)
        ids = torch.full((len(rows), most), self.tokenizer.pad_token_id, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row, dtype=torch.long)
            mask[i, : len(row)] = 1
        return {"tag_ids": ids, "tag_mask": mask}

    def join(self, text: dict[str, Tensor], pictures: dict[str, Tensor]) -> dict[str, Tensor]:
        """The model's inputs of pairs: [CLS] caption [SEP] tags [SEP], the tags of the row's picture.

        A caption that leaves no room for a [SEP] more goes without tags, and so does a picture without any. Tensor
        operations on the device of the rows; how many columns come out depends on shapes alone.
        """
        ids, mask = text["input_ids"], text["attention_mask"]
        rest = {name: value for name, value in pictures.items() if name not in ("tag_ids", "tag_mask")}
        tag_ids, tag_mask = pictures["tag_ids"], pictures["tag_mask"]
        if not tag_ids.shape[1]:
            return {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids), **rest}
        caption, tags = mask.sum(1, keepdim=True), tag_mask.sum(1, keepdim=True)
        room = self.max_text_length - 1 - caption
        has_tags = (tags > 0) & (room >= 0)
        tags = tags.minimum(room).clamp_min(0)
        width = min(ids.shape[1] + tag_ids.shape[1] + 1, self.max_text_length)
        position = torch.arange(width, device=ids.device).expand(len(ids), -1)
        in_caption, in_tags = position < caption, position < caption + tags
        last = has_tags & (position == caption + tags)
        words = ids.gather(1, position.clamp_max(ids.shape[1] - 1))
        names = tag_ids.gather(1, (position - caption).clamp(0, tag_ids.shape[1] - 1))
        joined = torch.where(in_tags, names, self.tokenizer.pad_token_id)
        joined = torch.where(last, self.tokenizer.sep_token_id, joined)
        second = (in_tags & ~in_caption) | last
        return {
            "input_ids": torch.where(in_caption, words, joined),
            "attention_mask": (in_caption | second).long(),
            "token_type_ids": second.long(),
            **rest,
        }

    def text_mask(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        special_tokens: bool = False,
        token_type_ids: Tensor | None = None,
        tags: bool | None = None,
    ) -> Tensor:
        """Which tokens count as text, bool: those of the caption and, if asked for, of the tags.

        Args:
            input_ids: [batch, text].
            attention_mask: [batch, text], 1 where a token is real.
            special_tokens: Whether [CLS] and [SEP] count; each [SEP] goes with the part that it ends.
            token_type_ids: [batch, text], 1 in the tags; if None, they begin behind the first [SEP].
            tags: Whether tags count; as configured if None.
        """
        mask = super().text_mask(input_ids, attention_mask, special_tokens)
        if self.tags_are_text if tags is None else tags:
            return mask
        if token_type_ids is not None:
            return mask & (token_type_ids == 0)
        ends = (input_ids == self.tokenizer.sep_token_id).long()
        return mask & (ends.cumsum(1) - ends == 0)
