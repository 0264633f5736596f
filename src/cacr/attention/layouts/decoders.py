"""Language models that read the image as tokens of their own sequence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from cacr.attention.layouts.encoders import BLIP2_QFORMER, INSTRUCTBLIP_QFORMER
from cacr.attention.layouts.layout import Layout, joint
from cacr.attention.layouts.positions import marked, placeholders, prefix_text, suffix_text

CAUSAL = "a causal model: image tokens cannot see the words after them"
AFTER = "only words after the last image token count: no other word of a causal model sees the image"


def full_layers(model: nn.Module, count: int) -> list[int]:
    """Layers without a sliding window and without linear attention, by the config."""
    config: Any = model.config
    config = config.get_text_config() if hasattr(config, "get_text_config") else config
    kinds = getattr(config, "layer_types", None)
    if not kinds or len(kinds) != count:
        return list(range(count))
    return [layer for layer, kind in enumerate(kinds) if kind == "full_attention"]


def decoder(name: str, path: str = "language_model.layers.{layer}.self_attn") -> Layout:
    """A causal decoder whose image tokens are placeholders in ``input_ids``."""
    return joint(name, path, placeholders(after_image=True), causal=CAUSAL, layers=full_layers, note=AFTER)


TEXT_MODEL = "text_model.layers.{layer}.self_attn"
OPT = "language_model.model.decoder.layers.{layer}.self_attn"
T5 = "language_model.encoder.block.{layer}.layer.0.SelfAttention"
BLIP2_OPT = decoder("blip-2-opt", OPT)
BLIP2_T5 = joint("blip-2-t5", T5, placeholders(after_image=False))
PALIGEMMA = replace(
    decoder("paligemma").at(vl="language_model.layers.{layer}.self_attn"),
    masks=prefix_text,
    absent={},
    note='only the prefix counts as text, which sees the image and is seen; layout="paligemma-suffix" takes the rest',
)
PALIGEMMA_SUFFIX = replace(
    decoder("paligemma-suffix"),
    masks=suffix_text,
    absent={"vl": "the image cannot see the suffix"},
    note="only the suffix (token_type_ids 1) counts as text",
)
KOSMOS2 = joint(
    "kosmos-2",
    "text_model.model.layers.{layer}.self_attn",
    marked("image_embeds_position_mask"),
    causal=CAUSAL,
    note=AFTER,
)


LANGUAGE_MODEL_LAYERS = (
    "llava",
    "llava_next",
    "llava_onevision",
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
    "internvl",
    "gemma3",
    "mistral3",
    "aya_vision",
)
LAYOUTS: dict[str, list[Layout]] = {
    **{name: [decoder(name)] for name in LANGUAGE_MODEL_LAYERS},
    **{name: [decoder(name, TEXT_MODEL)] for name in ("smolvlm", "idefics2", "idefics3")},
    "paligemma": [PALIGEMMA, PALIGEMMA_SUFFIX],
    "kosmos-2": [KOSMOS2],
    "chameleon": [decoder("chameleon", "layers.{layer}.self_attn")],
    "blip-2": [BLIP2_OPT, BLIP2_T5, BLIP2_QFORMER],
    "instructblip": [
        INSTRUCTBLIP_QFORMER,
        decoder("instructblip-llm", "language_model.model.layers.{layer}.self_attn"),
    ],
}
ANY = [
    decoder(f"any decoder ({path.split('.{')[0]})", path)
    for path in (
        "language_model.layers.{layer}.self_attn",
        TEXT_MODEL,
        "language_model.model.layers.{layer}.self_attn",
    )
]
"""For models in no table: tried in order, where the config names an image token. Their masks decide what exists."""
