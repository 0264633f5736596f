"""What UNITER, OSCAR and ROSITA share: one BERT encoder over words and regions, and a match score.

A family brings its map of the regions, its heads, and the order and meaning of its forward arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.bert.modeling_bert import BertEncoder, BertLayer, BertPooler, BertSelfAttention
from transformers.utils import ModelOutput

from cacr.models.embeddings import TextEmbeddings
from cacr.models.sequence import text_and_regions


class SingleStreamPreTrainedModel(PreTrainedModel):
    """Attention kernels and recording, which are the stock encoder's."""

    main_input_name = "input_ids"
    input_modalities = ["image", "text"]  # noqa: RUF012
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False  # losses are means over the batch
    _supports_sdpa = _supports_flash_attn = _supports_flex_attn = _supports_attention_backend = True
    _can_record_outputs = {"hidden_states": BertLayer, "attentions": BertSelfAttention}  # noqa: RUF012


class SingleStream:
    """The encoder of a family, beside its PreTrainedModel: its parts, and the way through them."""

    embeddings: TextEmbeddings
    region_embeddings: Any
    encoder: BertEncoder
    pooler: BertPooler | None
    config: Any

    def build(self, region_embeddings: Callable[[Any], nn.Module], add_pooling_layer: bool) -> None:
        """Make the parts of ``self.config``; ``region_embeddings`` makes the family's own."""
        config = self.config
        self.embeddings = TextEmbeddings(config)
        self.region_embeddings = region_embeddings(config)
        self.encoder = BertEncoder(config)
        self.pooler = BertPooler(config) if add_pooling_layer else None

    def get_input_embeddings(self) -> nn.Module:
        """Of words."""
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: Any) -> None:
        """Replace those of words."""
        self.embeddings.word_embeddings = value

    def encode(
        self,
        text: Tensor | None,
        regions: Tensor | None,
        attention_mask: Tensor | None,
        region_mask: Tensor | None,
        first_only: bool = False,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Embedded words and regions through the encoder; arguments as in `text_and_regions`.

        ``first_only`` computes the last layer for the first position alone, from which a match is read: the same
        match, and ``last_hidden_state`` [batch, 1, hidden]. For evaluation; nothing is recorded of that layer.
        """
        x, mask = text_and_regions(self.config, text, regions, attention_mask, region_mask)
        if first_only and (mask is None or mask.ndim == 4):
            for layer in self.encoder.layer[:-1]:
                x = layer(x, mask, **kwargs)
            hidden = _first_position(self.encoder.layer[-1], x, mask)
        else:
            hidden = self.encoder(x, attention_mask=mask, **kwargs).last_hidden_state
        pooled = None if self.pooler is None else self.pooler(hidden)
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=pooled)


def _first_position(layer: BertLayer, x: Tensor, mask: Tensor | None) -> Tensor:
    """What a layer gives the first position, without dropout: [batch, 1, hidden]."""
    attention, first = layer.attention.self, x[:, :1]
    shape = (len(x), -1, attention.num_attention_heads, attention.attention_head_size)
    query, key, value = (
        part.view(shape).transpose(1, 2)
        for part in (attention.query(first), attention.key(x), attention.value(x))
    )
    seen = None if mask is None else mask[:, :, :1]
    found = F.scaled_dot_product_attention(query, key, value, seen, scale=attention.scaling)
    return layer.feed_forward_chunk(layer.attention.output(found.transpose(1, 2).reshape(first.shape), first))


@dataclass
class RetrievalOutput(ModelOutput):
    """``rank_scores`` [batch, 1]: the match; ``itm_logits`` [batch, class]: of the match head, class 1 is a match."""

    loss: Tensor | None = None
    rank_scores: Tensor | None = None
    itm_logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
