"""Words and picture that never look at each other: CLIP and SigLIP. No attention here joins the two."""

from __future__ import annotations

import torch
import transformers as T

from cacr.tiny_models import _batches as b
from cacr.tiny_models._tiny import TinyModel

_TEXT = {"vocab_size": b.VOCABULARY, "max_position_embeddings": 40, "bos_token_id": 1, "eos_token_id": 2}


@b.seeded
def clip() -> TinyModel:
    """CLIP with its contrastive loss."""
    config = T.CLIPConfig(
        text_config={**_TEXT, **b.LAYERS, "projection_dim": 16},
        vision_config={**b.PICTURE, **b.LAYERS, "projection_dim": 16},
        projection_dim=16,
    )
    return b.tiny(T.CLIPModel(config), **b.words(), pixel_values=b.pixels(), return_loss=torch.tensor(True))


@b.seeded
def siglip() -> TinyModel:
    """SigLIP with its sigmoid loss."""
    config = T.SiglipConfig(
        text_config={**_TEXT, **b.LAYERS, "projection_size": 32},
        vision_config={**b.PICTURE, **b.LAYERS},
    )
    return b.tiny(
        T.SiglipModel(config), **b.words(pad=1), pixel_values=b.pixels(), return_loss=torch.tensor(True)
    )
