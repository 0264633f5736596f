"""The figures of a study: contrasts with their intervals, and scores by arm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cacr.benchmarks import Estimate, Row
from cacr.explore.placing import fitted
from cacr.explore.plots import estimates_plot
from cacr.explore.sheets import LARGE, OKABE_ITO

WIDEST = 3.2
"""Of a contrast's name, in inches."""


def contrasts_plot(contrasts: Mapping[str, Sequence[Mapping[str, Any]]], what: str) -> Figure:
    """A row a contrast with its 95 % interval; filled where it is resolved after the adjustment of its family.

    Args:
        contrasts: Family -> its contrasts, as in results.json.
        what: The metric.
    """
    families = {name: rows for name, rows in contrasts.items() if rows}
    heights = [len(rows) + 1.2 for rows in families.values()]
    figure = Figure(figsize=(7.2, 0.27 * sum(heights) + 1.1), layout="constrained")
    panels = figure.subplots(len(families), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for number, (panel, (family, rows)) in enumerate(zip(panels, families.items(), strict=True)):
        color = OKABE_ITO[number]
        panel.axvline(0, color="0.3", lw=1, ls="--", zorder=1)
        for at, row in enumerate(rows):
            if row["low"] is not None:
                panel.plot([100 * row["low"], 100 * row["high"]], [at, at], color=color, lw=2, zorder=2)
            face = color if row["verdict"] == "resolved" else "white"
            panel.plot([100 * row["value"]], [at], "o", ms=6, mec=color, mfc=face, zorder=3)
        names = [fitted(f"{row['arm']} − {row['against']}", LARGE, WIDEST) for row in rows]
        panel.set_yticks(range(len(rows)), names, fontsize=LARGE, parse_math=False)
        panel.set_ylim(len(rows) - 0.4, -0.6)
        panel.set_title(f"{family} contrasts", fontsize=9, loc="left")
        panel.tick_params(axis="x", labelsize=8)
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="x", color="0.92")
        panel.set_axisbelow(True)
        panel.spines[["top", "right", "left"]].set_visible(False)
    panels[-1].set_xlabel(f"difference in {what}, points, with 95 % intervals", fontsize=8)
    style: dict[str, Any] = {"ls": "", "marker": "o", "mec": "0.2", "ms": 6}
    keys = [
        Line2D([], [], **style, mfc="0.2", label="resolved after Holm"),
        Line2D([], [], **style, mfc="white", label="not resolved"),
    ]
    figure.legend(handles=keys, loc="outside lower right", fontsize=8, frameon=False, ncols=2)
    return figure


def arms_plot(table: Mapping[str, Mapping[str, Any]], title: str = "") -> Figure:
    """A panel a metric, a row an arm with its interval, chance dashed; ``table`` as in results.json."""
    arms = list(dict.fromkeys(arm for column in table.values() for arm in column["scores"]))
    lines = {
        arm: [
            Row("", title, _estimate(column["scores"][arm]), column["chance"])
            for title, column in table.items()
            if arm in column["scores"]
        ]
        for arm in arms
    }
    return estimates_plot(lines, title)


def _estimate(score: Mapping[str, Any]) -> Estimate:
    low, high = (math.nan if score[end] is None else score[end] for end in ("low", "high"))
    return Estimate(score["value"], low, high, score["n"], score["seeds"], score["method"])
