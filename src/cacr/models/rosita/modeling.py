"""ROSITA on stock transformers parts: only the map of the regions, the match head and the glue are new.

    [CLS] caption [SEP] | regions     regions: LayerNorm(Linear(features) + Linear(box)); no position, no segment

Its scene graphs only choose what is masked in pre-training; nothing of them is in the network.

Paper: arXiv:2108.07073. Source: github.com/MILVLG/rosita, rosita/modeling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.bert.modeling_bert import BertEncoder, BertLayer, BertPooler, BertSelfAttention
from transformers.utils import ModelOutput, can_return_tuple
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from cacr.models.embeddings import TextEmbeddings
from cacr.models.rosita.configuration import RositaConfig
from cacr.models.sequence import text_and_regions


class RositaRegionEmbeddings(nn.Module):
    """Features and box numbers of each region, each through a linear map, summed and normalized."""

    def __init__(self, config: RositaConfig):
        super().__init__()
        width = config.hidden_size
        self.feature_linear = nn.Linear(config.region_dim, width)
        self.position_linear = nn.Linear(config.region_position_dim, width)
        self.layer_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, features: Tensor, positions: Tensor) -> Tensor:
        return self.dropout(self.layer_norm(self.feature_linear(features) + self.position_linear(positions)))


class RositaPreTrainedModel(PreTrainedModel):
    """What all ROSITA models share: initialization, attention kernels, recording."""

    config_class = RositaConfig
    config: RositaConfig
    base_model_prefix = "rosita"
    main_input_name = "input_ids"
    input_modalities = ["image", "text"]  # noqa: RUF012
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False  # losses are means over the batch
    _supports_sdpa = _supports_flash_attn = _supports_flex_attn = _supports_attention_backend = True
    _no_split_modules = ["BertLayer", "TextEmbeddings", "RositaRegionEmbeddings"]  # noqa: RUF012
    _can_record_outputs = {"hidden_states": BertLayer, "attentions": BertSelfAttention}  # noqa: RUF012


class RositaModel(RositaPreTrainedModel):
    """The encoder: hidden states of words and regions, and a pooled [CLS]."""

    def __init__(self, config: RositaConfig, add_pooling_layer: bool = True):
        super().__init__(config)
        self.embeddings = TextEmbeddings(config)
        self.region_embeddings = RositaRegionEmbeddings(config)
        self.encoder = BertEncoder(config)
        self.pooler = BertPooler(config) if add_pooling_layer else None
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: Any) -> None:
        self.embeddings.word_embeddings = value

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
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Encode captions, pictures or pairs of them.

        Args:
            input_ids: [batch, text] word pieces, [CLS] first; None for pictures alone.
            attention_mask: [batch, text], 1 where a token is real; or [batch, query, key] over the whole sequence, 1
                where a query may see a key (``region_mask`` is not read then). All if None.
            region_features: [batch, region, feature]; None for captions alone.
            region_positions: [batch, region, 5]: x1, y1, x2, y2, area, all 0-1.
            region_mask: [batch, region], 1 where a region is real; all if None.
            token_type_ids: [batch, text]; 0 if None, as the release has it everywhere.
            position_ids: [batch, text]; 0, 1, … if None.
            inputs_embeds: [batch, text, hidden] in place of ``input_ids``.

        Returns:
            ``last_hidden_state`` [batch, text + region, hidden] and ``pooler_output`` [batch, hidden].
        """
        text = regions = None
        if input_ids is not None or inputs_embeds is not None:
            text = self.embeddings(input_ids, position_ids, token_type_ids, inputs_embeds)
        if region_features is not None:
            if region_positions is None:
                raise ValueError(
                    "region_features were given without region_positions [batch, region, 5]; pass both"
                )
            regions = self.region_embeddings(region_features, region_positions)
        x, mask = text_and_regions(self.config, text, regions, attention_mask, region_mask)
        hidden = self.encoder(x, attention_mask=mask, **kwargs).last_hidden_state
        pooled = None if self.pooler is None else self.pooler(hidden)
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=pooled)


@dataclass
class RositaRetrievalOutput(ModelOutput):
    """``rank_scores`` [batch, 1]: the match; ``itm_logits`` [batch, 2]: class 1 is a match."""

    loss: Tensor | None = None
    rank_scores: Tensor | None = None
    itm_logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class RositaForImageTextRetrieval(RositaPreTrainedModel):
    """How well a caption fits a picture: ``model(...).rank_scores``, higher is better."""

    match_is = "rank_scores, the logit of a match minus that of none"

    def __init__(self, config: RositaConfig):
        super().__init__(config)
        self.rosita = RositaModel(config)
        self.itm_output = nn.Linear(config.hidden_size, 2)
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
        **kwargs: Any,
    ) -> RositaRetrievalOutput:
        """Match scores of pairs; arguments as in `RositaModel.forward`.

        ``labels`` [batch], 1 for a match and 0 otherwise, gives ``loss``: cross-entropy of ``itm_logits``.
        """
        out = self.rosita(
            input_ids=input_ids,
            attention_mask=attention_mask,
            region_features=region_features,
            region_positions=region_positions,
            region_mask=region_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            **kwargs,
        )
        logits = self.itm_output(out.pooler_output)
        return RositaRetrievalOutput(
            loss=None if labels is None else F.cross_entropy(logits.float(), labels),
            rank_scores=logits[:, 1:] - logits[:, :1],
            itm_logits=logits,
            hidden_states=out.hidden_states,
            attentions=out.attentions,
        )
