"""Figures in files: PDF, SVG and PNG that a paper takes as they are, the same bytes for the same figure.

PDF holds its fonts as TrueType (type 42), SVG its text as text, neither a date; nothing is cut off or
added, so that a figure has the width that it was made with. Characters that the usual font lacks are drawn
with others that are installed (`cacr.explore.fonts`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from cacr._files import write_bytes_new, write_bytes_whole
from cacr._messages import unknown
from cacr.explore.fonts import every_script

DPI = 200
FORMATS: dict[str, dict[str, Any]] = {
    "pdf": {"Creator": "cacr", "Producer": None, "CreationDate": None},
    "svg": {"Creator": "cacr", "Date": None},
    "png": {"Software": None},
}
"""Format -> what it says about itself."""
RULES: Any = {"savefig.bbox": None, "pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "cacr"}


def save_figure(figure: Figure, path: str | PathLike[str], overwrite: bool = False) -> Path:
    """Write a figure in the format that its name ends in. It is either whole or not there.

    Args:
        figure: Any figure of matplotlib.
        path: A name that ends in .pdf, .svg or .png (200 dots per inch). Its folder is made if need be.
        overwrite: Replace a file that is there.

    Returns:
        The path.

    Raises:
        ValueError: Another ending.
        FileExistsError: The file is there and is not to be replaced.
    """
    path = Path(path)
    form = path.suffix.removeprefix(".").lower()
    if form not in FORMATS:
        raise ValueError(
            f"a figure named {path.name}; expected a name that ends in {', '.join(f'.{f}' for f in FORMATS)}"
        )
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists and is not overwritten; give another name, or overwrite=True")
    written = BytesIO()
    with rc_context(RULES), every_script(figure):
        figure.savefig(written, format=form, dpi=DPI, metadata=FORMATS[form])
    path.parent.mkdir(parents=True, exist_ok=True)
    (write_bytes_whole if overwrite else write_bytes_new)(path, written.getvalue())
    return path


def save_figures(
    figures: Mapping[str, Figure],
    folder: str | PathLike[str],
    formats: Sequence[str] = ("png",),
    overwrite: bool = False,
) -> list[Path]:
    """Write figures as FOLDER/NAME.FORMAT, every one in every format.

    Args:
        figures: Name -> figure.
        folder: Made if need be.
        formats: Of pdf, svg, png.
        overwrite: Replace files that are there.

    Returns:
        The paths, figure by figure.

    Raises:
        ValueError: An unknown format.
        FileExistsError: One of the files is there; then none is written.
    """
    for form in formats:
        if form not in FORMATS:
            raise ValueError(unknown("format", form, FORMATS))
    paths = {Path(folder) / f"{name}.{form}": figure for name, figure in figures.items() for form in formats}
    there = [path for path in paths if path.exists()]
    if there and not overwrite:
        raise FileExistsError(
            f"{there[0]} exists and is not overwritten; give another folder, or overwrite=True"
        )
    return [save_figure(figure, path, overwrite) for path, figure in paths.items()]
