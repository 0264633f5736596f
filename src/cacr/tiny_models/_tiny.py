"""What every builder of this folder returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:  # at run time it would load half of transformers
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class TinyModel:
    """A model of a few thousand random weights and a batch that it accepts: ``model(**inputs)``."""

    model: PreTrainedModel
    """Random weights, made by the real transformers class."""
    inputs: dict[str, Tensor]
    """A batch of 2 pairs that gives ``out.loss`` where the class can compute one."""
