"""FLAVA: a head over a joint encoder of picture and words (itm), or the cosine of both alone (itc).

``itm_logits`` are (no match, match): the docstring of ``itm_labels`` in transformers' models/flava/modeling_flava.py.
In pre-training the head saw masked words and patches; here nothing is masked.
Model: FlavaForPreTraining. Paper: Singh et al. 2022, arXiv:2112.04482.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from cacr.scorers.encoded import Encoded
from cacr.scorers.match_heads.heads import Head, layer_bytes, match_minus_none
from cacr.scorers.match_heads.pixels import PixelScorer

MODEL, EXAMPLE = "FlavaForPreTraining", "facebook/flava-full"
SPARE = (
    "image_codebook.",
    "mim_head.",
    "mlm_head.",
    "mmm_image_head.",
    "mmm_text_head.",
    "flava.image_model.embeddings.mask_token",
    "flava.image_model.pooler.",
    "flava.text_model.pooler.",
    "flava.multimodal_model.pooler.",
)


class FlavaScorer(PixelScorer):
    """FLAVA: picture and words go through their own encoders once, each pair through the joint one."""

    heads: ClassVar[Mapping[str, Head]] = {
        "itm": Head(
            MODEL,
            "itm_head, the logit of a match minus that of none",
            EXAMPLE,
            0.0,
            (*SPARE, "flava.image_projection.", "flava.text_projection.", "flava.logit_scale"),
        ),
        "itc": Head(
            MODEL,
            "cosine of the projected [CLS] of caption and picture, times the scale of the logits",
            EXAMPLE,
            spare=(*SPARE, "itm_head.", "flava.multimodal_model.", "flava.image_to_mm_", "flava.text_to_mm_"),
        ),
    }
    reads = ("input_ids", "attention_mask", "token_type_ids")
    cut_text = ("word_states", "attention_mask")

    @property
    def vision_config(self) -> Any:
        """Of the picture encoder."""
        return self.model.config.image_config

    @property
    def text_config(self) -> Any:
        """Of the text encoder."""
        return self.model.config.text_config

    def words_encoded(self, words: Encoded) -> Encoded:
        """Words after the text encoder, without its last norm, projected for the joint encoder."""
        flava = self.model.flava
        states = flava.text_model(**words, output_hidden_states=True).hidden_states[-1]
        return {"word_states": flava.text_to_mm_projection(states), "attention_mask": words["attention_mask"]}

    def picture_tokens(self, pixels: Tensor) -> Tensor:
        """[CLS] and patches after the picture encoder, without its last norm, projected for the joint encoder."""
        flava = self.model.flava
        return flava.image_to_mm_projection(
            flava.image_model(pixels, output_hidden_states=True).hidden_states[-1]
        )

    def joint(self, text: Encoded, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """The matching head on the joint encoder's [CLS]."""
        joint, words = self.model.flava.multimodal_model, text["attention_mask"]
        seen = words.new_ones(len(words), tokens.shape[1] + int(joint.use_cls_token))
        states = joint(
            torch.cat([tokens, text["word_states"]], 1), attention_mask=torch.cat([seen, words], 1)
        )[0]
        return match_minus_none(self.model.itm_head(states))

    def text_feature(self, words: Encoded) -> Tensor:
        """[CLS] of the words, projected, times the scale of the logits."""
        flava = self.model.flava
        states = flava.text_model(**words).last_hidden_state[:, 0]
        return normalize(flava.text_projection(states), dim=-1) * flava.logit_scale.exp()

    def picture_feature(self, pixels: Tensor) -> Tensor:
        """[CLS] of the picture, projected."""
        flava = self.model.flava
        return normalize(flava.image_projection(flava.image_model(pixels).last_hidden_state[:, :1]), dim=-1)

    def pair_bytes(self, text: int, seen: int) -> int:
        """Of words and picture in the joint encoder."""
        if self.score == "itc":
            return super().pair_bytes(text, seen)
        config, tokens = self.model.config.multimodal_config, text + seen + 1
        heads, size = config.num_attention_heads, self.model.dtype.itemsize
        return layer_bytes(tokens, tokens, config.hidden_size, heads, size)
