"""What UNITER, OSCAR and ROSITA share: one BERT encoder over words and regions, and a match score.

A family brings its map of the regions, its heads, and the order and meaning of its forward arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.bert.modeling_bert import BertEncoder, BertLayer, BertPooler, BertSelfAttention
from transformers.utils import ModelOutput

from cacr.models.embeddings import TextEmbeddings
from cacr.models.sequence import text_and_regions


class Options(TypedDict, total=False):
    """What any forward takes beside what it names: transformers' switches, and those of `SingleStream.encode`.

    A head hands everything that it does not name to its encoder.
    """

    output_hidden_states: bool
    output_attentions: bool
    return_dict: bool
    first_only: bool
    padded: bool | None


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
        padded: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Embedded words and regions through the encoder; arguments as in `text_and_regions`.

        ``first_only`` computes the last layer for the first position alone, from which a match is read: the same
        match with the same gradients, and ``last_hidden_state`` [batch, 1, hidden]. Nothing is recorded of that layer,
        and no watch sees it. It is computed in full where the attention kernel takes its own kind of mask.
        """
        x, mask = text_and_regions(self.config, text, regions, attention_mask, region_mask, padded)
        if first_only and (mask is None or mask.ndim == 4):
            for layer in self.encoder.layer[:-1]:
                x = layer(x, mask, **kwargs)
            hidden = _first_position(self.encoder.layer[-1], x, mask)
        else:
            hidden = self.encoder(x, attention_mask=mask, **kwargs).last_hidden_state
        pooled = None if self.pooler is None else self.pooler(hidden)
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=pooled)


def _first_position(layer: BertLayer, x: Tensor, mask: Tensor | None) -> Tensor:
    """What a layer gives the first position: [batch, 1, hidden].

    q · (W x + b) = (Wᵀ q) · x + q · b, and a sum of W x + b is W of the sum of x: the maps of keys and values are
    applied to the one query and to the one result in place of every position. Adapters, quantized maps and those
    with a hook of accelerate are not taken apart like that.
    """
    attention: Any = layer.attention.self
    key, value = attention.key, attention.value
    query = attention.query(x[:, 0]).view(len(x), attention.num_attention_heads, -1)
    parts, plain = query.shape[1:], _plain(key) and _plain(value)
    if plain:
        scores = torch.einsum("bhd,hdx->bhx", query, key.weight.view(*parts, -1)) @ x.transpose(1, 2)
        # q · b is a constant of a row, which softmax cancels; without it key.bias had no gradient, which DDP waits for
        scores = scores + (query * key.bias.view(parts)).sum(-1, keepdim=True)
    else:
        scores = torch.einsum("bhd,bthd->bht", query, key(x).unflatten(-1, parts))
    scores = scores * attention.scaling
    if mask is not None:
        seen = mask[:, 0, :1]
        least = torch.finfo(scores.dtype).min
        scores = scores.masked_fill(~seen, least) if seen.dtype == torch.bool else scores + seen
    wide = torch.promote_types(scores.dtype, torch.float32)
    probabilities = attention.dropout(scores.softmax(-1, dtype=wide)).to(scores.dtype)
    if plain:
        found = torch.einsum("bhx,hdx->bhd", probabilities @ x, value.weight.view(*parts, -1))
        found = found + value.bias.view(parts) * probabilities.sum(-1, keepdim=True)
    else:
        found = torch.einsum("bht,bthd->bhd", probabilities, value(x).unflatten(-1, parts))
    return layer.feed_forward_chunk(layer.attention.output(found.flatten(1)[:, None], x[:, :1]))


def _plain(module: nn.Module) -> bool:
    """Whether a map is what its weight says, and nothing more."""
    return (
        type(module) is nn.Linear and type(module.weight) is nn.Parameter and not hasattr(module, "_hf_hook")
    )


@dataclass
class RetrievalOutput(ModelOutput):
    """``rank_scores`` [batch, 1]: the match; ``itm_logits`` [batch, class]: of the match head, class 1 is a match."""

    loss: Tensor | None = None
    rank_scores: Tensor | None = None
    itm_logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
