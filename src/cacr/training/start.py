"""The model that a run starts from, and its processor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from cacr._hub import model_here
from cacr.data import CaptionSet
from cacr.models.loading import load_model, load_processor
from cacr.models.processing import RegionProcessor
from cacr.models.shipped import SHIPPED, shipped_model
from cacr.models.uniter import UniterConfig, UniterForImageTextRetrieval, UniterProcessor
from cacr.training.config import TrainConfig
from cacr.training.tokenizers import tokenizer_of_captions


def starting_model(config: TrainConfig, pairs: CaptionSet) -> tuple[PreTrainedModel, RegionProcessor]:
    """The model to start from and its processor.

    Raises:
        FileNotFoundError: No such folder, and the hub does not give it.
    """
    if config.model == SHIPPED:
        with shipped_model() as folder:
            return load_model(folder), load_processor(folder)
    if config.model == "new":
        processor: RegionProcessor = UniterProcessor(tokenizer_of_captions(pairs.captions))
        return new_model(config, processor, pairs), processor
    folder = model_here(
        config.model,
        '"scenes-start", "new", a folder with config.json and model.safetensors (make one of an original checkpoint '
        "with `cacr convert`), or a name on the hub",
    )
    return load_model(folder), load_processor(folder)


def new_model(
    config: TrainConfig, processor: RegionProcessor, pairs: CaptionSet
) -> UniterForImageTextRetrieval:
    """A random model of the configured size that reads the captions and regions of ``pairs``."""
    tokens = processor.tokenizer
    if 0 < config.vocabulary < len(tokens):
        raise ValueError(
            f"vocabulary is {config.vocabulary}, and the captions have {len(tokens)} word pieces; give as many at least"
        )
    return UniterForImageTextRetrieval(
        UniterConfig(
            vocab_size=config.vocabulary or len(tokens),
            hidden_size=config.hidden,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=4 * config.hidden,
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
            initializer_range=config.hidden**-0.5,  # BERT's 0.02 leaves a narrow model without a signal
            max_position_embeddings=processor.max_text_length,
            region_dim=pairs.picture(0).regions.features.shape[1],
            pad_token_id=tokens.pad_token_id,
            cls_token_id=tokens.cls_token_id,
            sep_token_id=tokens.sep_token_id,
            mask_token_id=tokens.mask_token_id,
        )
    )


def check_fits(model: PreTrainedModel, pairs: CaptionSet, config: TrainConfig) -> None:
    """See that model, data and configuration belong together.

    Raises:
        ValueError: The features are not those that the model reads, or it has no such layer or no such flaw.
    """
    width = pairs.picture(0).regions.features.shape[1]
    if width != model.config.region_dim:
        raise ValueError(
            f"the features of {config.data} have {width} numbers per region; the model {config.model} was made for "
            f'{model.config.region_dim}. Use features of its own detector, or another model (model = "new")'
        )
    layers = model.config.num_hidden_layers
    if not -layers <= config.layer < layers:
        raise ValueError(f"layer is {config.layer}; the model has {layers} layers, counted from 0 or from -1")
    if config.reproduce_release_indexing and model.config.model_type != "uniter":
        raise ValueError(
            f"reproduce_release_indexing with a model of type {model.config.model_type}; only UNITER's releases do it"
        )


def freeze(model: PreTrainedModel, layers: int) -> None:
    """Keep the embeddings and the first layers as they are. 0: all learn."""
    base: Any = model.base_model
    encoder = base.encoder.layer
    if not 0 <= layers <= len(encoder):
        raise ValueError(f"freeze_layers is {layers}; the model has {len(encoder)} layers")
    if layers:
        for module in (base.embeddings, base.region_embeddings, *encoder[:layers]):
            module.requires_grad_(False)


def freeze_unused(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> None:
    """Freeze what the match does not depend on, such as heads of pre-training: nothing would teach it.

    Processes that average gradients would wait for it, or search for it in every step.
    """
    training = model.training
    model.eval()  # dropout would use up random numbers
    learn = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with torch.enable_grad():
        found = torch.autograd.grad(model(**inputs).rank_scores.sum(), learn, allow_unused=True)
    for parameter, gradient in zip(learn, found, strict=True):
        if gradient is None:
            parameter.requires_grad_(False)
    model.train(training)
