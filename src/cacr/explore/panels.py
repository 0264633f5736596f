"""What the panels of a figure hold, a word each: boxes over the picture, heat maps over it in gray, or bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, PowerNorm
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cacr.attention import Attended
from cacr.explore.placing import Rect, is_small, place, text_width
from cacr.explore.sheets import (
    GREEN,
    MARGIN,
    RED,
    SMALL,
    Sheet,
    draw_box,
    label_size,
    on_sheet,
    patch_box,
    show_picture,
)
from cacr.explore.words import MOST_HIGH, WordAttention, high_regions, number

SCALE = 0.45
"""Room for a scale beside the panels, in inches."""
BAR_ROOM = 1.3
"""Height of a panel of bars over that of the highest bar: room for its number."""
NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
GRAY = 0.75
"""Behind the scale of a heat map, as of a picture in light gray."""


class Panel(NamedTuple):
    """A word's place on a sheet."""

    word: int
    axes: Axes
    where: Rect
    """Of the picture, on the sheet."""
    cell: Rect
    """The room for it and its labels."""


def legend(sheet: Sheet, handles: Sequence[Line2D | Patch]) -> None:
    """What colors and lines stand for, at the foot of a sheet."""
    sheet.figure.legend(
        handles=handles,
        loc="lower center",
        ncols=len(handles),
        fontsize=SMALL,
        frameon=False,
        borderpad=0.2,
        bbox_to_anchor=(0.5, 0.0),
        borderaxespad=0.2,
        handlelength=2.6,
    )


def high_ones(width: float) -> str:
    """What red stands for, in the words that a sheet of a width has room for."""
    over = "over half of the highest; " if width > 4.5 else ""
    return f"other high ones ({over}at most {NUMBERS[MOST_HIGH]})"


def draw_boxes(sheet: Sheet, attended: Attended, pair: WordAttention, one: Panel) -> None:
    """The box of highest attention and other high ones over the picture, each with its number."""
    assert attended.boxes01 is not None
    index, panel, where, cell = one
    show_picture(panel, attended.image)
    best, others = high_regions(pair.values[index])
    if best is None:
        _say_equal(sheet, one)
        return
    for region in reversed([best, *others]):
        first = region == best
        frame = (GREEN, 1.5, "-") if first else (RED, 1.2, "--")
        draw_box(panel, attended.boxes01[region].tolist(), *frame, zorder=4 + first)
    places = {region: on_sheet(attended.boxes01[region].tolist(), where) for region in [best, *others]}
    spare = [box for box in places.values() if is_small(box)]
    taken: list[Rect] = []
    for region, box in places.items():  # the highest has the first choice
        text = number(float(pair.values[index, region]))
        spot = place(label_size(text_width(text, SMALL)), box, cell, taken, spare)
        if spot is not None:
            taken.append(spot)
            sheet.label(panel, spot, box, text, GREEN if region == best else RED)


def draw_heat_maps(sheet: Sheet, attended: Attended, pair: WordAttention, panels: Sequence[Panel]) -> None:
    """A heat map over each picture, the patch of highest attention framed; one scale for all, at the right."""
    assert attended.grid is not None
    rows, columns = attended.grid
    shown = pair.values[[index for index, *_ in panels]]
    highest = max(float(shown.max()), 1e-12)
    scale = PowerNorm(0.5, vmin=0, vmax=highest)
    for one in panels:
        index, panel, where, cell = one
        show_picture(panel, attended.image, gray=True)
        row = pair.values[index]
        panel.imshow(
            row.reshape(rows, columns).numpy(),
            norm=scale,
            cmap=heat_colors(),
            extent=(0, 1, 1, 0),
            aspect="auto",
            interpolation="nearest",
        )
        panel.set_xlim(0, 1)
        panel.set_ylim(1, 0)
        best, _ = high_regions(row)
        if best is None:
            _say_equal(sheet, one)
            continue
        box = patch_box(best, attended.grid)
        draw_box(panel, box, RED, 1.2, zorder=5)
        text = number(float(row[best]))
        at = on_sheet(box, where)
        spot = place(label_size(text_width(text, SMALL)), at, cell, [], [at])
        if spot is not None:
            sheet.label(panel, spot, at, text, RED)
    _, bottom, _, top = panels[0].cell
    left = sheet.width - MARGIN - SCALE + 0.06
    bar = sheet.panel((left, bottom, left + 0.08, top))
    mappable = ScalarMappable(norm=scale, cmap=heat_colors())
    bar.set_facecolor(str(GRAY))
    ticks = [highest * step**2 for step in (0, 0.25, 0.5, 0.75, 1)]
    scale_bar = sheet.figure.colorbar(mappable, cax=bar, ticks=ticks)
    scale_bar.set_ticklabels([number(tick) for tick in ticks], fontsize=SMALL)
    scale_bar.minorticks_off()
    bar.tick_params(length=2, pad=1.5, width=0.5)
    scale_bar.outline.set_linewidth(0.5)
    frame = Line2D([], [], color=RED, ls="", marker="s", mfc="none", mew=1.2, ms=5, label="highest")
    legend(sheet, [frame])


