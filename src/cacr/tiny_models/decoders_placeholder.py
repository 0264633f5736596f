"""Decoders that see a picture as placeholders in their own sequence, under a causal mask."""

from __future__ import annotations

from typing import Any

import torch
import transformers as T
from torch import Tensor

from cacr.tiny_models._batches import IMAGE_SIZE, IMAGE_TOKEN, PATCH_SIZE, PATCHES, pixels, seeded, tiny
from cacr.tiny_models._prompts import (
    CLIP,
    DECODER,
    IMAGE_END,
    IMAGE_START,
    ROW_END,
    SIGLIP,
    VIDEO_TOKEN,
    VISION,
    picture,
    prompt,
)
from cacr.tiny_models._tiny import TinyModel

MERGED = PATCHES // 4
"""Places of a picture whose patches are merged 2 by 2."""


@seeded
def llava() -> TinyModel:
    """LLaVA: the patches of CLIP in front of Llama."""
    config = T.LlavaConfig(
        vision_config=CLIP,
        text_config={"model_type": "llama", **DECODER},
        image_token_index=IMAGE_TOKEN,
        vision_feature_layer=-1,
    )
    text = prompt(picture(PATCHES), picture(PATCHES))
    return tiny(T.LlavaForConditionalGeneration(config), **text, pixel_values=pixels())


