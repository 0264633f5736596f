"""Open a model by the name that a person gives."""

from __future__ import annotations

from typing import Any

from cacr.data import Scorer
from cacr.scorers.opening import open_scorer as open_any
from cacr.training.start import scenes_start

START = "scenes-start"


def open_scorer(model: str, **options: Any) -> Scorer:
    """A scorer of any family (`cacr.scorers.open_scorer`), or of "scenes-start", the shipped starting model.

    Raises:
        FileNotFoundError: No such model.
        ValueError: A model of no family that is known, or options that it does not take.
    """
    if model == START:
        with scenes_start() as folder:
            return open_any(str(folder), **{"name": START, **options})
    return open_any(model, **options)
