"""Training curves, such as the parts of the loss. Lines differ in color and in kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cacr.explore.placing import fitted, text_width
from cacr.explore.sheets import LARGE, MEDIUM, OKABE_ITO, SMALL

STYLES = ("-", "--", "-.", ":")


def curves_plot(
    curves: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
    title: str = "",
    methods: Sequence[str] = (),
    width: float | None = None,
) -> Figure:
    """A panel per quantity, such as a part of the loss; a line per method over the steps.

    Args:
        curves: Quantity -> method -> (steps, values).
        title: Above all.
        methods: The order that gives colors and kinds of line, so that another plot's are the same.
        width: Of the figure, in inches; what suits the panels if None.

    Raises:
        ValueError: No curve.
    """
    drawn = list(dict.fromkeys(method for lines in curves.values() for method in lines))
    if not drawn:
        raise ValueError("no curves to plot; expected at least one quantity with one method")
    order = list(dict.fromkeys([*methods, *drawn]))
    columns = len(curves) if width is None else max(1, min(len(curves), int(width / 1.6)))
    width = 2.4 * columns if width is None else width
    rows = -(-len(curves) // columns)
    named = max(text_width(method, MEDIUM) for method in drawn) + 0.55
    legend_columns = max(1, min(len(drawn), int((width - 0.1) / named)))
    legend_rows = -(-len(drawn) // legend_columns)
    figure = Figure(
        figsize=(width, 1.75 * rows + 0.16 * legend_rows + (0.45 if title else 0.15)), layout="constrained"
    )
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    room = width / columns - 0.3
    size = LARGE if all(text_width(quantity, LARGE) <= room for quantity in curves) else SMALL
    handles = {}
    for panel, (quantity, lines) in zip(panels, curves.items(), strict=False):
        for method in (one for one in order if one in lines):
            steps, values = lines[method]
            index = order.index(method)
            color = OKABE_ITO[index % len(OKABE_ITO)]
            style = STYLES[index % len(STYLES)]
            (handles[method],) = panel.plot(steps, values, color=color, ls=style, lw=1.3)
        panel.set_title(fitted(quantity, size, room), fontsize=size, parse_math=False)
        panel.set_xlabel("step", fontsize=MEDIUM)
        if all(value >= 0 for _, values in lines.values() for value in values):
            panel.set_ylim(bottom=0)
        panel.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        panel.tick_params(labelsize=MEDIUM)
        panel.grid(color="0.92")
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[len(curves) :]:
        panel.set_visible(False)
    legend = figure.legend(
        [handles[method] for method in drawn],
        drawn,
        loc="outside lower center",
        ncols=legend_columns,
        fontsize=MEDIUM,
        frameon=False,
        handlelength=2.8,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    if title:
        figure.suptitle(fitted(title, LARGE + 1, width - 0.1), fontsize=LARGE + 1, parse_math=False)
    return figure
