"""Congruence matrices: attention among words, the same carried over from the regions, how far apart.

S_LL    against    S_LV S_VV S_LVᵀ (soft)    or    S_VV[i*, j*] (hard)        see `cacr.explore.relations`
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cacr.attention import Attended
from cacr.explore.placing import POINT, Rect, fitted, text_width
from cacr.explore.relations import relations
from cacr.explore.sheets import BLUE, MARGIN, MEDIUM, SMALL, TWO_COLUMNS, Sheet, heading
from cacr.explore.words import number, place_of

COLOR_MAP = "viridis"
PITCH = 6.8 * POINT
"""Rows of labels nearer to each other than this are thinned out."""
LONGEST = 0.75
"""Of a label, in inches."""
GAP, BAR, SCALE = 0.14, 0.08, 0.36
"""Between panels; the bar of colors; room for its numbers. In inches."""
STACKED = 5.0
"""On a sheet narrower than this one map stands under the other."""


def relations_figure(
    attended: Attended,
    layer: int = -1,
    head: int | None = None,
    direction: str = "language",
    hard: bool = False,
    width: float = TWO_COLUMNS,
) -> Figure:
    """Two relation maps side by side, on one scale, and their divergence row by row.

    Args:
        attended: A pair.
        layer: A layer that was watched; below 0: from the last.
        head: From 0; None for the mean over heads.
        direction: "language" (among tokens) or "vision" (among regions).
        hard: Carry over by each row's argmax, as IAIS does, in place of all of the cross attention.
        width: Of the figure, in inches. Labels are thinned out where they would overlap: beyond about 20 tokens on
            two columns of a paper.

    Raises:
        ValueError: No such layer, head or direction; "vision" where regions do not attend to words.
    """
    found = relations(attended.at(layer, head), direction)
    carried = found.hard if hard else found.soft
    apart = (found.hard_divergence if hard else found.soft_divergence).tolist()
    names = _names(attended, direction)
    own, other = ("LL", "S_LV S_VV S_LVᵀ") if direction == "language" else ("VV", "S_VL S_LL S_VLᵀ")
    if hard:
        other = "S_VV[i*, j*]" if direction == "language" else "S_LL[i*, j*]"
    name = f"{attended.model}, " if attended.model else ""
    lines, top = heading(f"{name}{place_of(attended, layer, head)}: {attended.caption}", width, lines=3)
    left = max(text_width(name, SMALL) for name in names) + 0.06
    stacked = width < STACKED
    beside = 0.26 * width if stacked else 0.2 * width
    side = width - 2 * MARGIN - left - BAR - SCALE
    side = min(side, width - 2 * MARGIN - left - GAP - beside) if stacked else (side - 2 * GAP - beside) / 2
    title = (3.6 if stacked else 2.6) * SMALL * POINT
    height = 2 * MARGIN + top + title + side + left
    sheet = Sheet(width, height + (title + side if stacked else 0.0))
    sheet.lines(lines, MEDIUM)
    x = MARGIN + left
    upper = sheet.height - MARGIN - top - title - side
    places = [(x, upper), (x, MARGIN + left) if stacked else (x + side + GAP, upper)]
    titles = [f"S_{own}", ("hard: " if hard else "soft: ") + other]
    shown = [np.ma.masked_array(block.numpy(), ~found.support.numpy()) for block in (found.own, carried)]
    highest = max(float(block.max()) for block in shown)
    for order, block in enumerate(shown):
        panel = sheet.panel(_square(places[order], side))
        panel.set_facecolor("0.88")  # where a causal model may not look
        mapped = panel.imshow(
            block, cmap=COLOR_MAP, vmin=0, vmax=highest, aspect="auto", interpolation="nearest"
        )
        last = order == 1
        _ticks(panel, names, side, rows=stacked or not last, columns=last or not stacked)
        panel.set_title(fitted(titles[order], MEDIUM, side), fontsize=MEDIUM, pad=3, parse_math=False)
        panel.set_label(("own", "carried over")[order])
    x = places[0 if stacked else 1][0] + side + 0.05
    bar = sheet.figure.colorbar(mapped, cax=sheet.panel((x, upper, x + BAR, upper + side)))
    ticks = [highest * step / 4 for step in range(5)]
    bar.set_ticks(ticks, labels=[f"{tick:.2f}" if highest >= 0.04 else f"{tick:.3f}" for tick in ticks])
    bar.ax.tick_params(length=2, pad=1.5, width=0.5, labelsize=SMALL)
    bar.outline.set_linewidth(0.5)
    x = places[1][0] + side + GAP if stacked else x + BAR + SCALE
    _divergences(sheet, x, places[1][1], width - MARGIN - x, side, apart)
    return sheet.figure


def _names(attended: Attended, direction: str) -> list[str]:
    if direction == "language":
        names: Sequence[str] = attended.tokens
    elif attended.region_names is not None:
        names = [f"{region} {name}" for region, name in enumerate(attended.region_names)]
    else:
        names = [str(region) for region in range(attended.regions)]
    return [fitted(name, SMALL, LONGEST) for name in names]


def _square(corner: tuple[float, float], side: float) -> Rect:
    return *corner, corner[0] + side, corner[1] + side


def _step(count: int, side: float) -> int:
    return max(1, math.ceil(PITCH * count / side))


def _ticks(panel: Axes, names: Sequence[str], side: float, rows: bool, columns: bool) -> None:
    at = list(range(0, len(names), _step(len(names), side)))
    labels = [names[i] for i in at]
    panel.set_xticks(at if columns else [])
    panel.set_xticklabels(labels if columns else [], fontsize=SMALL, rotation=90, parse_math=False)
    panel.set_yticks(at if rows else [])
    panel.set_yticklabels(labels if rows else [], fontsize=SMALL, parse_math=False)
    panel.tick_params(length=1.5, pad=1.5, width=0.5)
    for spine in panel.spines.values():
        spine.set_linewidth(0.5)


def _divergences(sheet: Sheet, x: float, y: float, wide: float, side: float, apart: Sequence[float]) -> None:
    """Bars beside the rows of a matrix, each with its number; an axis where the rows are too many for that."""
    panel = sheet.panel((x, y, x + wide, y + side))
    panel.barh(range(len(apart)), apart, height=0.75, color=BLUE)
    highest = max(max(apart), 1e-12)
    panel.set_ylim(len(apart) - 0.5, -0.5)
    panel.set_yticks([])
    if _step(len(apart), side) == 1:
        panel.set_xlim(0, highest / (1 - min(0.6, (text_width(f"{highest:.3f}", SMALL) + 0.06) / wide)))
        panel.set_xticks([])
        for row, value in enumerate(apart):
            place = {"xytext": (2, 0), "textcoords": "offset points", "va": "center"}
            panel.annotate(f"{value:.3f}", (value, row), fontsize=SMALL, **place)  # type: ignore[arg-type]
    else:
        panel.set_xlim(0, highest)
        ticks = [0, highest / 2, highest]
        panel.set_xticks(ticks, labels=[number(tick) for tick in ticks], fontsize=SMALL)
        panel.get_xticklabels()[-1].set_horizontalalignment("right")  # within the sheet
        panel.tick_params(length=2, pad=1.5, width=0.5)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines["bottom"].set_visible(len(panel.get_xticks()) > 0)
    for spine in panel.spines.values():
        spine.set_linewidth(0.5)
    mean = sum(apart) / len(apart)
    lines = ["divergence (sym. KL, nats)", f"mean {mean:.3f} of {len(apart)} rows"]
    if max(text_width(line, SMALL) for line in lines) > wide:
        lines = ["nats apart", f"mean {mean:.3f}"]
    panel.set_title("\n".join(lines), fontsize=SMALL, pad=3, loc="left")
    panel.set_label("divergence")