def _tiles() -> dict[str, Tensor]:
    """A picture cut in two tiles and one of a single tile, each with its thumbnail in front; the last is padding."""
    tiles = torch.randn(2, 3, 3, IMAGE_SIZE // 2, IMAGE_SIZE // 2)
    tiles[1, 2] = 0
    side = IMAGE_SIZE // 2
    # 2 x 2 patches a tile: 4 of the thumbnail, then rows of 4 or of 2, each with a newline
    return {
        **prompt(picture(4 + 2 * 5), picture(4 + 2 * 3)),
        "pixel_values": tiles,
        "image_sizes": torch.tensor([[side, 2 * side], [side, side]]),
    }


_PINPOINTS = [[16, 16], [16, 32], [32, 16]]


@seeded
def llava_next() -> TinyModel:
    """LLaVA-NeXT: pictures in tiles, so that two pictures take different numbers of places."""
    config = T.LlavaNextConfig(
        vision_config={**CLIP, "image_size": IMAGE_SIZE // 2},
        text_config={"model_type": "llama", **DECODER},
        image_token_index=IMAGE_TOKEN,
        image_grid_pinpoints=_PINPOINTS,
        vision_feature_layer=-1,
    )
    return tiny(T.LlavaNextForConditionalGeneration(config), **_tiles())


@seeded
def llava_onevision() -> TinyModel:
    """LLaVA-OneVision: the tiles of LLaVA-NeXT in front of Qwen2."""
    config = T.LlavaOnevisionConfig(
        vision_config={**SIGLIP, "image_size": IMAGE_SIZE // 2},
        text_config={"model_type": "qwen2", **DECODER},
        image_token_index=IMAGE_TOKEN,
        video_token_index=VIDEO_TOKEN,
        image_grid_pinpoints=_PINPOINTS,
    )
    return tiny(T.LlavaOnevisionForConditionalGeneration(config), **_tiles())


def _patches(grids: list[list[int]]) -> dict[str, Tensor]:
    """A prompt with pictures of these grids as Qwen's processors give them: one row a patch, merged 2 by 2."""
    grid = torch.tensor(grids)
    patches = grid.prod(1)
    first, second = (patches // 4).tolist()
    text = prompt(picture(first, between=True), picture(second, between=True))
    return {
        **text,
        "mm_token_type_ids": (text["input_ids"] == IMAGE_TOKEN).int(),
        "pixel_values": torch.randn(int(patches.sum()), 3 * 2 * PATCH_SIZE * PATCH_SIZE),
        "image_grid_thw": grid,
    }


_GRIDS = [[1, 4, 6], [1, 4, 4]]
_QWEN_TOKENS: dict[str, Any] = {
    "image_token_id": IMAGE_TOKEN,
    "video_token_id": VIDEO_TOKEN,
    "vision_start_token_id": IMAGE_START,
    "vision_end_token_id": IMAGE_END,
}
_QWEN_VISION: dict[str, Any] = {"depth": 2, "num_heads": 4, "patch_size": PATCH_SIZE, "spatial_merge_size": 2}
_QWEN_TEXT = {**DECODER, "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]}}


@seeded
def qwen2_vl() -> TinyModel:
    """Qwen2-VL: pictures of any size, positions in three dimensions."""
    config = T.Qwen2VLConfig(
        vision_config={**_QWEN_VISION, "embed_dim": 32, "hidden_size": 32, "mlp_ratio": 2},
        text_config=_QWEN_TEXT,
        **_QWEN_TOKENS,
    )
    return tiny(T.Qwen2VLForConditionalGeneration(config), **_patches(_GRIDS))


@seeded
def qwen2_5_vl() -> TinyModel:
    """Qwen2.5-VL: as Qwen2-VL, with windows in the vision tower."""
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "out_hidden_size": 32,
        "window_size": 2 * PATCH_SIZE,
    }
    config = T.Qwen2_5_VLConfig(
        vision_config={**_QWEN_VISION, **vision, "fullatt_block_indexes": [1]},
        text_config=_QWEN_TEXT,
        **_QWEN_TOKENS,
    )
    return tiny(T.Qwen2_5_VLForConditionalGeneration(config), **_patches(_GRIDS))


@seeded
def qwen3_vl() -> TinyModel:
    """Qwen3-VL: the features of a vision layer are added once more inside the decoder."""
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "out_hidden_size": 32,
        "num_position_embeddings": 16,
    }
    config = T.Qwen3VLConfig(
        vision_config={**_QWEN_VISION, **vision, "deepstack_visual_indexes": [0]},
        text_config={**_QWEN_TEXT, "head_dim": 8},
        **_QWEN_TOKENS,
    )
    return tiny(T.Qwen3VLForConditionalGeneration(config), **_patches(_GRIDS))


@seeded
def glm4v() -> TinyModel:
    """GLM-4V, which no list of cacr names: half of each head turns with the position."""
    rope = {"rope_type": "default", "mrope_section": [1, 1, 0], "partial_rotary_factor": 0.5}
    vision = {"hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 32, "image_size": IMAGE_SIZE}
    config = T.Glm4vConfig(
        vision_config={**_QWEN_VISION, **vision},
        text_config={**DECODER, "rope_parameters": rope},
        image_token_id=IMAGE_TOKEN,
        video_token_id=VIDEO_TOKEN,
        image_start_token_id=IMAGE_START,
        image_end_token_id=IMAGE_END,
        video_start_token_id=94,
        video_end_token_id=93,
    )
    return tiny(T.Glm4vForConditionalGeneration(config), **_patches(_GRIDS))


@seeded
def internvl() -> TinyModel:
    """InternVL: patches of a vision tower of its own, merged 2 by 2, in front of Qwen2."""
    config = T.InternVLConfig(
        vision_config=VISION,
        text_config={"model_type": "qwen2", **DECODER},
        image_token_id=IMAGE_TOKEN,
    )
    text = prompt(picture(MERGED, between=True), picture(MERGED, between=True))
    return tiny(T.InternVLForConditionalGeneration(config), **text, pixel_values=pixels())


def _pictures() -> dict[str, Tensor]:
    """A prompt with two pictures and one with a single picture: an empty picture fills the second up."""
    pictures = torch.randn(2, 2, 3, IMAGE_SIZE, IMAGE_SIZE)
    pictures[1, 1] = 0
    mask = torch.ones(2, 2, IMAGE_SIZE, IMAGE_SIZE, dtype=torch.long)
    mask[1, 1] = 0
    one = picture(MERGED, between=True)
    text = prompt([*one, 51, *one], one)
    return {**text, "pixel_values": pictures, "pixel_attention_mask": mask}


@seeded
def idefics2() -> TinyModel:
    """Idefics2: a picture is resampled to 4 queries in front of Mistral."""
    config = T.Idefics2Config(
        vision_config=VISION,
        perceiver_config={
            "hidden_size": 32,
            "resampler_n_latents": MERGED,
            "resampler_depth": 1,
            "resampler_n_heads": 4,
            "resampler_head_dim": 8,
            "num_key_value_heads": 2,
        },
        text_config={"model_type": "mistral", **DECODER},
        image_token_id=IMAGE_TOKEN,
        use_cache=False,
    )
    return tiny(T.Idefics2ForConditionalGeneration(config), **_pictures())


@seeded
def idefics3() -> TinyModel:
    """Idefics3: patches merged 2 by 2 in front of Llama."""
    config = T.Idefics3Config(
        vision_config=VISION,
        text_config={"model_type": "llama", **DECODER},
        image_token_id=IMAGE_TOKEN,
        use_cache=False,
    )
    return tiny(T.Idefics3ForConditionalGeneration(config), **_pictures())


@seeded
def smolvlm() -> TinyModel:
    """SmolVLM: Idefics3 made small."""
    config = T.SmolVLMConfig(
        vision_config=VISION,
        text_config={"model_type": "llama", **DECODER},
        image_token_id=IMAGE_TOKEN,
        use_cache=False,
    )
    return tiny(T.SmolVLMForConditionalGeneration(config), **_pictures())


@seeded
def mistral3() -> TinyModel:
    """Mistral Small 3.1: pictures of any size from Pixtral, merged 2 by 2, with a token after every row."""
    config = T.Mistral3Config(
        vision_config={"model_type": "pixtral", "head_dim": 8, **VISION},
        text_config={"model_type": "mistral", "head_dim": 8, "sliding_window": None, **DECODER},
        image_token_index=IMAGE_TOKEN,
    )
    pictures = pixels()
    pictures[1, :, :, IMAGE_SIZE // 2 :] = 0
    sizes = torch.tensor([[IMAGE_SIZE, IMAGE_SIZE], [IMAGE_SIZE, IMAGE_SIZE // 2]])
    rows = [IMAGE_TOKEN, IMAGE_TOKEN, ROW_END, IMAGE_TOKEN, IMAGE_TOKEN, IMAGE_END]
    text = prompt(rows, [IMAGE_TOKEN, ROW_END, IMAGE_TOKEN, IMAGE_END])
    model = T.Mistral3ForConditionalGeneration(config)
    return tiny(model, **text, pixel_values=pictures, image_sizes=sizes)


@seeded
def aya_vision() -> TinyModel:
    """Aya Vision: patches merged 2 by 2 in front of Cohere2, whose last layer sees everything."""
    layers = ["sliding_attention", "sliding_attention", "full_attention"]
    config = T.AyaVisionConfig(
        vision_config=SIGLIP,
        text_config={"model_type": "cohere2", **DECODER, "sliding_window": 8, "layer_types": layers},
        image_token_index=IMAGE_TOKEN,
    )
    text = prompt(picture(MERGED, between=True), picture(MERGED, between=True))
    return tiny(T.AyaVisionForConditionalGeneration(config), **text, pixel_values=pixels())
