"""BERT's word, position and segment embeddings, without the buffers of the stock class.

The stock class keeps position ids in buffers that only its own base class restores after loading; nothing else differs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class TextEmbeddings(nn.Module):
    """Word, position and segment embeddings, summed and normalized.

    Args:
        config: With BERT's names: ``vocab_size``, ``hidden_size``, ``max_position_embeddings``, ``type_vocab_size``,
            ``pad_token_id``, ``layer_norm_eps``, ``hidden_dropout_prob``.
    """

    def __init__(self, config: Any):
        super().__init__()
        self.word_embeddings = nn.Embedding(
            config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id
        )
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        input_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
    ) -> Tensor:
        """[batch, text, hidden] of token ids or of embeddings in their place; positions 0, 1, … and type 0 if None."""
        words = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        if position_ids is None:
            most = self.position_embeddings.num_embeddings
            if words.shape[1] > most:
                raise ValueError(
                    f"texts of {words.shape[1]} tokens; the model has {most} positions. Give its processor a smaller "
                    "max_text_length"
                )
            position_ids = torch.arange(words.shape[1], device=words.device)[None]
        if token_type_ids is None:
            token_type_ids = torch.zeros(words.shape[:2], dtype=torch.long, device=words.device)
        x = words + self.position_embeddings(position_ids) + self.token_type_embeddings(token_type_ids)
        return self.dropout(self.layer_norm(x))


def of_pairs(pictures: Tensor, index: Tensor | None) -> Tensor:
    """Embedded pictures as pairs show them, before dropout, which each pair draws for itself.

    Args:
        pictures: [picture, region, hidden].
        index: [pair], which picture each shows; pair i shows picture i if None.
    """
    return pictures if index is None else pictures.index_select(0, index)
