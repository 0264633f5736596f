"""Scores with intervals and training curves, as plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

COLORS = ("#60646c", "#3e63dd", "#12a150", "#e5484d", "#f5a623", "#8e4ec6", "#0090b8")

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
