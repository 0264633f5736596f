"""Pairs of UNITER, OSCAR and ROSITA, one or many at a time: words and the regions of a detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor

from cacr.data.pairs import Picture
from cacr.regions import Regions
from cacr.scorers.looking.pair import Seen, Words
from cacr.scorers.looking.words import encoded_words, origins, readable, special_ids
from cacr.scorers.regions import RegionScorer


def region_batch(
    scorer: RegionScorer, captions: Sequence[str], pictures: Sequence[Picture]
) -> tuple[dict[str, Tensor], Tensor, list[Words], list[Seen]]:
    """The model's inputs of pairs, the mask of their words [pair, token], and what each pair's positions stand for."""
    processor = scorer.processor
    text, regions = scorer.encode_captions(captions), [picture.regions for picture in pictures]
    inputs = processor.join(text, scorer.encode_pictures(pictures))
    mask = processor.text_mask(
        inputs["input_ids"], inputs["attention_mask"], token_type_ids=inputs.get("token_type_ids")
    )
    mask = mask & ~torch.isin(inputs["input_ids"], special_ids(processor.tokenizer).to(mask.device))
    words = [
        _words(scorer, caption, mask[row : row + 1], inputs["input_ids"][row])
        for row, caption in enumerate(captions)
    ]
    kept = [r if processor.max_regions is None else r.first(processor.max_regions) for r in regions]
    return inputs, mask, words, [seen_regions(p, r) for p, r in zip(pictures, kept, strict=True)]


def seen_regions(picture: Picture, regions: Regions) -> Seen:
    """Regions on their picture as it is."""
    names = None if regions.object_names is None else list(regions.object_names)
    return Seen(pixels_of(picture), regions.boxes01.float(), names=names)


def pixels_of(picture: Picture) -> Image.Image | None:
    """The picture as it is; None where there are no pixels."""
    return None if picture.read_image is None else picture.image


def _words(scorer: RegionScorer, caption: str, mask: Tensor, ids: Tensor) -> Words:
    """Words by the processor's own rule. Spans are unknown where it rewrites the caption, or counts tags as text."""
    processor, own = scorer.processor, mask.cpu()
    clean = processor.clean(caption)
    alone = encoded_words(processor.tokenizer, clean, processor.max_text_length, own)
    if len(alone.tokens) != int(own.sum()):
        return Words(own, readable(processor.tokenizer, ids.cpu()[own[0]].tolist(), caption, None), None)
    places = origins(caption, clean)
    if alone.spans is None or places is None:
        return replace(alone, spans=None)
    return replace(alone, spans=[(places[a], places[b - 1] + 1) if b > a else (0, 0) for a, b in alone.spans])
