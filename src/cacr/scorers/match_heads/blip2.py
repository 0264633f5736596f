"""BLIP-2: a head over queries that saw picture and words (itm), or the best cosine of a query with the words (itc).

``itm_head`` has the logits (no match, match), averaged over the queries: github.com/salesforce/LAVIS,
lavis/models/blip2_models/blip2_qformer.py labels true pairs 1 and negatives 0.
Model: transformers' Blip2ForImageTextRetrieval. Paper: Li et al. 2023, arXiv:2301.12597.
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

MODEL, EXAMPLE = "Blip2ForImageTextRetrieval", "Salesforce/blip2-itm-vit-g"


class Blip2Scorer(PixelScorer):
    """BLIP-2's first stage, without a language model.

    Newer processors put a placeholder for every query before the caption, which the model cuts off again; captions are
    tokenized without them here.
    """

    heads: ClassVar[Mapping[str, Head]] = {
        "itm": Head(
            MODEL,
            "itm_head, the logit of a match minus that of none, mean over queries",
            EXAMPLE,
            0.0,
            ("vision_projection.", "text_projection."),
        ),
        "itc": Head(
            MODEL,
            "cosine of the projected [CLS] with the closest projected query",
            EXAMPLE,
            spare=("itm_head.",),
        ),
    }

    @property
    def vision_config(self) -> Any:
        """Of the picture encoder."""
        return self.model.config.vision_config

    @property
    def text_config(self) -> Any:
        """Of the Q-Former."""
        return self.model.config.qformer_config

    @property
    def pixel_dtype(self) -> torch.dtype:
        """Of the picture encoder; the Q-Former may be kept in float32 beside it."""
        return self.model.vision_model.dtype

    def picture_tokens(self, pixels: Tensor) -> Tensor:
        """[CLS] and patches after the picture encoder."""
        return self.model.vision_model(pixels).last_hidden_state

    def joint(self, text: Encoded, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """The matching head on the queries, which attended to the words and looked at the picture."""
        model, ids = self.model, text["input_ids"]
        queries = model.query_tokens.expand(len(ids), -1, -1)
        states = model.qformer(
            query_embeds=model.embeddings(input_ids=ids, query_embeds=queries),
            query_length=queries.shape[1],
            attention_mask=torch.cat([ids.new_ones(queries.shape[:2]), text["attention_mask"]], 1),
            encoder_hidden_states=tokens,
        ).last_hidden_state[:, : queries.shape[1]]
        return match_minus_none(model.itm_head(states.to(model.itm_head.weight.dtype)).mean(1))

    def text_feature(self, words: Encoded) -> Tensor:
        """[CLS] of the words alone, projected."""
        model = self.model
        states = model.qformer(
            query_embeds=model.embeddings(input_ids=words["input_ids"]),
            query_length=0,
            attention_mask=words["attention_mask"],
        ).last_hidden_state[:, 0]
        return normalize(model.text_projection(states.to(model.text_projection.weight.dtype)), dim=-1)

    def picture_feature(self, pixels: Tensor) -> Tensor:
        """The queries after they looked at the picture, projected."""
        model = self.model
        states = model.qformer(
            query_embeds=model.query_tokens.expand(len(pixels), -1, -1),
            encoder_hidden_states=self.picture_tokens(pixels),
        ).last_hidden_state
        return normalize(model.vision_projection(states.to(model.vision_projection.weight.dtype)), dim=-1)

    def pair_bytes(self, text: int, seen: int) -> int:
        """Of queries and words, and of queries that attend to the picture's tokens."""
        if self.score == "itc":
            return super().pair_bytes(text, seen)
        config, size = self.text_config, 4
        queries, width, heads = (
            self.model.config.num_query_tokens,
            config.hidden_size,
            config.num_attention_heads,
        )
        own = layer_bytes(queries + text, queries + text, width, heads, size)
        look = layer_bytes(queries, seen, width, heads, size)
        return own + look + seen * self.vision_config.hidden_size * size
