"""Decoders that let pictures in by another mask or another door than a causal row of placeholders."""

from __future__ import annotations

import torch
import transformers as T

from cacr.tiny_models._batches import IMAGE_TOKEN, PATCH_SIZE, PATCHES, VOCABULARY, pixels, seeded, tiny
from cacr.tiny_models._prompts import DECODER, IMAGE_END, IMAGE_START, SIGLIP, VISION, picture, prompt
from cacr.tiny_models._tiny import TinyModel


@seeded
def paligemma() -> TinyModel:
    """PaliGemma: picture and prefix see each other whole, the suffix (3 words) is causal."""
    config = T.PaliGemmaConfig(
        vision_config=SIGLIP,
        text_config={"model_type": "gemma", **DECODER, "num_key_value_heads": 1, "head_dim": 8},
        image_token_index=IMAGE_TOKEN,
        projection_dim=32,
        hidden_size=32,
    )
    text = prompt(picture(PATCHES), picture(PATCHES))
    real = text["attention_mask"]
    suffix = real.cumsum(1) > real.sum(1, keepdim=True) - 3
    text["token_type_ids"] = suffix.long() * real
    text["labels"] = text["labels"].masked_fill(text["token_type_ids"] == 0, -100)
    return tiny(T.PaliGemmaForConditionalGeneration(config), **text, pixel_values=pixels())


@seeded
def gemma3() -> TinyModel:
    """Gemma 3: a picture sees itself whole; the last layer sees 8 positions back, the one before it everything."""
    layers = ["sliding_attention", "full_attention", "sliding_attention"]
    window = {"layer_types": layers, "sliding_window": 8, "query_pre_attn_scalar": 8}
    config = T.Gemma3Config(
        vision_config=SIGLIP,
        text_config={**DECODER, **window, "head_dim": 8},
        image_token_index=IMAGE_TOKEN,
        boi_token_index=IMAGE_START,
        eoi_token_index=IMAGE_END,
        mm_tokens_per_image=PATCHES,
    )
    text = prompt(picture(PATCHES, between=True), picture(PATCHES, between=True))
    text["token_type_ids"] = (text["input_ids"] == IMAGE_TOKEN).long()
    return tiny(T.Gemma3ForConditionalGeneration(config), **text, pixel_values=pixels())


@seeded
def kosmos2() -> TinyModel:
    """Kosmos-2: the places of a picture are named by a mask; the tokens there mean nothing."""
    sizes = {"embed_dim": 32, "layers": 3, "attention_heads": 4, "ffn_dim": 64, "max_position_embeddings": 64}
    places = [4, 5, 6, 7]
    config = T.Kosmos2Config(
        vision_config=VISION,
        text_config={
            **sizes,
            "vocab_size": VOCABULARY,
            "dropout": 0.0,
            "attention_dropout": 0.0,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "use_cache": False,
        },
        latent_query_num=len(places),
    )
    text = prompt(places, places)
    text["image_embeds_position_mask"] = torch.isin(text["input_ids"], torch.tensor(places)).long()
    return tiny(T.Kosmos2ForConditionalGeneration(config), **text, pixel_values=pixels())


@seeded
def mllama() -> TinyModel:
    """Llama 3.2 Vision: layers 1 and 3 of 5 look across at the tiles of the picture: 2, and 1 with one of padding."""
    config = T.MllamaConfig(
        vision_config={
            "hidden_size": 32,
            "attention_heads": 4,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_global_layers": 2,
            "image_size": 3 * PATCH_SIZE,
            "patch_size": PATCH_SIZE,
            "max_num_tiles": 2,
            "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]],
            "intermediate_layers_indices": [0],
            "vision_output_dim": 64,
        },
        text_config={**DECODER, "num_hidden_layers": 5, "cross_attention_layers": [1, 3]},
        image_token_index=VOCABULARY,
    )
    text = prompt([VOCABULARY], [VOCABULARY])
    seen = (text["input_ids"] == VOCABULARY).cumsum(1)
    tiles = torch.tensor([[[1, 1]], [[1, 0]]])
    pictures = torch.randn(2, 1, 2, 3, 3 * PATCH_SIZE, 3 * PATCH_SIZE)
    return tiny(
        T.MllamaForConditionalGeneration(config),
        **text,
        pixel_values=pictures * tiles[..., None, None, None],
        aspect_ratio_ids=torch.tensor([[2], [1]]),
        aspect_ratio_mask=tiles,
        cross_attention_mask=seen[:, :, None, None] * tiles[:, None],
    )


@seeded
def chameleon() -> TinyModel:
    """Chameleon: a picture is quantized to words of the vocabulary before the first layer."""
    letters = "ABCDEFGH"
    config = T.ChameleonConfig(
        **DECODER,
        vq_config={
            "embed_dim": 32,
            "num_embeddings": len(letters),
            "latent_channels": 32,
            "resolution": 4 * 4,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 1],
            "num_res_blocks": 1,
        },
        vocabulary_map={"<image>": IMAGE_TOKEN}
        | {f"IMGIMG{letter}Z": 90 + code for code, letter in enumerate(letters)},
    )
    text = prompt(picture(PATCHES), picture(PATCHES))
    return tiny(T.ChameleonForConditionalGeneration(config), **text, pixel_values=torch.randn(2, 3, 16, 16))
