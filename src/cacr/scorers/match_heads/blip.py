"""BLIP: a head over words that looked at the picture (itm), or the cosine of both alone (itc).

``itm_head`` has the logits (no match, match): github.com/salesforce/BLIP, models/blip_pretrain.py labels true pairs 1
and negatives 0. Model: transformers' BlipForImageTextRetrieval. Paper: Li et al. 2022, arXiv:2201.12086.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor
from torch.nn.functional import normalize

from cacr.scorers.encoded import Encoded
from cacr.scorers.match_heads.heads import Head, layer_bytes, match_minus_none
from cacr.scorers.match_heads.pixels import PixelScorer

MODEL, EXAMPLE = "BlipForImageTextRetrieval", "Salesforce/blip-itm-base-coco"


class BlipScorer(PixelScorer):
    """BLIP with its matching head or its contrastive projections."""

    heads: ClassVar[Mapping[str, Head]] = {
        "itm": Head(
            MODEL,
            "itm_head, the logit of a match minus that of none",
            EXAMPLE,
            0.0,
            ("vision_proj.", "text_proj."),
        ),
        "itc": Head(
            MODEL, "cosine of the projected [CLS] of caption and picture", EXAMPLE, spare=("itm_head.",)
        ),
    }

    @property
    def vision_config(self) -> Any:
        """Of the picture encoder."""
        return self.model.config.vision_config

    def picture_tokens(self, pixels: Tensor) -> Tensor:
        """[CLS] and patches after the picture encoder."""
        return self.model.vision_model(pixels).last_hidden_state

    def joint(self, text: Encoded, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """The matching head on [CLS] of the words, each layer of which looked at the picture."""
        words = self.model.text_encoder(**text, encoder_hidden_states=tokens).last_hidden_state
        return match_minus_none(self.model.itm_head(words[:, 0]))

    def text_feature(self, words: Encoded) -> Tensor:
        """[CLS] of the words alone, projected."""
        return normalize(
            self.model.text_proj(self.model.text_encoder(**words).last_hidden_state[:, 0]), dim=-1
        )

    def picture_feature(self, pixels: Tensor) -> Tensor:
        """[CLS] of the picture, projected."""
        return normalize(self.model.vision_proj(self.picture_tokens(pixels)[:, :1]), dim=-1)

    def pair_bytes(self, text: int, seen: int) -> int:
        """Of words that attend to words and to the picture's tokens, and of a copy of these."""
        if self.score == "itc":
            return super().pair_bytes(text, seen)
        config, size = self.text_config, self.model.dtype.itemsize
        joint = layer_bytes(text, text + seen, config.hidden_size, config.num_attention_heads, size)
        return joint + seen * self.vision_config.hidden_size * size
