"""Open a model by the name that a person gives."""

from __future__ import annotations

from pathlib import Path

from cacr.scorers import RegionScorer
from cacr.training.start import scenes_start


def open_scorer(model: str) -> RegionScorer:
    """A scorer of a model folder, or of "scenes-start", the shipped starting model.

    Raises:
        FileNotFoundError: No such folder.
    """
    if model == "scenes-start":
        with scenes_start() as folder:
            return RegionScorer.from_pretrained(folder, name=model)
    if not Path(model).is_dir():
        raise FileNotFoundError(
            f"no model folder {model}; expected RUN/model as made by `cacr train`, a folder made by `cacr convert`, or "
            "scenes-start"
        )
    return RegionScorer.from_pretrained(model, name=model)
