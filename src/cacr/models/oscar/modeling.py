"""OSCAR and OSCAR+ on stock transformers parts: only the map of the regions, the heads and the glue are new.

    [CLS] caption [SEP] tags [SEP] | regions     regions: Linear(features, box), LayerNorm if configured; no position

Papers: arXiv:2004.06165, arXiv:2101.00529. Source: github.com/microsoft/Oscar, oscar/modeling/modeling_bert.py.
"""

from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.bert.modeling_bert import BertLMPredictionHead
from transformers.utils import can_return_tuple
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from cacr.models.embeddings import of_pairs
from cacr.models.oscar.configuration import OscarConfig
from cacr.models.single_stream import Options, RetrievalOutput, SingleStream, SingleStreamPreTrainedModel


class OscarRegionEmbeddings(nn.Module):
    """Features and box numbers of each region, joined, through one linear map and, if configured, a LayerNorm."""

    def __init__(self, config: OscarConfig):
        super().__init__()
        width = config.hidden_size
        self.region_dim, self.joined = config.region_dim, config.region_dim + config.region_position_dim
        self.linear = nn.Linear(self.joined, width)
        norm = nn.LayerNorm(width, eps=config.region_layer_norm_eps) if config.use_region_layer_norm else None
        self.layer_norm = norm if norm is not None else nn.Identity()
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self, features: Tensor, positions: Tensor | None = None, index: Tensor | None = None
    ) -> Tensor:
        if positions is not None:
            features = torch.cat([features, positions], -1)
        if features.shape[-1] != self.joined:
            given = "without region_positions" if positions is None else "with their region_positions"
            raise ValueError(
                f"region_features {given} have {features.shape[-1]} numbers a region; expected {self.region_dim} and "
                f"region_positions of {self.joined - self.region_dim}, or the {self.joined} joined"
            )
        return self.dropout(of_pairs(self.layer_norm(self.linear(features)), index))


class OscarPreTrainedModel(SingleStreamPreTrainedModel):
    """What all OSCAR models share."""

    config_class = OscarConfig
    config: OscarConfig
    base_model_prefix = "oscar"
    _no_split_modules = ["BertLayer", "TextEmbeddings", "OscarRegionEmbeddings"]  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, BertLMPredictionHead):
            init.zeros_(module.bias)


class OscarModel(SingleStream, OscarPreTrainedModel):
    """The encoder: hidden states of words, tags and regions, and a pooled [CLS]."""

    def __init__(self, config: OscarConfig, add_pooling_layer: bool = True):
        super().__init__(config)
        self.build(OscarRegionEmbeddings, add_pooling_layer)
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        region_features: Tensor | None = None,
        region_positions: Tensor | None = None,
        region_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        picture_index: Tensor | None = None,
        **kwargs: Unpack[Options],
    ) -> BaseModelOutputWithPooling:
        """Encode captions with tags, pictures or pairs of them.

        Args:
            input_ids: [batch, text] word pieces: [CLS] caption [SEP] tags [SEP]; None for pictures alone.
            attention_mask: [batch, text], 1 where a token is real; or [batch, query, key] over the whole sequence, 1
                where a query may see a key (``region_mask`` is not read then). All if None.
            region_features: [batch, region, feature]; None for captions alone.
            region_positions: [batch, region, 6]: x1, y1, x2, y2, w, h, all 0-1; None where ``region_features`` hold
                them at their end.
            region_mask: [batch, region], 1 where a region is real; all if None.
            token_type_ids: [batch, text]: 0 in the caption's part, 1 in the tags'; 0 if None.
            position_ids: [batch, text]; 0, 1, … if None.
            inputs_embeds: [batch, text, hidden] in place of ``input_ids``.
            picture_index: [batch], which row of ``region_features`` and ``region_positions`` each pair shows, so that a
                picture that many pairs show is embedded once; row i if None. ``region_mask`` has a row a pair.

        Returns:
            ``last_hidden_state`` [batch, text + region, hidden] and ``pooler_output`` [batch, hidden].
        """
        text = regions = None
        if input_ids is not None or inputs_embeds is not None:
            text = self.embeddings(input_ids, position_ids, token_type_ids, inputs_embeds)
        if region_features is not None:
            regions = self.region_embeddings(region_features, region_positions, picture_index)
        return self.encode(text, regions, attention_mask, region_mask, **kwargs)


class OscarForImageTextRetrieval(OscarPreTrainedModel):
    """How well a caption fits a picture: ``model(...).rank_scores`` [batch, 1], a logit; higher is better."""

    match_is = "rank_scores, the logit of a match minus that of none"

    def __init__(self, config: OscarConfig):
        super().__init__(config)
        if config.num_labels not in (1, 2):
            raise ValueError(f"num_labels is {config.num_labels}; a match head has 2 classes, or 1 number")
        self.oscar = OscarModel(config)
        self.classifier = _classifier(config)
        self.post_init()

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
        inputs_embeds: Tensor | None = None,
        **kwargs: Unpack[Options],
    ) -> RetrievalOutput:
        """Match scores of pairs; arguments as in `OscarModel.forward`.

        ``labels`` [batch], 1 for a match and 0 otherwise, gives ``loss``: cross-entropy of ``itm_logits``, or the
        squared error where ``num_labels`` is 1, as in the release.
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
        logits = self.classifier(out.pooler_output)
        single = self.config.num_labels == 1
        loss = None
        if labels is not None:
            loss = F.mse_loss(logits[:, 0].float(), labels.float()) if single else None
            loss = F.cross_entropy(logits.float(), labels) if loss is None else loss
        return RetrievalOutput(
            loss=loss,
            rank_scores=logits if single else logits[:, 1:] - logits[:, :1],
            itm_logits=logits,
            hidden_states=out.hidden_states,
            attentions=out.attentions,
        )


def _classifier(config: OscarConfig) -> nn.Module:
    width, labels = config.hidden_size, int(config.num_labels or 0)
    if config.classifier == "linear":
        return nn.Linear(width, labels)
    if config.classifier == "mlp":
        middle = width * config.classifier_scale
        return nn.Sequential(nn.Linear(width, middle), nn.ReLU(), nn.Linear(middle, labels))
    raise ValueError(f'classifier is {config.classifier!r}; expected "linear" or "mlp"')
