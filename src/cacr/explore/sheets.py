"""A sheet of paper that figures are laid out on, in inches: colors, sizes of letters, panels and pictures on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from PIL import Image

from cacr.explore.placing import POINT, RIM, Rect, line_height, wrapped

OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Colors that the color-blind tell apart (Okabe & Ito 2008)."""
BLUE, RED, GREEN = OKABE_ITO[:3]
ONE_COLUMN, TWO_COLUMNS = 3.25, 6.75
"""Widths of figures in a paper of two columns, in inches."""
SMALL, MEDIUM, LARGE = 6.0, 7.0, 8.0
"""Sizes of letters, in points. None is smaller, so that a figure is readable in print."""
LEAST, MOST = 0.4, 2.0
"""Height over width of the place that a picture gets; a longer one is shown smaller in it."""
MARGIN = 0.05
PAD = 1.2
"""Between the letters of a label and its edge, in points."""


class Sheet:
    """A figure of a width and a height in inches.

    Args:
        width: In inches.
        height: In inches.
    """

    def __init__(self, width: float, height: float):
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height))

    def panel(self, where: Rect) -> Axes:
        """Axes at a place."""
        left, bottom, right, top = where
        return self.figure.add_axes(
            (
                left / self.width,
                bottom / self.height,
                (right - left) / self.width,
                (top - bottom) / self.height,
            )
        )

    def lines(self, lines: Sequence[str], size: float, color: str = "black", top: float = MARGIN) -> None:
        """Lines of text in the middle, from some inches under the upper edge on."""
        for row, line in enumerate(lines):
            y = self.height - top - (row + 0.5) * line_height(size)
            self.figure.text(
                0.5,
                y / self.height,
                line,
                fontsize=size,
                color=color,
                ha="center",
                va="center",
                parse_math=False,
            )

    def label(self, panel: Axes, spot: Rect, box: Rect, text: str, color: str, size: float = SMALL) -> None:
        """White letters on a color in a rectangle that `place` found, with a line to the box if that is apart."""
        ends = _apart(spot, box)
        for shade, thick in (("white", 1.8), (color, 0.8)) if ends else ():
            panel.plot(
                *zip(*ends, strict=True),  # type: ignore[misc]
                color=shade,
                lw=thick,
                transform=self.figure.dpi_scale_trans,
                zorder=5.5,
                scalex=False,
                scaley=False,
            )
        panel.text(
            (spot[0] + spot[2]) / 2,
            (spot[1] + spot[3]) / 2,
            text,
            transform=self.figure.dpi_scale_trans,
            fontsize=size,
            color="white",
            ha="center",
            va="center",
            parse_math=False,
            zorder=6,
            bbox={"facecolor": color, "edgecolor": "white", "lw": 0.3, "pad": PAD - 0.3},
        )


def _apart(spot: Rect, box: Rect) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """The ends of a line between a label and its box; None where the two touch, about."""
    near = 1.5 * RIM
    if all(spot[i] <= box[i + 2] + near and box[i] <= spot[i + 2] + near for i in (0, 1)):
        return None
    x, y = (min(max(box[i], spot[i]), spot[i + 2]) for i in (0, 1))
    return (x, y), (min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3]))


def on_sheet(box: Sequence[float], panel: Rect) -> Rect:
    """A box in fractions of a picture, y downward -> its place on the sheet in inches, y upward."""
    x1, y1, x2, y2 = box
    left, bottom, right, top = panel
    wide, high = right - left, top - bottom
    return left + x1 * wide, top - y2 * high, left + x2 * wide, top - y1 * high


def aspect_of(image: Image.Image | None, grid: tuple[int, int] | None = None) -> float:
    """Height over width of a picture; of its grid, or 3:4, where there are no pixels."""
    if image is not None:
        return image.height / image.width
    return grid[0] / grid[1] if grid else 0.75


def centered(aspect: float, cell: Rect) -> Rect:
    """The largest rectangle of an aspect (height over width) in a cell, in its middle."""
    wide, high = cell[2] - cell[0], cell[3] - cell[1]
    wide, high = min(wide, high / aspect), min(high, wide * aspect)
    x, y = (cell[0] + cell[2] - wide) / 2, (cell[1] + cell[3] - high) / 2
    return x, y, x + wide, y + high


def patch_box(patch: int, grid: tuple[int, int]) -> tuple[float, float, float, float]:
    """A patch in reading order as a box in fractions of the picture.

    Examples:
        >>> patch_box(3, (2, 2))
        (0.5, 0.5, 1.0, 1.0)
    """
    rows, columns = grid
    row, column = divmod(patch, columns)
    return column / columns, row / rows, (column + 1) / columns, (row + 1) / rows


def show_picture(panel: Axes, image: Image.Image | None, gray: bool = False) -> None:
    """The picture in a panel whose coordinates are fractions of it, y downward; an empty frame without pixels."""
    if image is None:
        panel.set_xticks([])
        panel.set_yticks([])
    else:
        panel.set_axis_off()
        smooth = "nearest" if image.width < 200 else "antialiased"
        if gray:  # lightened, so that colors over it are seen
            pixels = 255 - (255 - np.asarray(image.convert("L"), dtype=np.float32)) * 0.4
            panel.imshow(
                pixels,
                cmap="gray",
                vmin=0,
                vmax=255,
                extent=(0, 1, 1, 0),
                aspect="auto",
                interpolation=smooth,
            )
        else:
            panel.imshow(
                np.asarray(image.convert("RGB")), extent=(0, 1, 1, 0), aspect="auto", interpolation=smooth
            )
    panel.set_xlim(0, 1)
    panel.set_ylim(1, 0)


def draw_box(
    panel: Axes,
    box: Sequence[float],
    color: str,
    width: float = 1.4,
    style: str = "-",
    zorder: float = 4,
    rim: float = 1.0,
) -> None:
    """A frame; with a white rim it is seen on every picture."""
    x1, y1, x2, y2 = box
    frame = Rectangle(
        (x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=color, lw=width, ls=style, zorder=zorder
    )
    if rim:
        frame.set_path_effects([withStroke(linewidth=width + rim, foreground="white")])
    frame.set_clip_on(False)  # the line at the picture's edge is whole
    panel.add_patch(frame)


def heading(text: str, width: float, size: float = MEDIUM, lines: int = 2) -> tuple[list[str], float]:
    """Lines of a heading for a sheet of a width, and how high they are in inches."""
    found = wrapped(text, size, width - 2 * MARGIN, lines)
    return found, len(found) * line_height(size)


def label_size(width: float, size: float = SMALL) -> tuple[float, float]:
    """Width and height of a label whose text has a width."""
    return width + 2 * PAD * POINT, line_height(size) + 2 * (PAD - 0.3) * POINT
