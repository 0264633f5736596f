"""BridgeTower: a head over both streams of a cross-modal encoder (itm), or the cosine of the two towers (itc).

``itm_score`` has the logits (no match, match): the docstring of ``labels`` and the example of transformers'
BridgeTowerForImageAndTextRetrieval. The contrastive heads are those of BridgeTowerForContrastiveLearning: two classes,
and each checkpoint has one of them. Paper: Xu et al. 2023, arXiv:2206.08657.
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


class BridgeTowerScorer(PixelScorer):
    """BridgeTower; for itm only the embedding of patches is shared, since the towers meet at every joint layer."""

    heads: ClassVar[Mapping[str, Head]] = {
        "itm": Head(
            "BridgeTowerForImageAndTextRetrieval",
            "itm_score, the logit of a match minus that of none",
            "BridgeTower/bridgetower-base-itm-mlm",
            0.0,
            ("bridgetower.text_model.pooler.",),
        ),
        "itc": Head(
            "BridgeTowerForContrastiveLearning",
            "cosine of the projected [CLS] of the two towers, times the scale of the logits",
            "BridgeTower/bridgetower-large-itm-mlm-itc",
            spare=(
                "itc_cross_modal_head.",
                "bridgetower.text_model.pooler.",
                "bridgetower.cross_modal_image_layers.",
                "bridgetower.cross_modal_text_",
            ),
        ),
    }

    @property
    def vision_config(self) -> Any:
        """Of the picture's tower."""
        return self.model.config.vision_config

    @property
    def text_config(self) -> Any:
        """Of the words' tower."""
        return self.model.config.text_config

    @property
    def max_text_length(self) -> int:
        """Word pieces that the model has positions for: RoBERTa counts these from after the id of padding."""
        return min(super().max_text_length, self.text_config.max_position_embeddings - self._first_position)

    @property
    def _first_position(self) -> int:
        return int(self.text_config.pad_token_id) + 1

    def picture_tokens(self, pixels: Tensor) -> Tensor:
        """Embedded [CLS] and patches, before the first layer."""
        return self.model.bridgetower.vision_model.visual.forward_pre(pixels).transpose(0, 1)

    def joint(self, text: Encoded, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """The matching head on [CLS] of both streams."""
        return match_minus_none(self.model(**text, image_embeds=tokens).logits)

    def text_feature(self, words: Encoded) -> Tensor:
        """[CLS] of the words' tower, projected, times the scale of the logits."""
        states = self.model.bridgetower.text_model(**words).last_hidden_state[:, 0]
        return normalize(self.model.itc_text_head(states), dim=-1) * self.model.logit_scale.exp()

    def picture_feature(self, pixels: Tensor) -> Tensor:
        """[CLS] of the picture's tower, projected."""
        bridgetower = self.model.bridgetower
        visual = bridgetower.vision_model.visual
        states = visual.forward_pre(pixels)
        for block in visual.transformer.resblocks:
            states = block(states)
        kind = bridgetower.token_type_embeddings(torch.ones(1, dtype=torch.long, device=states.device))
        states = bridgetower.cross_modal_image_transform(visual.forward_post(states)[:, :1]) + kind
        return normalize(self.model.itc_image_head(states), dim=-1)

    def pair_bytes(self, text: int, seen: int) -> int:
        """Of the layer that takes most: the picture's tokens that attend to themselves, in both of its streams."""
        if self.score == "itc":
            return super().pair_bytes(text, seen)
        config, size = self.model.config, self.model.dtype.itemsize
        width, heads = max(config.hidden_size, self.vision_config.hidden_size), config.num_attention_heads
        return 2 * layer_bytes(seen, seen + text, width, heads, size) + layer_bytes(
            text, seen + text, width, heads, size
        )
