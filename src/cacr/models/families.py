"""The models of this package by transformers' model type. Adding one: a folder, and an entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from transformers import PreTrainedConfig, PreTrainedModel

from cacr.models.processing import RegionProcessor
from cacr.models.weights import Conversion


@dataclass(frozen=True)
class Family:
    """What belongs to one kind of model."""

    called: str
    """In messages."""
    config: type[PreTrainedConfig]
    scoring: tuple[type[PreTrainedModel], ...]
    """Classes whose output has ``rank_scores``; the first for a folder that names none."""
    processor: type[RegionProcessor]
    convert: Callable[..., Conversion]
    """(checkpoint, config, head) -> the model."""
    lower_case: bool
    """Whether its released models read lower case."""


@cache
def families() -> dict[str, Family]:
    """Model type -> what belongs to it; imported when asked for."""
    from cacr.models import oscar, rosita, uniter
    from cacr.models.oscar.conversion import convert as convert_oscar
    from cacr.models.rosita.conversion import convert as convert_rosita
    from cacr.models.uniter.conversion import convert as convert_uniter

    return {
        "uniter": Family(
            "a UNITER checkpoint",
            uniter.UniterConfig,
            (uniter.UniterForImageTextRetrieval,),
            uniter.UniterProcessor,
            convert_uniter,
            lower_case=False,
        ),
        "oscar": Family(
            "an OSCAR checkpoint",
            oscar.OscarConfig,
            (oscar.OscarForImageTextRetrieval, oscar.OscarForPreTraining),
            oscar.OscarProcessor,
            convert_oscar,
            lower_case=True,
        ),
        "rosita": Family(
            "a ROSITA checkpoint",
            rosita.RositaConfig,
            (rosita.RositaForImageTextRetrieval,),
            rosita.RositaProcessor,
            convert_rosita,
            lower_case=True,
        ),
    }
