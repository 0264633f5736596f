"""OSCAR (Li et al. 2020, arXiv:2004.06165) and OSCAR+ (VinVL): BERT over words, object tags and regions."""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    AutoProcessor,
)

from cacr.models.oscar.configuration import OscarConfig
from cacr.models.oscar.conversion import convert_original_checkpoint
from cacr.models.oscar.modeling import OscarForImageTextRetrieval, OscarModel, OscarPreTrainedModel
from cacr.models.oscar.pretraining import OscarForPreTraining
from cacr.models.oscar.processing import OscarProcessor, position_features

AutoConfig.register("oscar", OscarConfig, exist_ok=True)
AutoModel.register(OscarConfig, OscarModel, exist_ok=True)
AutoModelForPreTraining.register(OscarConfig, OscarForPreTraining, exist_ok=True)
AutoModelForSequenceClassification.register(OscarConfig, OscarForImageTextRetrieval, exist_ok=True)
AutoProcessor.register(OscarConfig, OscarProcessor, exist_ok=True)

__all__ = [
    "OscarConfig",
    "OscarForImageTextRetrieval",
    "OscarForPreTraining",
    "OscarModel",
    "OscarPreTrainedModel",
    "OscarProcessor",
    "convert_original_checkpoint",
    "position_features",
]
