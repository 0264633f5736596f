"""VisualBERT: the sentence-image head of its pre-training, over words and regions in one transformer.

``seq_relationship_logits`` has the logits (match, no match), the other way round than elsewhere: the docstring of
``sentence_image_labels`` in transformers' models/visual_bert/modeling_visual_bert.py.
In pre-training on COCO two captions came with a picture, and the head told whether the second was of it; a single
caption, as here and in other evaluations of this model, is not what it was trained on.
Model: VisualBertForPreTraining. Paper: Li et al. 2019, arXiv:1908.03557.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from cacr.scorers.encoded import Encoded
from cacr.scorers.match_heads.heads import Head, RegionHeadScorer, match_minus_none


class VisualBertScorer(RegionHeadScorer):
    """VisualBERT with its sentence-image head; of regions it reads features alone."""

    heads: ClassVar[Mapping[str, Head]] = {
        "itm": Head(
            "VisualBertForPreTraining",
            "seq_relationship_logits, the logit of a match minus that of none",
            "uclanlp/visualbert-vqa-coco-pre",
            0.0,
            ("cls.predictions.",),
        )
    }
    reads = ("input_ids", "attention_mask", "token_type_ids")

    def forward(self, text: Encoded, seen: Encoded) -> Tensor:
        """The log odds of a match, from [CLS]."""
        pooled = self.model.visual_bert(
            **text,
            visual_embeds=seen["region_features"],
            visual_attention_mask=seen["region_mask"],
            visual_token_type_ids=torch.ones_like(seen["region_mask"]),
        ).pooler_output
        return match_minus_none(self.model.cls.seq_relationship(pooled).flip(1))
