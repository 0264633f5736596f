"""UNITER on stock transformers parts: only the two embedding modules, the heads and the glue are new.

The encoder is transformers' own BertEncoder, so sdpa, flash and eager attention, activation checkpointing and output
recording are theirs. The sequence is [text | regions] with padding in both parts; the original compacts it with
gather indices, which changes nothing but speed, since attention has no order beyond the position embeddings.

Paper: arXiv:1909.11740. Source: github.com/ChenRocks/UNITER, model/{model,itm,pretrain,layer}.py.
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
from cacr.models.single_stream import Options, RetrievalOutput, SingleStream, SingleStreamPreTrainedModel
from cacr.models.uniter.configuration import UniterConfig
from cacr.models.uniter.heads import UniterRegionRegression


class UniterRegionEmbeddings(nn.Module):
    """Features and box numbers of each region, each with a LayerNorm of its own, plus the modality embedding."""

    def __init__(self, config: UniterConfig):
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.feature_linear = nn.Linear(config.region_dim, width)
        self.feature_layer_norm = nn.LayerNorm(width, eps=eps)
        self.position_linear = nn.Linear(config.region_position_dim, width)
        self.position_layer_norm = nn.LayerNorm(width, eps=eps)
        self.mask_embedding = nn.Embedding(2, config.region_dim, padding_idx=0)
        self.layer_norm = nn.LayerNorm(width, eps=eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        features: Tensor,
        positions: Tensor,
        type_embeddings: Tensor,
        hidden_regions: Tensor | None = None,
        index: Tensor | None = None,
    ) -> Tensor:
        if hidden_regions is not None:
            features = features + hidden_regions[..., None].to(features.dtype) * self.mask_embedding.weight[1]
        x = self.feature_layer_norm(self.feature_linear(features))
        x = x + self.position_layer_norm(self.position_linear(positions)) + type_embeddings
        return self.dropout(of_pairs(self.layer_norm(x), index))


class UniterPreTrainedModel(SingleStreamPreTrainedModel):
    """What all UNITER models share."""

    config_class = UniterConfig
    config: UniterConfig
    base_model_prefix = "uniter"
    _no_split_modules = ["BertLayer", "TextEmbeddings", "UniterRegionEmbeddings"]  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, BertLMPredictionHead | UniterRegionRegression):
            init.zeros_(module.bias)


class UniterModel(SingleStream, UniterPreTrainedModel):
    """The encoder: hidden states of words and regions, and a pooled [CLS]."""

    def __init__(self, config: UniterConfig, add_pooling_layer: bool = True):
        super().__init__(config)
        self.build(UniterRegionEmbeddings, add_pooling_layer)
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
        hidden_regions: Tensor | None = None,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        region_index: Tensor | None = None,
        picture_index: Tensor | None = None,
        **kwargs: Unpack[Options],
    ) -> BaseModelOutputWithPooling:
        """Encode captions, pictures or pairs of them.

        Args:
            input_ids: [batch, text] word pieces, [CLS] first; None for pictures alone.
            attention_mask: [batch, text], 1 where a token is real; or [batch, query, key] over the whole sequence, 1
                where a query may see a key (``region_mask`` is not read then). All if None.
            region_features: [batch, region, feature]; None for captions alone.
            region_positions: [batch, region, 7]: x1, y1, x2, y2, w, h, w·h, all 0-1.
            region_mask: [batch, region], 1 where a region is real; all if None.
            hidden_regions: [batch, region], 1 where the features (zeroed by the caller) are hidden: pre-training.
            position_ids: [batch, text]; 0, 1, … if None.
            token_type_ids: [batch, text]; 0 if None. Regions have type 1.
            inputs_embeds: [batch, text, hidden] in place of ``input_ids``.
            region_index: [batch, region], which embedding of [text | regions] each region slot holds. Only to repeat
                a flaw of the releases (`cacr.training.release`).
            picture_index: [batch], which row of ``region_features`` and ``region_positions`` each pair shows, so that a
                picture that many pairs show is embedded once; row i if None. ``region_mask`` has a row a pair.

        Returns:
            ``last_hidden_state`` [batch, text + region, hidden] and ``pooler_output`` [batch, hidden].
        """
        text = regions = None
        if input_ids is not None or inputs_embeds is not None:
            text = self.embeddings(input_ids, position_ids, token_type_ids, inputs_embeds)
        if region_features is not None:
            if region_positions is None:
                raise ValueError(
                    "region_features were given without region_positions [batch, region, 7]; pass both"
                )
            modality = self.embeddings.token_type_embeddings.weight[1]
            regions = self.region_embeddings(
                region_features, region_positions, modality, hidden_regions, picture_index
            )
        if region_index is not None:
            assert text is not None and regions is not None
            read = region_index[..., None].expand(-1, -1, text.shape[-1])
            regions = torch.cat([text, regions], 1).gather(1, read)
        return self.encode(text, regions, attention_mask, region_mask, **kwargs)


class UniterForImageTextRetrieval(UniterPreTrainedModel):
    """How well a caption fits a picture: ``model(...).rank_scores`` [batch, 1], a logit; higher is better."""

    match_is = "rank_scores, the logit of the ranking head"

    def __init__(self, config: UniterConfig):
        super().__init__(config)
        self.uniter = UniterModel(config)
        self.itm_output = nn.Linear(config.hidden_size, 2)
        self.rank_output = nn.Linear(config.hidden_size, 1)
        self.post_init()

    def init_rank_from_itm(self) -> None:
        """Start the ranking head as the match row of the pre-training head, as the releases do."""
        with torch.no_grad():
            self.rank_output.weight.copy_(self.itm_output.weight[1:])
            self.rank_output.bias.copy_(self.itm_output.bias[1:])

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        region_features: Tensor | None = None,
        region_positions: Tensor | None = None,
        region_mask: Tensor | None = None,
        labels: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Unpack[Options],
    ) -> RetrievalOutput:
        """Match scores of pairs; arguments as in `UniterModel.forward`.

        ``labels`` [batch], 1 for a match and 0 otherwise, gives ``loss``: cross-entropy of ``itm_logits``. The
        ranking loss over groups lives in `cacr.losses.ranking_loss`.
        """
        out = self.uniter(
            input_ids=input_ids,
            attention_mask=attention_mask,
            region_features=region_features,
            region_positions=region_positions,
            region_mask=region_mask,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )
        itm_logits = self.itm_output(out.pooler_output)
        return RetrievalOutput(
            loss=None if labels is None else F.cross_entropy(itm_logits.float(), labels),
            rank_scores=self.rank_output(out.pooler_output),
            itm_logits=itm_logits,
            hidden_states=out.hidden_states,
            attentions=out.attentions,
        )
