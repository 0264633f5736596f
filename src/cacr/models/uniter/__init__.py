"""UNITER (Chen et al. 2020, arXiv:1909.11740): one transformer over words and detected regions."""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    AutoProcessor,
)

from cacr.models.loading import load_model, load_processor
from cacr.models.uniter.configuration import UniterConfig
from cacr.models.uniter.conversion import convert_original_checkpoint
from cacr.models.uniter.modeling import (
    UniterForImageTextRetrieval,
    UniterModel,
    UniterPreTrainedModel,
)
from cacr.models.uniter.pretraining import UniterForPreTraining
from cacr.models.uniter.processing import UniterProcessor, position_features

AutoConfig.register("uniter", UniterConfig, exist_ok=True)
AutoModel.register(UniterConfig, UniterModel, exist_ok=True)
AutoModelForPreTraining.register(UniterConfig, UniterForPreTraining, exist_ok=True)
AutoModelForSequenceClassification.register(UniterConfig, UniterForImageTextRetrieval, exist_ok=True)
AutoProcessor.register(UniterConfig, UniterProcessor, exist_ok=True)

__all__ = [
    "UniterConfig",
    "UniterForImageTextRetrieval",
    "UniterForPreTraining",
    "UniterModel",
    "UniterPreTrainedModel",
    "UniterProcessor",
    "convert_original_checkpoint",
    "load_model",
    "load_processor",
    "position_features",
]
