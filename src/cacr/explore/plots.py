"""Scores with intervals and training curves, as plots."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

COLORS = ("#60646c", "#3e63dd", "#12a150", "#e5484d", "#f5a623", "#8e4ec6", "#0090b8")
OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Colors that the color-blind tell apart (Okabe & Ito 2008)."""

Scored = tuple[float, float, float]
"""(value, low, high), fractions."""


def scores_plot(
    scores: Mapping[str, Mapping[str, Scored]], chance: Mapping[str, float], title: str = ""
) -> Figure:
    """A panel per metric, a dot with its interval per method, and a dashed line at chance.

    Args:
        scores: Metric -> method -> (value, low, high), fractions.
        chance: Metric -> chance level.
        title: Above all.
    """
    methods = list(next(iter(scores.values())))
    figure = Figure(figsize=(2.4 * len(scores) + 1.2, 0.32 * len(methods) + 1.3), layout="constrained")
    panels = figure.subplots(1, len(scores), sharey=True, squeeze=False)[0]
    for panel, (metric, values) in zip(panels, scores.items(), strict=True):
        for row, method in enumerate(methods):
            if method not in values:
                continue
            value, low, high = values[method]
            color = COLORS[row % len(COLORS)]
            panel.plot([low, high], [row, row], color=color, lw=2, alpha=0.55, solid_capstyle="round")
            panel.plot([value], [row], "o", color=color, ms=6)
        if metric in chance:
            panel.axvline(chance[metric], color="0.5", lw=1, ls="--")
            panel.text(chance[metric], -0.75, " chance", fontsize=7, color="0.4", va="center")
        panel.set_title(metric, fontsize=9)
        panel.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        panel.tick_params(labelsize=8)
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="x", color="0.9")
        panel.spines[["top", "right", "left"]].set_visible(False)
    panels[0].set_yticks(range(len(methods)), methods)
    panels[0].set_ylim(len(methods) - 0.4, -1.1)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def curves_plot(
    curves: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
    title: str = "",
    methods: Sequence[str] = (),
) -> Figure:
    """A panel per quantity, a line per method over the steps.

    Args:
        curves: Quantity -> method -> (steps, values).
        title: Above all.
        methods: The order that gives the colors, so that another plot's are the same.
    """
    figure = Figure(figsize=(2.9 * len(curves), 2.5), layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    methods = list(dict.fromkeys([*methods, *(method for lines in curves.values() for method in lines)]))
    for panel, (quantity, lines) in zip(panels, curves.items(), strict=True):
        for method, (steps, values) in lines.items():
            panel.plot(steps, values, color=COLORS[methods.index(method) % len(COLORS)], lw=1.4, label=method)
        panel.set_title(quantity, fontsize=9)
        panel.set_xlabel("step", fontsize=8)
        panel.set_ylim(bottom=0)
        panel.tick_params(labelsize=7)
        panel.grid(color="0.92")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(fontsize=7, frameon=False)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


class Scores(Protocol):
    """An estimate, fractions; bounds are nan where there is no interval."""

    @property
    def value(self) -> float: ...  # noqa: D102
    @property
    def low(self) -> float: ...  # noqa: D102
    @property
    def high(self) -> float: ...  # noqa: D102


class Line(Protocol):
    """A line of a benchmark's table (`cacr.benchmarks.Row`)."""

    @property
    def group(self) -> str: ...  # noqa: D102
    @property
    def metric(self) -> str: ...  # noqa: D102
    @property
    def estimate(self) -> Scores: ...  # noqa: D102
    @property
    def chance(self) -> float: ...  # noqa: D102


class Published(Protocol):
    """A published score (`cacr.benchmarks.references.Reference`)."""

    @property
    def group(self) -> str: ...  # noqa: D102
    @property
    def metric(self) -> str: ...  # noqa: D102
    @property
    def model(self) -> str: ...  # noqa: D102
    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def estimate(self) -> Scores: ...  # noqa: D102


def estimates_plot(
    rows_by_model: Mapping[str, Sequence[Line]], title: str = "", references: Sequence[Published] = ()
) -> Figure:
    """A panel per metric (of each group), a row per model with its interval, chance dashed, published scores hollow.

    Colors are Okabe & Ito's, and every row is named at its left, so that nothing is said by color alone.

    Args:
        rows_by_model: Model -> its rows, of one benchmark.
        title: Above all.
        references: Published scores, in rows of their own below; those of no panel are left out.

    Raises:
        ValueError: No rows.
    """
    panels_of = list(
        dict.fromkeys((one.group, one.metric) for rows in rows_by_model.values() for one in rows)
    )
    if not panels_of:
        raise ValueError("no rows to plot; expected at least one model with one row of a benchmark's table")
    others = [one for one in references if (one.group, one.metric) in panels_of]
    outside = list(dict.fromkeys((one.model, one.source) for one in others))
    models = list(rows_by_model)
    twice = [model for model, _ in outside]
    names = models + [
        f"{model} ({source})" if twice.count(model) > 1 or model in models else model
        for model, source in outside
    ]
    gap = 0.9 if outside else 0.0
    at = [row + (gap if row >= len(models) else 0) for row in range(len(names))]
    columns = min(4, len(panels_of))
    lines = -(-len(panels_of) // columns)
    size = (
        2.3 * columns + 0.075 * max(map(len, names)) + 0.4,
        lines * (0.27 * (len(names) + gap) + 1.0) + 0.4,
    )
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    several = len({group for group, _ in panels_of}) > 1
    for panel, (group, metric) in zip(panels, panels_of, strict=False):
        for row, model in enumerate(models):
            color = OKABE_ITO[row % len(OKABE_ITO)]
            for one in rows_by_model[model]:
                if (one.group, one.metric) == (group, metric):
                    _whisker(panel, one.estimate, at[row], color, filled=True)
        if outside:
            place = {
                "va": "center",
                "bbox": {"fc": "white", "ec": "none", "pad": 0.5},
            }  # over the line of chance
            panel.text(
                0, at[len(models)] - 0.75, "published, not measured here", fontsize=7, color="0.35", **place
            )
        for other in others:
            if (other.group, other.metric) == (group, metric):
                row = len(models) + outside.index((other.model, other.source))
                _whisker(panel, other.estimate, at[row], "0.35", filled=False)
        chance = [
            one.chance
            for rows in rows_by_model.values()
            for one in rows
            if (one.group, one.metric) == (group, metric) and not math.isnan(one.chance)
        ]
        for level in dict.fromkeys(round(value, 6) for value in chance):
            panel.axvline(level, color="0.3", lw=1, ls="--", zorder=1)
            side = "right" if level > 0.7 else "left"
            panel.text(level, at[0] - 0.72, " chance ", fontsize=7, color="0.3", va="center", ha=side)
        panel.set_title(f"{group}: {metric}" if several else metric, fontsize=9)
        panel.set_xlim(-0.02, 1.02)
        panel.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        panel.set_xticks([0, 0.5, 1])
        panel.set_xticks([0.25, 0.75], minor=True)
        panel.tick_params(labelsize=8)
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="x", which="both", color="0.92")
        panel.set_axisbelow(True)
        panel.spines[["top", "right", "left"]].set_visible(False)
    for panel in panels[len(panels_of) :]:
        panel.set_visible(False)
    panels[0].set_yticks(at, names)
    panels[0].set_ylim(at[-1] + 0.5, -1.1)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def _whisker(panel: Axes, estimate: Scores, row: float, color: str, filled: bool) -> None:
    if math.isnan(estimate.value):
        return
    if not math.isnan(estimate.low):
        panel.plot([estimate.low, estimate.high], [row, row], color=color, lw=2 if filled else 1, zorder=2)
    face = color if filled else "white"
    marker, size = ("o", 6.0) if filled else ("D", 4.5)
    panel.plot([estimate.value], [row], marker, ms=size, mec=color, mfc=face, zorder=3, clip_on=False)
