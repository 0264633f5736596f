"""LXMERT: the matching head of its pre-training, after layers in which words and regions look at each other.

``cross_relationship_score`` has the logits (no match, match): the docstring of ``matched_label`` in transformers'
models/lxmert/modeling_lxmert.py, and github.com/airsplay/lxmert, src/pretrain/lxmert_pretrain.py, where a swapped
sentence has the label 0.  Model: LxmertForPreTraining. Paper: Tan and Bansal 2019, arXiv:1908.07490.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from cacr.data.pairs import Picture
from cacr.scorers.encoded import Encoded
from cacr.scorers.match_heads.heads import Head, RegionHeadScorer, layer_bytes, match_minus_none


class LxmertScorer(RegionHeadScorer):
    """LXMERT: words and regions go through their own layers once, each pair through the cross-modality layers."""

    heads: ClassVar[Mapping[str, Head]] = {
        "itm": Head(
            "LxmertForPreTraining",
            "cross_relationship_score, the logit of a match minus that of none",
            "unc-nlp/lxmert-base-uncased",
            0.0,
            ("cls.predictions.", "obj_predict_head.", "answer_head."),
        )
    }
    reads = ("input_ids", "attention_mask", "token_type_ids")
    cut_text = ("word_states", "attention_mask")
    cut_seen = ("region_states", "region_mask")

    def encode_captions(self, captions: Sequence[str]) -> Encoded:
        """Words after the language layers."""
        lxmert, words = self.model.lxmert, self.words(captions)
        mask, parts = words["attention_mask"], []
        for some in self.few(len(captions), self._own_bytes(mask.shape[1])):
            kinds = words.get("token_type_ids", torch.zeros_like(mask))[some]
            states = lxmert.embeddings(words["input_ids"][some], kinds)
            for layer in lxmert.encoder.layer:
                states = layer(states, self._additive(mask[some]))[0]
            parts.append(states)
        return {"word_states": torch.cat(parts), "attention_mask": mask}

    def encode_pictures(self, pictures: Sequence[Picture]) -> Encoded:
        """Regions after the object-relationship layers."""
        encoder, seen = self.model.lxmert.encoder, super().encode_pictures(pictures)
        mask, parts = seen["region_mask"], []
        for some in self.few(len(pictures), self._own_bytes(mask.shape[1])):
            states = encoder.visn_fc(seen["region_features"][some], seen["region_positions"][some])
            for layer in encoder.r_layers:
                states = layer(states, self._additive(mask[some]))[0]
            parts.append(states)
        return {"region_states": torch.cat(parts), "region_mask": mask}

    def forward(self, text: Encoded, seen: Encoded) -> Tensor:
        """The log odds of a match, from [CLS] after the cross-modality layers."""
        words, regions = text["word_states"], seen["region_states"]
        word_mask, region_mask = self._additive(text["attention_mask"]), self._additive(seen["region_mask"])
        for layer in self.model.lxmert.encoder.x_layers:
            words, regions = layer(words, word_mask, regions, region_mask)[:2]
        return match_minus_none(self.model.cls.seq_relationship(self.model.lxmert.pooler(words)))

    def _additive(self, mask: Tensor) -> Tensor:
        """What the layers add to logits of attention: 0 where a token is real, the lowest number where not."""
        return (1 - mask[:, None, None].to(self.model.dtype)) * torch.finfo(self.model.dtype).min

    def _own_bytes(self, tokens: int) -> int:
        config = self.model.config
        size = self.model.dtype.itemsize
        return layer_bytes(tokens, tokens, config.hidden_size, config.num_attention_heads, size)
