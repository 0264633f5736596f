"""A panel per word: what it attends to. Figures 4a-b (S_LV) and 5 (S_VL) of the paper, for any model.

    regions with boxes     the box attended to most in green, other high ones in red and dashed, each with its number
    patches of a grid      a heat map over the picture in gray, the patch attended to most framed
    no place in a picture  bars, the highest in green, other high ones in red and hatched

Paper: arXiv:2212.10549, Figures 4 and 5.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cacr.attention import Attended
from cacr.explore.panels import SCALE, Panel, draw_bars, draw_boxes, draw_heat_maps, high_ones, legend
from cacr.explore.placing import fitted, line_height
from cacr.explore.sheets import (
    GREEN,
    LEAST,
    MARGIN,
    MEDIUM,
    MOST,
    RED,
    SMALL,
    TWO_COLUMNS,
    Sheet,
    aspect_of,
    centered,
    heading,
)
from cacr.explore.words import WordAttention, word_attention

HIGHEST = 9.0
"""Of a sheet that fits a page, in inches."""
GAP = 0.09
"""Between panels, in inches."""
NARROWEST = 0.7
"""Of a panel, in inches."""
NARROW = 4.5
"""A sheet that is not wider than this has room for two panels a row."""
FOOT = 0.2


def token_figure(
    attended: Attended,
    words: Sequence[str] | None = None,
    layer: int = -1,
    head: int | None = None,
    cross: str = "lv",
    columns: int | None = None,
    width: float = TWO_COLUMNS,
) -> Figure:
    """One panel per word: what it attends to most, and what else it attends to.

    Args:
        attended: A pair.
        words: Only these, in this order; all if None. The second "the" of a caption is "the (2)".
        layer: A layer that was watched; below 0: from the last.
        head: From 0; None for the mean over heads.
        cross: "lv": where words look; "vl": which regions look at a word.
        columns: Panels a row, at most; fewer where these would be narrower than 0.7 inches. None: 4, or 2 on one
            column of a paper, and more where the figure would be higher than 9 inches.
        width: Of the figure, in inches; 3.25 and 6.75 are one and two columns of a paper.

    Raises:
        ValueError: A word, layer, head or cross that is not there; no columns, or a width without room for one.
    """
    pair = word_attention(attended, layer, head, cross)
    chosen = pair.find(words)
    heat, bars = attended.grid is not None, attended.grid is None and attended.boxes01 is None
    left = MARGIN + (SCALE - 0.05 if bars else 0.0)
    right = MARGIN + (SCALE if heat else 0.0)
    room = width - left - right
    fit = min(len(chosen), int((room + GAP) / (NARROWEST + GAP)))
    if fit < 1 or (columns is not None and columns < 1):
        some = "" if columns is None else f"{columns} columns on "
        raise ValueError(
            f"{some}{width} inches; expected 1 column or more, and {NARROWEST + left + right:.1f} inches or more"
        )
    aspect = 0.6 if bars else aspect_of(attended.image, attended.grid)
    title = line_height(MEDIUM) + 0.03
    under = 0.14 if bars else 0.0
    lines, above = heading(attended.caption, width, MEDIUM, 3)
    small, top = heading(_heading(attended, pair, bars), width, SMALL)
    top += above

    def laid_out(used: int) -> tuple[float, float, float]:
        """Width and height of a panel, and the height of the sheet, for so many panels a row."""
        wide = (room - GAP * (used - 1)) / used
        high = wide * min(max(aspect, LEAST), MOST)
        rows = -(-len(chosen) // used)
        return wide, high, MARGIN + top + rows * (title + high + under + GAP) + FOOT

    if columns is None:
        first = min(4 if width > NARROW else 2, fit)
        used = next((n for n in range(first, fit + 1) if laid_out(n)[2] <= HIGHEST), fit)
    else:
        used = min(columns, fit)
    wide, high, height = laid_out(used)
    sheet = Sheet(width, height)
    sheet.lines(lines, MEDIUM)
    sheet.lines(small, SMALL, "0.3", MARGIN + above)
    panels = []
    for order, index in enumerate(chosen):
        row, column = divmod(order, used)
        x = left + column * (wide + GAP)
        y = sheet.height - MARGIN - top - (row + 1) * (title + high) - row * (under + GAP)
        cell = (x, y, x + wide, y + high)
        where = cell if bars else centered(aspect, cell)
        panel = sheet.panel(where)
        name = fitted(pair.words[index], MEDIUM, wide, bold=True)
        sheet.figure.text(
            (x + wide / 2) / sheet.width,
            (y + high + title / 2) / sheet.height,
            name,
            fontsize=MEDIUM,
            fontweight="bold",
            ha="center",
            va="center",
            parse_math=False,
        )
        panel.set_label(pair.words[index])
        panels.append(Panel(index, panel, where, cell))
    if heat:
        draw_heat_maps(sheet, attended, pair, panels)
    elif bars:
        draw_bars(sheet, pair, panels, used)
    else:
        for one in panels:
            draw_boxes(sheet, attended, pair, one)
        lines_of = [
            Line2D([], [], color=GREEN, lw=1.4, label="highest"),
            Line2D([], [], color=RED, lw=1.2, ls="--", label=high_ones(width)),
        ]
        legend(sheet, lines_of)
    return sheet.figure


def _heading(attended: Attended, pair: WordAttention, bars: bool) -> str:
    what = "positions" if bars else "patches" if attended.grid else "boxes"
    looks = (
        f"the {what} each word attends to" if pair.cross == "lv" else f"the {what} that attend to each word"
    )
    name = f"{attended.model}, " if attended.model else ""
    scale = "; one square-root scale for all words" if attended.grid else ""
    return f"S_{pair.cross.upper()}: {looks} ({name}{pair.place}){scale}"
