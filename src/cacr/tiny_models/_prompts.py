"""Prompts for decoders: a beginning, the places of a picture, and text after it; the second one is padded."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from cacr.tiny_models._batches import IMAGE_TOKEN, LAYERS, PICTURE, REAL_WORDS, VOCABULARY

PADDING, BEGINNING, ENDING = 0, 1, 2
VIDEO_TOKEN, IMAGE_START, IMAGE_END, ROW_END = 97, 96, 95, 94

DECODER: dict[str, Any] = {
    **LAYERS,
    "num_key_value_heads": 2,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 64,
    "pad_token_id": PADDING,
    "bos_token_id": BEGINNING,
    "eos_token_id": ENDING,
    "use_cache": False,
}
VISION: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    **PICTURE,
}
CLIP: dict[str, Any] = {"model_type": "clip_vision_model", "projection_dim": 16, **VISION}
SIGLIP: dict[str, Any] = {"model_type": "siglip_vision_model", "vision_use_head": False, **VISION}


def prompt(first: list[int], second: list[int]) -> dict[str, Tensor]:
    """``input_ids``, ``attention_mask`` and ``labels`` of two prompts.

    Each is the beginning, a word, the tokens given for its picture, and 7 words (the first prompt) or 5 (the second).
    """
    rows = [
        torch.tensor([BEGINNING, 50, *picture, *torch.randint(10, 90, (count,)).tolist()])
        for picture, count in zip((first, second), REAL_WORDS, strict=True)
    ]
    ids = pad_sequence(rows, batch_first=True, padding_value=PADDING)
    mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    words = (ids >= 10) & (ids < 90)
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(~words, -100)}


def picture(places: int, *, between: bool = False) -> list[int]:
    """The tokens of a picture: its placeholders, if wanted ``between`` a start and an end."""
    tokens = [IMAGE_TOKEN] * places
    return [IMAGE_START, *tokens, IMAGE_END] if between else tokens
