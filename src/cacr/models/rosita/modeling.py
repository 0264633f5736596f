"""ROSITA on stock transformers parts: only the map of the regions, the match head and the glue are new.

    [CLS] caption [SEP] | regions     regions: LayerNorm(Linear(features) + Linear(box)); no position, no segment

Its scene graphs only choose what is masked in pre-training; nothing of them is in the network.

Paper: arXiv:2108.07073. Source: github.com/MILVLG/rosita, rosita/modeling.
"""

from typing import Unpack

from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils import can_return_tuple
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from cacr.models.embeddings import of_pairs
from cacr.models.rosita.configuration import RositaConfig
from cacr.models.single_stream import Options, RetrievalOutput, SingleStream, SingleStreamPreTrainedModel


class RositaRegionEmbeddings(nn.Module):
    """Features and box numbers of each region, each through a linear map, summed and normalized."""

    def __init__(self, config: RositaConfig):
        super().__init__()
        width = config.hidden_size
        self.feature_linear = nn.Linear(config.region_dim, width)
        self.position_linear = nn.Linear(config.region_position_dim, width)
        self.layer_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, features: Tensor, positions: Tensor, index: Tensor | None = None) -> Tensor:
        x = self.layer_norm(self.feature_linear(features) + self.position_linear(positions))
        return self.dropout(of_pairs(x, index))


class RositaPreTrainedModel(SingleStreamPreTrainedModel):
    """What all ROSITA models share."""

    config_class = RositaConfig
    config: RositaConfig
    base_model_prefix = "rosita"
    _no_split_modules = ["BertLayer", "TextEmbeddings", "RositaRegionEmbeddings"]  # noqa: RUF012


class RositaModel(SingleStream, RositaPreTrainedModel):
    """The encoder: hidden states of words and regions, and a pooled [CLS]."""

    def __init__(self, config: RositaConfig, add_pooling_layer: bool = True):
        super().__init__(config)
        self.build(RositaRegionEmbeddings, add_pooling_layer)
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
                    "region_features were given without region_positions [batch, region, 5]; pass both"
                )
            regions = self.region_embeddings(region_features, region_positions, picture_index)
        return self.encode(text, regions, attention_mask, region_mask, **kwargs)


class RositaForImageTextRetrieval(RositaPreTrainedModel):
    """How well a caption fits a picture: ``model(...).rank_scores`` [batch, 1], a logit; higher is better."""

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
        inputs_embeds: Tensor | None = None,
        **kwargs: Unpack[Options],
    ) -> RetrievalOutput:
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
            inputs_embeds=inputs_embeds,
            **kwargs,
        )
        logits = self.itm_output(out.pooler_output)
        return RetrievalOutput(
            loss=None if labels is None else F.cross_entropy(logits.float(), labels),
            rank_scores=logits[:, 1:] - logits[:, :1],
            itm_logits=logits,
            hidden_states=out.hidden_states,
            attentions=out.attentions,
        )
