"""ROSITA (Cui et al. 2021, arXiv:2108.07073): BERT over words and regions, pre-trained with scene graphs."""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoProcessor,
)

from cacr.models.rosita.configuration import RositaConfig
from cacr.models.rosita.conversion import convert_original_checkpoint
from cacr.models.rosita.modeling import RositaForImageTextRetrieval, RositaModel, RositaPreTrainedModel
from cacr.models.rosita.processing import RositaProcessor, position_features, without_punctuation

AutoConfig.register("rosita", RositaConfig, exist_ok=True)
AutoModel.register(RositaConfig, RositaModel, exist_ok=True)
AutoModelForSequenceClassification.register(RositaConfig, RositaForImageTextRetrieval, exist_ok=True)
AutoProcessor.register(RositaConfig, RositaProcessor, exist_ok=True)

__all__ = [
    "RositaConfig",
    "RositaForImageTextRetrieval",
    "RositaModel",
    "RositaPreTrainedModel",
    "RositaProcessor",
    "convert_original_checkpoint",
    "position_features",
    "without_punctuation",
]
