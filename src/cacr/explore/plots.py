"""Scores with their intervals as plots. Every row is named, so that nothing is said by color alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from cacr.explore.placing import fitted, text_width
from cacr.explore.sheets import LARGE, MEDIUM, OKABE_ITO, SMALL

Scored = tuple[float, float, float]
"""(value, low, high), fractions; bounds are nan where there is no interval."""
NARROWEST = 1.3
"""Of a panel of scores, in inches."""


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


class _Score(NamedTuple):
    value: float
    low: float
    high: float


@dataclass
class _Panel:
    title: str
    scores: dict[int, Scores]
    """Row -> what is drawn in it."""
    chance: Sequence[float] = field(default_factory=list)


def scores_plot(
    scores: Mapping[str, Mapping[str, Scored]],
    chance: Mapping[str, float],
    title: str = "",
    width: float | None = None,
    zoom: bool = True,
) -> Figure:
    """A panel per metric, a dot with its interval per method, and a dashed line at chance.

    Args:
        scores: Metric -> method -> (value, low, high), fractions.
        chance: Metric -> chance level.
        title: Above all.
        width: Of the figure, in inches; what suits the panels if None.
        zoom: Each axis shows the range of its scores and chance; else 0 to 100 %.

    Raises:
        ValueError: No metric or no method.
    """
    methods = list(dict.fromkeys(method for values in scores.values() for method in values))
    if not methods:
        raise ValueError("no scores to plot; expected at least one metric with one method")
    panels = [
        _Panel(
            metric,
            {row: _Score(*values[method]) for row, method in enumerate(methods) if method in values},
            [chance[metric]] if metric in chance and not math.isnan(chance[metric]) else [],
        )
        for metric, values in scores.items()
    ]
    return _draw(panels, methods, len(methods), title, width, zoom)


def estimates_plot(
    rows_by_model: Mapping[str, Sequence[Line]],
    title: str = "",
    references: Sequence[Published] = (),
    width: float | None = None,
) -> Figure:
    """A panel per metric (of each group), a row per model with its interval, chance dashed, published scores hollow.

    Args:
        rows_by_model: Model -> its rows, of one benchmark.
        title: Above all.
        references: Published scores, in rows of their own below; those of no panel are left out.
        width: Of the figure, in inches; what suits the panels if None.

    Raises:
        ValueError: No rows.
    """
    wanted = list(dict.fromkeys((one.group, one.metric) for rows in rows_by_model.values() for one in rows))
    if not wanted:
        raise ValueError("no rows to plot; expected at least one model with one row of a benchmark's table")
    others = [one for one in references if (one.group, one.metric) in wanted]
    outside = list(dict.fromkeys((one.model, one.source) for one in others))
    models = list(rows_by_model)
    twice = [model for model, _ in outside]
    names = models + [
        f"{model} ({source})" if twice.count(model) > 1 or model in models else model
        for model, source in outside
    ]
    several = len({group for group, _ in wanted}) > 1
    panels = []
    for group, metric in wanted:
        panel = _Panel(f"{group}: {metric}" if several else metric, {})
        chance = []
        for row, model in enumerate(models):
            for one in rows_by_model[model]:
                if (one.group, one.metric) == (group, metric):
                    panel.scores[row] = one.estimate
                    chance += [] if math.isnan(one.chance) else [round(one.chance, 6)]
        for other in others:
            if (other.group, other.metric) == (group, metric):
                panel.scores[len(models) + outside.index((other.model, other.source))] = other.estimate
        panel.chance = list(dict.fromkeys(chance))
        panels.append(panel)
    return _draw(panels, names, len(models), title, width, zoom=False)


def _draw(
    panels: Sequence[_Panel], names: Sequence[str], own: int, title: str, width: float | None, zoom: bool
) -> Figure:
    """Dots with intervals; the rows from ``own`` on are published, and hollow."""
    gap = 0.9 if own < len(names) else 0.0
    at = [row + (gap if row >= own else 0) for row in range(len(names))]
    most = 2.2 if width is None else 0.4 * width
    names = [fitted(name, LARGE, most) for name in names]
    beside = max(text_width(name, LARGE) for name in names) + 0.2
    columns = min(4, len(panels))
    if width is None:
        width = 2.3 * columns + beside
    else:
        columns = max(1, min(columns, int((width - beside) / NARROWEST)))
    lines = -(-len(panels) // columns)
    figure = Figure(
        figsize=(width, lines * (0.27 * (len(names) + gap) + 0.75) + (0.35 if title else 0.1)),
        layout="constrained",
    )
    axes = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    room = (width - beside) / columns - 0.15
    for panel, drawn in zip(axes, panels, strict=False):
        for row, score in drawn.scores.items():
            color = OKABE_ITO[row % len(OKABE_ITO)] if row < own else "0.35"
            _whisker(panel, score, at[row], color, filled=row < own)
        _axis(panel, drawn, zoom)
        if gap:
            panel.text(
                0,
                at[own] - 0.75,
                "published, not measured here" if room > 1.5 else "published",
                fontsize=SMALL,
                color="0.35",
                va="center",
                zorder=2,
                bbox={"fc": "white", "ec": "none", "pad": 0.5},  # over the line of chance
            )
        _chance(panel, drawn.chance, at[0] - 0.72)
        panel.set_title(fitted(drawn.title, LARGE, room), fontsize=LARGE, parse_math=False)
    for panel in axes[len(panels) :]:
        panel.set_visible(False)
    axes[0].set_yticks(at)
    axes[0].set_yticklabels(names, fontsize=LARGE, parse_math=False)
    axes[0].set_ylim(at[-1] + 0.5, -1.1)
    if title:
        figure.suptitle(fitted(title, LARGE + 1, width - 0.1), fontsize=LARGE + 1, parse_math=False)
    return figure


def _axis(panel: Axes, drawn: _Panel, zoom: bool) -> None:
    panel.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    if zoom:
        seen = [
            v for s in drawn.scores.values() for v in (s.value, s.low, s.high) if not math.isnan(v)
        ] + list(drawn.chance)
        low, high = min(seen, default=0.0), max(seen, default=1.0)
        wide = max(high - low, 0.1)  # no axis makes a mountain of a percent
        panel.set_xlim(max(low - 0.1 * wide, -0.02), min(max(high, low + wide) + 0.1 * wide, 1.02))
        panel.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    else:
        panel.set_xlim(-0.02, 1.02)
        panel.set_xticks([0, 0.5, 1])
        panel.set_xticks([0.25, 0.75], minor=True)
    panel.tick_params(axis="x", labelsize=MEDIUM)
    panel.tick_params(axis="y", labelsize=LARGE, length=0)
    panel.grid(axis="x", which="both", color="0.92")
    panel.set_axisbelow(True)
    panel.spines[["top", "right", "left"]].set_visible(False)


def _chance(panel: Axes, levels: Sequence[float], y: float) -> None:
    low, high = panel.get_xlim()
    for level in levels:
        panel.axvline(level, color="0.3", lw=1, ls="--", zorder=1)
        side = "right" if level > low + 0.7 * (high - low) else "left"
        panel.text(level, y, " chance ", fontsize=SMALL, color="0.3", va="center", ha=side)


def _whisker(panel: Axes, estimate: Scores, row: float, color: str, filled: bool) -> None:
    if math.isnan(estimate.value):
        return
    if not math.isnan(estimate.low):
        panel.plot([estimate.low, estimate.high], [row, row], color=color, lw=2 if filled else 1, zorder=2)
    face = color if filled else "white"
    marker, size = ("o", 5.5) if filled else ("D", 4.5)
    panel.plot(
        [estimate.value], [row], marker, color=color, ms=size, mec=color, mfc=face, zorder=3, clip_on=False
    )
