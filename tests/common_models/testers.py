"""Tiny models of each class and their inputs, as the library's common tests ask for them."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

from cacr.models.oscar import OscarConfig, OscarForImageTextRetrieval, OscarForPreTraining, OscarModel
from cacr.models.rosita import RositaConfig, RositaForImageTextRetrieval, RositaModel
from cacr.models.uniter import UniterConfig, UniterForImageTextRetrieval, UniterForPreTraining, UniterModel

BASES = (UniterModel, OscarModel, RositaModel)
RETRIEVAL = (UniterForImageTextRetrieval, OscarForImageTextRetrieval, RositaForImageTextRetrieval)
PRETRAINING = (UniterForPreTraining, OscarForPreTraining)
CONFIGS = (UniterConfig, OscarConfig, RositaConfig)


def sizes(config: type) -> dict[str, Any]:
    """What makes a configuration tiny."""
    more = {"region_label_dim": 9} if config is UniterConfig else {}
    return {
        "vocab_size": 99,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 37,
        "max_position_embeddings": 50,
        "region_dim": 6,
        "cls_token_id": 1,
        "sep_token_id": 2,
        "mask_token_id": 3,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        **more,
    }


class ModelTester:
    """What the tests read off a tester, and the configuration and inputs that they ask of it."""

    def __init__(self, model_class: type[PreTrainedModel]):
        self.model_class = model_class
        self.batch_size, self.seq_length, self.regions = 13, 7, 5
        self.encoder_seq_length = self.key_length = self.seq_length + self.regions
        for name, value in sizes(model_class.config_class).items():
            setattr(self, name, value)
        self.base_model_class = next(one for one in BASES if one.config_class is model_class.config_class)
        self.is_training = True

    def get_config(self) -> Any:
        """A fresh one."""
        return self.model_class.config_class(**sizes(self.model_class.config_class))

    def prepare_config_and_inputs_for_common(self) -> tuple[Any, dict[str, torch.Tensor]]:
        """A configuration, and a batch with padding in both parts."""
        config = self.get_config()
        batch, text, regions = self.batch_size, self.seq_length, self.regions
        ids = torch.randint(4, self.vocab_size, (batch, text))
        attention_mask, region_mask = torch.ones_like(ids), torch.ones(batch, regions, dtype=torch.long)
        attention_mask[1, -2:] = region_mask[1, -1] = 0
        return config, {
            "input_ids": ids,
            "attention_mask": attention_mask,
            "region_features": torch.randn(batch, regions, config.region_dim),
            "region_positions": torch.rand(batch, regions, config.region_position_dim),
            "region_mask": region_mask,
        }

    def labels(self) -> dict[str, torch.Tensor]:
        """Targets of each head of the class that learns."""
        g = torch.Generator().manual_seed(0)
        words, pairs = torch.full((self.batch_size, self.seq_length), -100), torch.arange(self.batch_size) % 2
        words[:, 2] = 5
        hidden = torch.zeros(self.batch_size, self.regions, dtype=torch.long)
        hidden[:, 0] = 1
        if self.model_class is UniterForImageTextRetrieval:
            return {"labels": pairs, "hidden_regions": hidden}
        if self.model_class in RETRIEVAL:
            return {"labels": pairs}
        if self.model_class is OscarForPreTraining:
            return {"labels": words, "itm_labels": pairs}
        return {
            "labels": words,
            "itm_labels": pairs,
            "hidden_regions": hidden,
            "region_labels": torch.where(hidden.bool(), 3, -100),
            "region_targets": torch.randn(self.batch_size, 6, generator=g),
        }
