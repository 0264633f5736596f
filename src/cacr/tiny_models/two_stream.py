"""Words and picture in streams of their own that look at each other: LXMERT, BridgeTower, BLIP."""

from __future__ import annotations

from typing import Any

import torch
import transformers as T

from cacr.tiny_models import _batches as b
from cacr.tiny_models._tiny import TinyModel


@b.seeded
def lxmert() -> TinyModel:
    """LXMERT: one cross attention module, called from words to regions and back, with the loss of matching."""
    layers = {name: value for name, value in b.LAYERS.items() if name != "num_hidden_layers"}
    config = T.LxmertConfig(
        vocab_size=b.VOCABULARY,
        l_layers=2,
        r_layers=2,
        x_layers=3,
        visual_feat_dim=b.REGION_DIM,
        max_position_embeddings=40,
        num_qa_labels=5,
        task_obj_predict=False,
        **layers,
        **b.NO_DROPOUT,
    )
    regions = b.real(b.REAL_REGIONS, b.REGIONS)
    return b.tiny(
        T.LxmertForPreTraining(config),
        **b.words(),
        visual_feats=torch.randn(*regions.shape, b.REGION_DIM),
        visual_pos=torch.rand(*regions.shape, 4),
        visual_attention_mask=regions,
        matched_label=b.matches(),
    )


@b.seeded
def bridge_tower() -> TinyModel:
    """BridgeTower: a cross attention module each way, with the loss of image-text matching."""
    layers = b.LAYERS | {"hidden_size": 64}  # its picture encoder has a head for every 64
    config = T.BridgeTowerConfig(
        text_config={
            "vocab_size": b.VOCABULARY,
            "max_position_embeddings": 40,
            **layers,
            **b.NO_DROPOUT,
        },
        vision_config={"hidden_size": 64, "num_hidden_layers": 3, **b.PICTURE},
        hidden_size=64,
        num_hidden_layers=2,  # joint layers; the first 2 of the 3 of each stream come before
        num_attention_heads=4,
    )
    return b.tiny(
        T.BridgeTowerForImageAndTextRetrieval(config),
        **b.words(pad=1),
        pixel_values=b.pixels(),
        pixel_mask=torch.ones(2, b.IMAGE_SIZE, b.IMAGE_SIZE, dtype=torch.long),
        labels=b.matches(),
    )


def _blip_config() -> T.BlipConfig:
    text: dict[str, Any] = {
        "vocab_size": b.VOCABULARY,
        "max_position_embeddings": 40,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "sep_token_id": 2,
        "pad_token_id": 0,
        **b.LAYERS,
        **b.NO_DROPOUT,
    }
    return T.BlipConfig(
        text_config=text,
        vision_config={**b.PICTURE, **b.LAYERS},
        projection_dim=16,
        image_text_hidden_size=16,
    )


@b.seeded
def blip_itm() -> TinyModel:
    """BLIP's matching head: words look at the picture, never the reverse; its class computes no loss."""
    return b.tiny(T.BlipForImageTextRetrieval(_blip_config()), **b.words(), pixel_values=b.pixels())


@b.seeded
def blip_captioning() -> TinyModel:
    """BLIP's captioner: words look at the picture and at earlier words."""
    text = b.words()
    return b.tiny(
        T.BlipForConditionalGeneration(_blip_config()),
        **text,
        pixel_values=b.pixels(),
        labels=b.captions(text),
    )
