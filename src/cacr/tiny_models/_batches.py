"""Captions, pictures and regions for a batch of two pairs, the second of them padded; and what builders share."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cacr.tiny_models._tiny import TinyModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel

VOCABULARY = 99
WORDS, REAL_WORDS = 7, (7, 5)
REGIONS, REAL_REGIONS = 4, (4, 3)
REGION_DIM = 16
IMAGE_SIZE, PATCH_SIZE = 32, 8
PATCHES = (IMAGE_SIZE // PATCH_SIZE) ** 2
IMAGE_TOKEN = 98

LAYERS: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
NO_DROPOUT: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
PICTURE: dict[str, Any] = {"image_size": IMAGE_SIZE, "patch_size": PATCH_SIZE}
_QUERY_OR_KEY = re.compile(r"\.(query|key|q_proj|k_proj|q|k|qkv)\.weight$")


def seeded(build: Callable[[], TinyModel]) -> Callable[[], TinyModel]:
    """The builder, giving the same weights and inputs at every call, without a trace in torch's generator."""

    @functools.wraps(build)
    def built() -> TinyModel:
        with torch.random.fork_rng(devices=()):
            torch.random.default_generator.manual_seed(0)
            return build()

    return built


def tiny(model: PreTrainedModel, **inputs: Tensor) -> TinyModel:
    """Model and inputs, with noise on every weight, most on those of queries and keys.

    Without it, attention would be nearly uniform at this width, and every row of it alike (exactly so where queries
    start at 0, as in BLIP-2): a test could not tell one row from another.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale = 0.4 if _QUERY_OR_KEY.search(name) else 0.1
            parameter.add_(scale * torch.randn_like(parameter))
    return TinyModel(model.eval(), inputs)


def real(lengths: tuple[int, ...], longest: int) -> Tensor:
    """[pair, position], 1 where a position is real."""
    return (torch.arange(longest) < torch.tensor(lengths)[:, None]).long()


def words(pad: int = 0) -> dict[str, Tensor]:
    """``input_ids`` and ``attention_mask``: 7 words, and 5 with 2 of padding."""
    mask = real(REAL_WORDS, WORDS)
    ids = torch.randint(10, 90, mask.shape)
    return {"input_ids": ids.masked_fill(mask == 0, pad), "attention_mask": mask}


def after_picture(places: int, pad: int = 0) -> dict[str, Tensor]:
    """`words` after ``places`` placeholders of a picture, with ``labels`` on the words."""
    text = words(pad)
    pictures = torch.full((len(REAL_WORDS), places), IMAGE_TOKEN)
    ids = torch.cat([pictures, text["input_ids"]], 1)
    mask = torch.cat([torch.ones_like(pictures), text["attention_mask"]], 1)
    labels = ids.masked_fill((mask == 0) | (ids == IMAGE_TOKEN), -100)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def captions(text: dict[str, Tensor]) -> Tensor:
    """Labels of a language model: the words, and -100 on padding."""
    return text["input_ids"].masked_fill(text["attention_mask"] == 0, -100)


def pixels() -> Tensor:
    """Two pictures of 32 x 32."""
    return torch.randn(len(REAL_WORDS), 3, IMAGE_SIZE, IMAGE_SIZE)


def matches() -> Tensor:
    """The first pair is a match, the second is not."""
    return torch.tensor([1, 0])