def draw_bars(sheet: Sheet, pair: WordAttention, panels: Sequence[Panel], columns: int) -> None:
    """A bar per position, the highest with its number; panels stand in rows of some columns."""
    shown = pair.values[[index for index, *_ in panels]]
    highest = max(float(shown.max()), 1e-12)
    for order, one in enumerate(panels):
        index, panel, where, _ = one
        row = pair.values[index]
        best, others = high_regions(row)
        colors = [GREEN if i == best else RED if i in others else "0.7" for i in range(len(row))]
        hatches = ["/////" if i in others else "" for i in range(len(row))]
        panel.bar(
            range(len(row)), row.tolist(), width=0.8, color=colors, hatch=hatches, edgecolor="white", lw=0
        )
        panel.set_xlim(-0.6, len(row) - 0.4)
        panel.set_ylim(0, BAR_ROOM * highest)
        panel.set_xticks([] if best is None else [best], [] if best is None else [str(best)], fontsize=SMALL)
        panel.set_yticks([0, highest / 2, highest])
        first = order % columns == 0
        panel.set_yticklabels([number(v) for v in (0, highest / 2, highest)] if first else [], fontsize=SMALL)
        panel.tick_params(length=2, pad=1.5, width=0.5)
        panel.spines[["top", "right"]].set_visible(False)
        panel.spines[["bottom", "left"]].set_linewidth(0.5)
        if best is None:
            _say_equal(sheet, one)
            continue
        text = number(float(row[best]))
        wide = where[2] - where[0]
        size = label_size(text_width(text, SMALL))
        middle = where[0] + wide * (best + 0.6) / (len(row) + 0.2)
        x = min(max(middle - size[0] / 2, where[0]), where[2] - size[0])
        y = where[1] + (where[3] - where[1]) * float(row[best]) / highest / BAR_ROOM
        spot = (x, y, x + size[0], y + size[1])
        sheet.label(panel, spot, spot, text, GREEN)
    legend(
        sheet,
        [
            Patch(color=GREEN, label="highest (its position below)"),
            Patch(fc=RED, ec="white", hatch="/////", label=high_ones(sheet.width)),
        ],
    )


def _say_equal(sheet: Sheet, one: Panel) -> None:
    """Under the word: no region has more of its attention than another."""
    size = label_size(text_width("equal", SMALL))
    x, top = (one.cell[0] + one.cell[2]) / 2, one.cell[3] - 0.02
    spot = (x - size[0] / 2, top - size[1], x + size[0] / 2, top)
    sheet.label(one.axes, spot, spot, "equal", "0.35")


def heat_colors() -> ListedColormap:
    """From clear to dark: light is little, and a picture in gray shows through. Its lightness alone tells the order."""
    colors = colormaps["viridis_r"](np.linspace(0, 1, 256))
    colors[:, 3] = np.linspace(0.0, 1.0, 256) ** 0.75 * 0.95
    return ListedColormap(colors, "heat")
