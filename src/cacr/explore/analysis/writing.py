"""An analysis on disk: analysis.json, analysis.md, records.jsonl and figures, whole or not there.

A figure that cannot be drawn costs no number and no other figure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cacr._disk import NotWritten
from cacr._files import write_whole
from cacr.explore.analysis.correlations import soft_score
from cacr.explore.analysis.measures import MEASURES
from cacr.explore.analysis.plots import alignment_figure, distances_figure, entropy_figure, heads_figure
from cacr.explore.analysis.report import report
from cacr.explore.analysis.subject import Subject
from cacr.explore.fonts import every_script
from cacr.explore.saving import save_figures
from cacr.statistics import LEVEL

FORMATS = ("png", "pdf")


def check_new(out: Path) -> None:
    """Raises FileExistsError where something of the folder's name is there."""
    if out.exists():
        raise FileExistsError(f"{out} exists and is not overwritten; give a new folder: --out FOLDER")


def write_analysis(out: Path, found: Mapping[str, Any], subjects: Sequence[Subject]) -> list[str]:
    """Write everything into a new folder.

    Args:
        out: The folder.
        found: What `summarize` gives, with "data" (a sentence) and "notes" (sentences).
        subjects: The models, for the records and the points of figures.

    Returns:
        A sentence for each figure that could not be drawn; the numbers are there all the same.

    Raises:
        FileExistsError: It exists.
        NotWritten: The disk refused it.
    """
    check_new(out)
    lost: list[str] = []

    def write(folder: Path) -> None:
        _fill(folder, found, subjects)
        for name, draw in _drawings(found, subjects).items():
            try:
                if (figure := draw()) is not None:
                    _save(figure, folder, name)
            except NotWritten:
                raise
            except Exception as error:  # of any kind: fonts and matplotlib have many
                why = str(error).strip() or type(error).__name__
                lost.append(f"The figure {name} could not be drawn, the numbers are whole: {why}")

    write_whole(out, write)
    return lost


def _save(figure: Figure, folder: Path, name: str) -> None:
    with every_script(figure):
        figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once: every format has the same places
    save_figures({name: figure}, folder, FORMATS)


def _fill(folder: Path, found: Mapping[str, Any], subjects: Sequence[Subject]) -> None:
    folder.mkdir()
    told = {name: {"says": one.says, "unit": one.unit} for name, one in MEASURES.items()}
    whole = {"level": LEVEL, **found, "measures": told}
    (folder / "analysis.json").write_text(
        json.dumps(whole, indent=1, allow_nan=False) + "\n", encoding="utf-8"
    )
    (folder / "analysis.md").write_text(report(found), encoding="utf-8")
    with (folder / "records.jsonl").open("w", encoding="utf-8") as file:
        for one in subjects:
            scores = {} if one.match is None else dict(zip(one.examples, one.match.tolist(), strict=True))
            for pair in one.pairs:
                record = pair.record(one.name) | {"match": scores.get(pair.example)}
                file.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")


def figures(found: Mapping[str, Any], subjects: Sequence[Subject]) -> dict[str, Figure]:
    """The figures that these data allow, by name."""
    made = {name: draw() for name, draw in _drawings(found, subjects).items()}
    return {name: figure for name, figure in made.items() if figure is not None}


def _drawings(
    found: Mapping[str, Any], subjects: Sequence[Subject]
) -> dict[str, Callable[[], Figure | None]]:
    layer = subjects[0].layers[-1]
    arms = list(dict.fromkeys(one.arm for one in subjects))
    return {
        "alignment": lambda: alignment_figure(found),
        "distances": lambda: distances_figure(found),
        "entropy": lambda: entropy_figure(found, _points(subjects, layer), layer),
        "heads": lambda: heads_figure(found, arms),
    }


def _points(
    subjects: Sequence[Subject], layer: int
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The first model of each arm -> (mean entropy of an example's pairs, its soft score)."""
    found: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    first = {one.arm: one for one in reversed(subjects)}
    for one in reversed(first.values()):
        values = one.values("entropy_lv")
        if one.match is None or values is None or layer not in one.layers:
            continue
        own: dict[str, list[float]] = {}
        for pair, value in zip(one.pairs, values[:, one.layers.index(layer), 0], strict=True):
            own.setdefault(pair.example, []).append(float(value))
        entropy = np.array([np.mean(own[name]) for name in one.examples])
        found[one.name] = (entropy, soft_score(one.match))
    return found
