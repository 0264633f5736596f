"""UNITER with its pre-training heads.

Paper: arXiv:1909.11740. Source: github.com/ChenRocks/UNITER, model/pretrain.py.
"""

from dataclasses import dataclass
from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.bert.modeling_bert import BertOnlyMLMHead
from transformers.utils import ModelOutput, can_return_tuple

from cacr.models.sequence import text_length
from cacr.models.single_stream import Options
from cacr.models.uniter.configuration import UniterConfig
from cacr.models.uniter.heads import UniterRegionClassification, UniterRegionRegression
from cacr.models.uniter.modeling import UniterModel, UniterPreTrainedModel


@dataclass
class UniterPreTrainingOutput(ModelOutput):
    """Predictions of the four pre-training heads, and the sum of the losses whose targets were given."""

    loss: Tensor | None = None
    prediction_logits: Tensor | None = None
    region_features: Tensor | None = None
    region_logits: Tensor | None = None
    itm_logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class UniterForPreTraining(UniterPreTrainedModel):
    """UNITER with its pre-training heads: masked words, hidden region features and classes, matching."""

    _tied_weights_keys = {  # noqa: RUF012
        "cls.predictions.decoder.weight": "uniter.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }

    def __init__(self, config: UniterConfig):
        super().__init__(config)
        self.uniter = UniterModel(config)
        self.cls = BertOnlyMLMHead(config)
        self.region_regression = UniterRegionRegression(config)
        self.region_classifier = UniterRegionClassification(config)
        self.itm_output = nn.Linear(config.hidden_size, 2)
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
        hidden_regions: Tensor | None = None,
        labels: Tensor | None = None,
        itm_labels: Tensor | None = None,
        region_labels: Tensor | None = None,
        region_targets: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Unpack[Options],
    ) -> UniterPreTrainingOutput:
        """All heads at once; arguments as in `UniterModel.forward`.

        Args:
            labels: [batch, text] hidden words, -100 elsewhere.
            itm_labels: [batch], 1 for a match.
            region_labels: [batch, region] detector classes, -100 elsewhere.
            region_targets: [hidden regions, feature]: the true features where ``hidden_regions`` is 1.
        """
        out = self.uniter(
            input_ids=input_ids,
            attention_mask=attention_mask,
            region_features=region_features,
            region_positions=region_positions,
            region_mask=region_mask,
            hidden_regions=hidden_regions,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )
        length = text_length(input_ids, inputs_embeds)
        text, regions = out.last_hidden_state.tensor_split([length], 1)
        words, itm_logits = self.cls(text), self.itm_output(out.pooler_output)
        seen = self.region_regression(regions, self.uniter.region_embeddings.feature_linear.weight)
        classes = self.region_classifier(regions)
        losses = []
        if labels is not None:
            losses.append(F.cross_entropy(words.flatten(0, 1).float(), labels.flatten(), ignore_index=-100))
        if itm_labels is not None:
            losses.append(F.cross_entropy(itm_logits.float(), itm_labels))
        if region_targets is not None:
            if hidden_regions is None:
                raise ValueError(
                    "region_targets were given without hidden_regions; pass which regions are hidden"
                )
            losses.append(F.mse_loss(seen[hidden_regions.bool()], region_targets))
        if region_labels is not None:
            losses.append(
                F.cross_entropy(classes.flatten(0, 1).float(), region_labels.flatten(), ignore_index=-100)
            )
        return UniterPreTrainingOutput(
            loss=torch.stack(losses).sum() if losses else None,
            prediction_logits=words,
            region_features=seen,
            region_logits=classes,
            itm_logits=itm_logits,
            hidden_states=out.hidden_states,
            attentions=out.attentions,
        )
