"""Pairs of models with a matching head, for the forward pass of the whole model that `watch` hooks.

The scorers call a model's parts, each side once; the same pair through the whole model gives the same match.
Patches come in reading order after a [CLS], which the layouts leave out. Only ViLT draws their order, so its patches
are put into reading order here: the position of a patch is in its embedding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from cacr.attention.layouts.encoders import BLIP2_QFORMER
from cacr.attention.layouts.layout import Run
from cacr.data.pairs import Picture
from cacr.scorers import match_heads as heads
from cacr.scorers.looking.pair import Pair, Seen, Words
from cacr.scorers.looking.pictures import cells, shown
from cacr.scorers.looking.regions import seen_regions
from cacr.scorers.looking.words import encoded_words
from cacr.scorers.match_heads.heads import MatchHeadScorer, RegionHeadScorer


def head_pair(scorer: MatchHeadScorer, caption: str, picture: Picture) -> Pair:
    """A pair for the whole model of a scorer with a matching head."""
    make = next(make for kind, make in MAKE.items() if isinstance(scorer, kind))
    inputs = scorer.words([caption])
    words = encoded_words(scorer.tokenizer, caption, scorer.max_text_length)
    return make(scorer, inputs, replace(words, mask=words.mask.to(scorer.model.device)), picture)


def _pixels(scorer: Any, picture: Picture) -> tuple[Tensor, Seen]:
    """Pixel values of one picture, and its patches on it."""
    pixels, patch = scorer.pixels(picture), scorer.vision_config.patch_size
    height, width = pixels.shape[1:]
    grid = height // patch, width // patch
    boxes = cells(*grid, patch / height, patch / width)
    return pixels[None], Seen(shown(pixels, scorer.processor.image_processor), boxes, grid)


def _of_pixels(scorer: Any, inputs: dict[str, Tensor], words: Words, picture: Picture) -> Pair:
    """For a model that takes words and pixels."""
    pixels, seen = _pixels(scorer, picture)
    return Pair({**inputs, "pixel_values": pixels}, words, seen)


def _flava(scorer: Any, inputs: dict[str, Tensor], words: Words, picture: Picture) -> Pair:
    """The joint encoder of FLAVA's pre-training reads masked words; none is masked here."""
    pair = _of_pixels(scorer, inputs, words, picture)
    more = {"input_ids_masked": inputs["input_ids"], "return_loss": False}
    return replace(pair, inputs={**pair.inputs, **more})


def _vilt(scorer: Any, inputs: dict[str, Tensor], words: Words, picture: Picture) -> Pair:
    pixels, seen = _pixels(scorer, picture)
    whole = torch.ones(1, *pixels.shape[2:], dtype=torch.long, device=pixels.device)
    with torch.random.fork_rng(devices=()):
        found, _, (index, _) = scorer.model.vilt.embeddings.visual_embed(pixels, whole, max_image_length=-1)
    assert seen.grid is not None
    order = (index[0, :, 0] * seen.grid[1] + index[0, :, 1]).argsort().to(found.device)
    tokens = torch.cat([found[:, :1], found[:, 1:][:, order]], 1)
    mask = torch.ones(tokens.shape[:2], dtype=torch.long, device=tokens.device)
    return Pair({**inputs, "image_embeds": tokens, "pixel_mask": mask}, words, seen)


def _blip2(scorer: Any, inputs: dict[str, Tensor], words: Words, picture: Picture) -> Pair:
    """Queries have no place in the picture. Newer models cut a placeholder for each off the text again."""
    pixels, seen = _pixels(scorer, picture)
    config = scorer.model.config
    queries = config.num_query_tokens
    given = {**inputs, "pixel_values": pixels, "use_image_text_matching_head": True}
    seen = Seen(seen.image)
    if config.image_token_index is None:
        return Pair(given, words, seen)
    ids, real = inputs["input_ids"], inputs["attention_mask"]
    given["input_ids"] = pad(ids, (queries, 0), value=config.image_token_index)
    given["attention_mask"] = pad(real, (queries, 0), value=1)

    def masks(run: Run) -> tuple[Tensor, Tensor]:
        text = pad(words.mask, (queries, 0))
        return text, torch.arange(text.shape[1], device=text.device)[None] < queries

    return Pair(given, words, seen, layout=replace(BLIP2_QFORMER, masks=masks))


def _lxmert(scorer: Any, inputs: dict[str, Tensor], words: Words, picture: Picture) -> Pair:
    given, seen = _regions(scorer, picture)
    names = ("visual_feats", "visual_pos", "visual_attention_mask")
    return Pair({**inputs, **dict(zip(names, given, strict=True))}, words, seen)


def _visual_bert(scorer: Any, inputs: dict[str, Tensor], words: Words, picture: Picture) -> Pair:
    (features, _, mask), seen = _regions(scorer, picture)
    given = {
        "visual_embeds": features,
        "visual_attention_mask": mask,
        "visual_token_type_ids": torch.ones_like(mask),
    }
    return Pair({**inputs, **given}, words, seen)


def _regions(scorer: Any, picture: Picture) -> tuple[tuple[Tensor, Tensor, Tensor], Seen]:
    """Features, boxes and mask, and what they are."""
    given = RegionHeadScorer.encode_pictures(scorer, [picture])
    parts = given["region_features"], given["region_positions"], given["region_mask"]
    return parts, seen_regions(picture, picture.regions)


MAKE: dict[type[MatchHeadScorer], Callable[..., Pair]] = {
    heads.BlipScorer: _of_pixels,
    heads.BridgeTowerScorer: _of_pixels,
    heads.FlavaScorer: _flava,
    heads.Blip2Scorer: _blip2,
    heads.ViltScorer: _vilt,
    heads.LxmertScorer: _lxmert,
    heads.VisualBertScorer: _visual_bert,
}
