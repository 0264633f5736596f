"""OSCAR with its pre-training heads: masked words, and which part of a pair is wrong.

Papers: arXiv:2004.06165, arXiv:2101.00529. Source: github.com/microsoft/Oscar, oscar/modeling/modeling_bert.py.
"""

from dataclasses import dataclass
from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.bert.modeling_bert import BertOnlyMLMHead
from transformers.utils import ModelOutput, can_return_tuple

from cacr.models.oscar.configuration import OscarConfig
from cacr.models.oscar.modeling import OscarModel, OscarPreTrainedModel
from cacr.models.sequence import text_length
from cacr.models.single_stream import Options


@dataclass
class OscarPreTrainingOutput(ModelOutput):
    """``itm_logits`` [batch, classes]: class 0 is a true pair, 1 wrong tags, the last of three a wrong caption.

    ``rank_scores`` [batch, 1] is class 0 minus the last. With two classes (the first OSCAR) the head only ever saw
    wrong tags: it is no match of captions without care.
    """

    loss: Tensor | None = None
    prediction_logits: Tensor | None = None
    rank_scores: Tensor | None = None
    itm_logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class OscarForPreTraining(OscarPreTrainedModel):
    """OSCAR with its pre-training heads: masked words and tags, and the contrast of true and wrong pairs."""

    match_is = "rank_scores, the pre-training head's logit of a true pair minus that of its last class"
    _tied_weights_keys = {  # noqa: RUF012
        "cls.predictions.decoder.weight": "oscar.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }

    def __init__(self, config: OscarConfig):
        super().__init__(config)
        if config.num_contrast_classes < 2:
            raise ValueError(f"num_contrast_classes is {config.num_contrast_classes}; expected 2 or 3")
        self.oscar = OscarModel(config)
        self.cls = BertOnlyMLMHead(config)
        self.seq_relationship = nn.Linear(config.hidden_size, config.num_contrast_classes)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        return self.cls.predictions.decoder

    def set_output_embeddings(self, value: nn.Module) -> None:
        self.cls.predictions.decoder, self.cls.predictions.bias = value, value.bias

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        region_features: Tensor | None = None,
        region_positions: Tensor | None = None,
        region_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        itm_labels: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Unpack[Options],
    ) -> OscarPreTrainingOutput:
        """Both heads at once; arguments as in `OscarModel.forward`.

        Args:
            labels: [batch, text] hidden words, -100 elsewhere.
            itm_labels: [batch], 0 for a true pair, 1 for wrong tags, 2 for a wrong caption.
        """
        out = self.oscar(
            input_ids=input_ids,
            attention_mask=attention_mask,
            region_features=region_features,
            region_positions=region_positions,
            region_mask=region_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )
        length = text_length(input_ids, inputs_embeds)
        words = self.cls(out.last_hidden_state[:, :length])
        contrast = self.seq_relationship(out.pooler_output)
        losses = []
        if labels is not None:
            losses.append(F.cross_entropy(words.flatten(0, 1).float(), labels.flatten(), ignore_index=-100))
        if itm_labels is not None:
            losses.append(F.cross_entropy(contrast.float(), itm_labels))
        return OscarPreTrainingOutput(
            loss=torch.stack(losses).sum() if losses else None,
            prediction_logits=words,
            rank_scores=contrast[:, :1] - contrast[:, -1:],
            itm_logits=contrast,
            hidden_states=out.hidden_states,
            attentions=out.attentions,
        )
