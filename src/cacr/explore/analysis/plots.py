"""Figures of an analysis: alignment and distances by layer, entropy against the score, heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from cacr.explore.analysis.tables import Row
from cacr.explore.sheets import OKABE_ITO

MARKS = "osD^vP*X"
MOST = 8
"""Arms in a panel; more cannot be told apart."""


def by_layer(
    found: Mapping[str, Any], panels: Mapping[str, Mapping[str, str]], share: bool, columns: int = 4
) -> Figure | None:
    """A panel per title, a line with intervals per arm and measure over layers; None where nothing was measured.

    Args:
        found: What `summarize` gives.
        panels: Title -> measure -> "mean" (a color an arm, with intervals) or the dashes of a baseline, first arm only.
        share: Whether values are shares; else nats.
        columns: Panels in a line.
    """
    rows: dict[tuple[str, str], list[Row]] = {}
    for row in found["means"]:
        if row["head"] == "mean" and row["value"] is not None:
            rows.setdefault((row["arm"], row["measure"]), []).append(row)
    arms = list(dict.fromkeys(row["arm"] for row in found["means"]))[:MOST]
    panels = {title: its for title, its in panels.items() if any((arms[0], name) in rows for name in its)}
    if not panels:
        return None
    columns = min(columns, len(panels))
    down = -(-len(panels) // columns)
    size = (2.9 * columns + 0.4, 2.4 * down + 0.7 + 0.07 * len(arms))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(down, columns, squeeze=False, sharey=share).flat
    lines: dict[str, Any] = {}
    for panel, (title, measures) in zip(axes, panels.items(), strict=False):
        for name, style in measures.items():
            for i, arm in enumerate(arms if style == "mean" else arms[:1]):
                if (arm, name) not in rows:
                    continue
                if style == "mean":
                    lines[arm] = _line(panel, rows[arm, name], i, len(arms))
                else:
                    its = rows[arm, name]
                    label = name.rpartition("_")[0].replace("_", " ") + (
                        f" of {arm}" if len(arms) > 1 else ""
                    )
                    lines[label] = panel.plot(
                        [r["layer"] for r in its], [r["value"] for r in its], style, color="0.35", lw=1.1
                    )[0]
        _dress(panel, title, share)
    if not share:
        figure.supylabel("symmetric KL, nats", fontsize=8)
    legend = figure.legend(
        lines.values(), lines.keys(), loc="outside lower center", ncols=3, fontsize=7.5, frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)  # "$" in a model's name is a dollar
    return figure


def _line(panel: Axes, rows: Sequence[Row], index: int, count: int) -> Any:
    x = np.array([row["layer"] for row in rows]) + 0.05 * (index - (count - 1) / 2)
    y = np.array([row["value"] for row in rows], dtype=float)
    low, high = (np.array([row[end] for row in rows], dtype=float) for end in ("low", "high"))
    color, mark = OKABE_ITO[index % len(OKABE_ITO)], MARKS[index % len(MARKS)]
    error = np.nan_to_num(np.stack([y - low, high - y]), nan=0.0).clip(0)
    return panel.errorbar(x, y, yerr=error, color=color, marker=mark, ms=4.5, lw=1.3, elinewidth=1.6)


def _dress(panel: Axes, title: str, share: bool) -> None:
    panel.set_title(title, fontsize=9, parse_math=False)
    panel.set_xlabel("layer", fontsize=8)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.set_ylim(bottom=0)
    if share:
        panel.set_ylim(0, 1.02)
        panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    panel.tick_params(labelsize=8)
    panel.grid(color="0.92")
    panel.spines[["top", "right"]].set_visible(False)


def alignment_figure(found: Mapping[str, Any]) -> Figure | None:
    """Argmax and soft accuracy by layer, both ways, beside chance and constants."""
    panels = {}
    for cross, rows in (("lv", "words"), ("vl", "regions")):
        panels[f"{rows}: argmax is true"] = {
            f"argmax_{cross}": "mean", f"chance_{cross}": ":", f"constant_{cross}": "--", f"favorite_{cross}": "-.",
        }  # fmt: skip
        panels[f"{rows}: attention on true"] = {
            f"soft_{cross}": "mean", f"chance_{cross}": ":", f"favorite_soft_{cross}": "-.",
        }  # fmt: skip
    return by_layer(found, panels, share=True)


def distances_figure(found: Mapping[str, Any]) -> Figure | None:
    """Distances of own attention from the targets and of the targets from uniform, by layer, nats."""
    names = {
        "soft": "own ↔ soft",
        "hard": "own ↔ hard",
        "flat": "own ↔ uniform",
        "soft_flat": "soft ↔ uniform",
        "hard_flat": "hard ↔ uniform",
    }
    panels = {
        f"{title}, {among}": {f"{name}_{way}": "mean"}
        for way, among in (("language", "words"), ("vision", "regions"))
        for name, title in names.items()
    }
    return by_layer(found, panels, share=False, columns=len(names))


def entropy_figure(
    found: Mapping[str, Any],
    points: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    layer: int,
) -> Figure | None:
    """Entropy of the argmax indices of S_LV against the soft score: a panel per model, a point per example.

    Args:
        found: What `summarize` gives.
        points: Model -> (entropy, soft score) of the examples.
        layer: The layer of the entropy.
    """
    if not points:
        return None
    shown = list(points.items())[:MOST]
    columns = min(4, len(shown))
    lines = -(-len(shown) // columns)
    figure = Figure(figsize=(2.7 * columns + 0.5, 2.6 * lines + 0.3), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).flat
    for (model, (entropy, soft)), panel in zip(shown, panels, strict=False):
        panel.plot(entropy, soft, "o", ms=3, alpha=0.45, color=OKABE_ITO[0], mew=0)
        panel.set_title(f"{model}\n{_told(found, model, layer)}", fontsize=8, parse_math=False)
        panel.set_xlabel("entropy of argmax, bits", fontsize=8)
        panel.tick_params(labelsize=7)
        panel.grid(color="0.92")
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels:  # those that stay empty
        panel.set_axis_off()
    figure.supylabel("soft score (mean of four margins)", fontsize=8)
    figure.suptitle(f"S_LV, layer {layer}", fontsize=9)
    return figure


def _told(found: Mapping[str, Any], model: str, layer: int) -> str:
    for row in found["correlations"]:
        key = row["group"], row["model"], row["measure"], row["layer"], row["what"]
        if key == ("all", model, "entropy_lv", layer, "spearman_soft") and row["value"] is not None:
            low, high = row["low"], row["high"]
            ends = "" if low is None else f" [{low:.2f}, {high:.2f}]"
            return f"Spearman {row['value']:.2f}{ends}, n = {row['n']}"
    return "Spearman undefined"


def heads_figure(found: Mapping[str, Any], arms: Sequence[str]) -> Figure | None:
    """A small heat map of layers and heads per arm: argmax accuracy where the truth is known, else own ↔ soft."""
    means = [row for row in found["means"] if row["head"] != "mean" and row["value"] is not None]
    measure = next((n for n in ("argmax_lv", "soft_language") if any(r["measure"] == n for r in means)), None)
    arms = [arm for arm in arms if any(row["arm"] == arm for row in means)][:MOST]
    if measure is None or not arms:
        return None
    maps = {arm: [row for row in means if row["arm"] == arm and row["measure"] == measure] for arm in arms}
    layers = max(len({row["layer"] for row in rows}) for rows in maps.values())
    heads = max(len({row["head"] for row in rows}) for rows in maps.values())
    top = 1.0 if measure == "argmax_lv" else max(row["value"] for rows in maps.values() for row in rows)
    size = (len(arms) * (0.34 * heads + 0.7) + 0.9, 0.34 * layers + 1.25)
    figure = Figure(figsize=(max(3.2, size[0]), size[1]), layout="constrained")
    panels = figure.subplots(1, len(arms), squeeze=False)[0]
    for panel, (arm, rows) in zip(panels, maps.items(), strict=True):
        down, across = (sorted({row[axis] for row in rows}) for axis in ("layer", "head"))
        grid = np.full((len(down), len(across)), np.nan)
        for row in rows:
            grid[down.index(row["layer"]), across.index(row["head"])] = row["value"]
        shown = panel.imshow(grid, vmin=0, vmax=top, cmap="cividis", aspect="equal")
        if grid.size <= 48:
            for (i, j), value in np.ndenumerate(grid):
                color = "black" if value > 0.55 * top else "white"
                said = f"{100 * value:.0f}" if measure == "argmax_lv" else f"{value:.1f}"
                panel.text(j, i, said, ha="center", va="center", fontsize=7, color=color)
        panel.set_xticks(range(len(across)), across, fontsize=7)
        panel.set_yticks(range(len(down)), down, fontsize=7)
        panel.set_xlabel("head", fontsize=8)
        panel.set_title(arm, fontsize=8, parse_math=False)
    panels[0].set_ylabel("layer", fontsize=8)
    figure.colorbar(shown, ax=list(panels), shrink=0.8).ax.tick_params(labelsize=7)
    says = "argmax accuracy of words" if measure == "argmax_lv" else "own ↔ soft target among words, nats"
    figure.suptitle(says, fontsize=9)
    return figure
