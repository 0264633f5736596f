"""Processors for tiny models with a matching head: the words of `word_tokenizer`, and pictures of 32 x 32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import transformers as T

from cacr.tiny_models._batches import IMAGE_SIZE, IMAGE_TOKEN, PATCH_SIZE
from cacr.tiny_models.tokenizers import word_tokenizer

SQUARE = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
SHORT_SIDE = {"shortest_edge": IMAGE_SIZE}


def blip() -> Any:
    """For `two_stream.blip_itm`."""
    return T.BlipProcessor(T.BlipImageProcessorPil(size=SQUARE), word_tokenizer())


def blip2() -> Any:
    """For `query_formers.blip2_itm`."""
    return T.Blip2Processor(
        T.BlipImageProcessorPil(size=SQUARE), word_tokenizer(others={"<image>": IMAGE_TOKEN})
    )


def blip2_placeholders(queries: int) -> Any:
    """For `query_formers.blip2_itm_placeholders`: as many placeholders before the text as the model has queries."""
    processor = blip2()
    processor.num_query_tokens = queries
    return processor


def vilt() -> Any:
    """For `single_stream.vilt`; it keeps the shape of a picture."""
    options: dict[str, Any] = {"size": SHORT_SIDE, "size_divisor": PATCH_SIZE}
    return T.ViltProcessor(T.ViltImageProcessorPil(**options), word_tokenizer())


def bridge_tower() -> Any:
    """For `two_stream.bridge_tower`, whose padding is 1."""
    pictures = T.BridgeTowerImageProcessorPil(
        size=SHORT_SIDE, crop_size={"shortest_edge": IMAGE_SIZE}, size_divisor=PATCH_SIZE
    )
    return T.BridgeTowerProcessor(pictures, word_tokenizer(pad=1, begin=0))


def flava() -> Any:
    """For `single_stream.flava`."""
    return T.FlavaProcessor(T.FlavaImageProcessorPil(size=SQUARE, crop_size=SQUARE), word_tokenizer())


PROCESSORS: dict[str, Callable[[], Any]] = {
    "blip": blip,
    "blip-2": blip2,
    "vilt": vilt,
    "bridgetower": bridge_tower,
    "flava": flava,
    "lxmert": word_tokenizer,
    "visual_bert": word_tokenizer,
}
"""By transformers' model type; models of regions need a tokenizer alone."""
