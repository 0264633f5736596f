"""One transformer over words and picture together.

VisualBERT, ViLT, FLAVA, UNITER, OSCAR, ROSITA, GIT, and Florence-2's encoder.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers as T

from cacr.tiny_models import _batches as b
from cacr.tiny_models._tiny import TinyModel


@b.seeded
def visual_bert() -> TinyModel:
    """VisualBERT: [words | regions], with the losses of its pre-training."""
    config = T.VisualBertConfig(
        vocab_size=b.VOCABULARY,
        visual_embedding_dim=b.REGION_DIM,
        max_position_embeddings=40,
        **b.LAYERS,
        **b.NO_DROPOUT,
    )
    text, regions = b.words(pad=1), b.real(b.REAL_REGIONS, b.REGIONS)
    labels = torch.cat([b.captions(text), torch.full_like(regions, -100)], 1)
    return b.tiny(
        T.VisualBertForPreTraining(config),
        **text,
        visual_embeds=torch.randn(*regions.shape, b.REGION_DIM),
        visual_attention_mask=regions,
        visual_token_type_ids=torch.ones_like(regions),
        labels=labels,
        sentence_image_labels=b.matches(),
    )


_OVER_REGIONS: dict[str, Any] = {
    "vocab_size": b.VOCABULARY,
    "region_dim": b.REGION_DIM,
    "max_position_embeddings": 40,
    "cls_token_id": 1,
    "sep_token_id": 2,
    "mask_token_id": 3,
    **b.LAYERS,
    **b.NO_DROPOUT,
}
"""Sizes of UNITER, OSCAR and ROSITA."""


def _regions(numbers: int) -> dict[str, torch.Tensor]:
    """What UNITER, OSCAR and ROSITA read of two pictures; ``numbers``: of each box."""
    mask = b.real(b.REAL_REGIONS, b.REGIONS)
    return {
        "region_features": torch.randn(*mask.shape, b.REGION_DIM),
        "region_positions": torch.rand(*mask.shape, numbers),
        "region_mask": mask,
    }


@b.seeded
def uniter() -> TinyModel:
    """UNITER: [words | regions], with the loss of image-text matching."""
    from cacr.models.uniter import UniterConfig, UniterForImageTextRetrieval

    config = UniterConfig(region_label_dim=9, **_OVER_REGIONS)
    return b.tiny(
        UniterForImageTextRetrieval(config),
        **b.words(),
        **_regions(7),
        labels=b.matches(),
    )


@b.seeded
def oscar() -> TinyModel:
    """OSCAR: [caption | object tags | regions], with the loss of image-text matching."""
    from cacr.models.oscar import OscarConfig, OscarForImageTextRetrieval

    config = OscarConfig(**_OVER_REGIONS)
    text = b.words()
    tags = (torch.arange(b.WORDS) >= torch.tensor([[4], [3]])).long() * text["attention_mask"]
    return b.tiny(
        OscarForImageTextRetrieval(config),
        **text,
        token_type_ids=tags,
        **_regions(6),
        labels=b.matches(),
    )


@b.seeded
def rosita() -> TinyModel:
    """ROSITA: [words | regions], with the loss of image-text matching."""
    from cacr.models.rosita import RositaConfig, RositaForImageTextRetrieval

    config = RositaConfig(**_OVER_REGIONS)
    return b.tiny(
        RositaForImageTextRetrieval(config),
        **b.words(),
        **_regions(5),
        labels=b.matches(),
    )


def _vilt_config() -> T.ViltConfig:
    return T.ViltConfig(
        vocab_size=b.VOCABULARY,
        max_position_embeddings=20,
        max_image_length=-1,
        **b.PICTURE,
        **b.LAYERS,
        **b.NO_DROPOUT,
    )


@b.seeded
def vilt() -> TinyModel:
    """ViLT: [words | image class | patches in an order drawn at each call]; its class computes no loss."""
    mask = torch.ones(2, b.IMAGE_SIZE, b.IMAGE_SIZE, dtype=torch.long)
    return b.tiny(
        T.ViltForImageAndTextRetrieval(_vilt_config()), **b.words(), pixel_values=b.pixels(), pixel_mask=mask
    )


@b.seeded
def vilt_padded_image() -> TinyModel:
    """ViLT whose second picture covers 3 x 2 of the 4 x 4 patches, with the loss of masked words."""
    text = b.words()
    mask = torch.ones(2, b.IMAGE_SIZE, b.IMAGE_SIZE, dtype=torch.long)
    mask[1, 3 * b.PATCH_SIZE :] = mask[1, :, 2 * b.PATCH_SIZE :] = 0
    return b.tiny(
        T.ViltForMaskedLM(_vilt_config()),
        **text,
        pixel_values=b.pixels() * mask[:, None],
        pixel_mask=mask,
        labels=b.captions(text),
    )


@b.seeded
def flava() -> TinyModel:
    """FLAVA: [class | image class | patches | words], with the losses of its pre-training.

    The joint encoder runs once a call, over the masked inputs; those of text and image run twice.
    """
    config = T.FlavaConfig(
        image_config={"vocab_size": 50, **b.PICTURE, **b.LAYERS},
        text_config={"vocab_size": b.VOCABULARY, "max_position_embeddings": 40, **b.LAYERS},
        multimodal_config=dict(b.LAYERS),
        hidden_size=b.LAYERS["hidden_size"],
        projection_dim=16,
        init_codebook=False,
    )
    text = b.words()
    hidden_words = torch.tensor([[0, 1, 0, 0, 1, 0, 0], [0, 0, 1, 0, 0, 0, 0]]).bool()
    hidden_patches = torch.arange(b.PATCHES).expand(2, -1) % 3 == 0
    return b.tiny(
        T.FlavaForPreTraining(config),
        **text,
        input_ids_masked=text["input_ids"].masked_fill(hidden_words, 3),
        pixel_values=b.pixels(),
        bool_masked_pos=hidden_patches,
        mlm_labels=text["input_ids"].masked_fill(~hidden_words, -100),
        mim_labels=torch.randint(50, hidden_patches.shape).masked_fill(~hidden_patches, -100),
        itm_labels=b.matches(),
    )


@b.seeded
def git() -> TinyModel:
    """GIT: [image class | patches | words]; words see the picture and earlier words, the picture itself alone."""
    config = T.GitConfig(
        vision_config={**b.PICTURE, **b.LAYERS},
        vocab_size=b.VOCABULARY,
        max_position_embeddings=40,
        bos_token_id=1,
        eos_token_id=2,
        **b.LAYERS,
        **b.NO_DROPOUT,
    )
    text = b.words()
    return b.tiny(T.GitForCausalLM(config), **text, pixel_values=b.pixels(), labels=b.captions(text))


@b.seeded
def florence2() -> TinyModel:
    """Florence-2: an encoder over [mean of the patches | patches | prompt], and a decoder of the answer."""
    width = b.LAYERS["hidden_size"]
    vision = {
        "depths": (1, 1),
        "patch_size": (7, 3),
        "patch_stride": (4, 2),
        "patch_padding": (3, 1),
        "patch_prenorm": (False, True),
        "embed_dim": (16, width),
        "num_heads": (2, 4),
        "num_groups": (2, 4),
        "window_size": 4,
        "drop_path_rate": 0.0,
        "projection_dim": width,
    }
    language = {
        "model_type": "bart",
        "vocab_size": b.VOCABULARY,
        "d_model": width,
        "encoder_layers": 3,
        "decoder_layers": 3,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "max_position_embeddings": 64,
        "dropout": 0.0,
    }
    config = T.Florence2Config(vision_config=vision, text_config=language, image_token_id=b.IMAGE_TOKEN)
    prompt = b.after_picture(places=17, pad=1)
    prompt["labels"] = b.captions(b.words(pad=1))
    return b.tiny(T.Florence2ForConditionalGeneration(config), **prompt, pixel_values=b.pixels())
