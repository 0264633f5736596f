"""Open a model by the name that a person gives."""

from __future__ import annotations

from pathlib import Path

from cacr.scorers import UniterScorer
from cacr.training.files import scenes_start


def open_scorer(model: str) -> UniterScorer:
    """A scorer of a model folder, or of "scenes-start", the shipped starting model.

    Raises:
        FileNotFoundError: No such folder.
    """
    if model == "scenes-start":
        with scenes_start() as folder:
            return UniterScorer.from_pretrained(folder, name=model)
    if not Path(model).is_dir():
        raise FileNotFoundError(
            f"no model folder {model}; expected RUN/model as made by `cacr train`, or scenes-start"
        )
    return UniterScorer.from_pretrained(model, name=model)
