"""The plot of scores shows every estimate, its interval, chance, and others' scores as what they are."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from cacr.benchmarks import Row, proportion
from cacr.benchmarks.references import Reference
from cacr.explore.plots import estimates_plot
from cacr.statistics import Estimate

NAN = float("nan")


def rows(share, groups=("all",)):
    right = [True] * int(400 * share) + [False] * (400 - int(400 * share))
    return [Row(g, m, proportion(right), c) for g in groups for m, c in (("text", 0.25), ("group", 1 / 6))]


PUBLISHED = [
    Reference("winoground", "all", "group", "CACR-base", 0.1425, "Table 2", 400),
    Reference("winoground", "all", "group", "BLIP", 0.3, "its card"),
    Reference("winoground", "all", "image", "elsewhere", 0.3, "its card"),
]


def ends(panel):
    return [list(line.get_xdata()) for line in panel.lines]


def test_a_panel_per_metric_with_a_row_per_model():
    figure = estimates_plot({"ours": rows(0.4), "base": rows(0.3)})
    assert [panel.get_title() for panel in figure.axes] == ["text", "group"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["ours", "base"]


def test_values_intervals_and_chance_are_drawn():
    row = rows(0.4)[1]
    panel = estimates_plot({"ours": rows(0.4)}).axes[1]
    assert [row.estimate.low, row.estimate.high] in ends(panel)
    assert [row.estimate.value] in ends(panel)
    (chance,) = (line for line in panel.lines if line.get_linestyle() == "--")
    assert list(chance.get_xdata()) == pytest.approx([1 / 6, 1 / 6], abs=1e-6)


def test_published_scores_are_hollow_below_ones_own_and_said_to_be_published():
    figure = estimates_plot({"ours": rows(0.4)}, references=PUBLISHED)
    text, group = figure.axes
    assert [label.get_text() for label in text.get_yticklabels()] == ["ours", "CACR-base", "BLIP"]
    own, *others = (line for line in group.lines if line.get_marker() in ("o", "D"))
    assert own.get_markerfacecolor() != "white"
    assert [one.get_markerfacecolor() for one in others] == ["white", "white"]
    assert min(one.get_ydata()[0] for one in others) > own.get_ydata()[0]
    assert any("published" in text.get_text() for text in group.texts)
    assert [0.1425] not in ends(text)


def test_a_model_of_two_sources_is_named_with_each():
    twice = [
        Reference("winoground", "all", "group", "UNITER", v, f"Table {t}", 400)
        for t, v in ((1, 0.1), (2, 0.2))
    ]
    labels = estimates_plot({"ours": rows(0.4)}, references=twice).axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == ["ours", "UNITER (Table 1)", "UNITER (Table 2)"]


def test_several_groups_have_their_own_panels():
    figure = estimates_plot({"ours": rows(0.4, groups=("all", "swap", "add"))})
    shown = [panel.get_title() for panel in figure.axes if panel.get_visible()]
    assert shown[:3] == ["all: text", "all: group", "swap: text"]
    assert len(shown) == 6


def test_a_score_without_interval_is_a_dot_alone_and_nan_is_nothing():
    for value, dots in ((0.5, 1), (NAN, 0)):
        panel = estimates_plot({"m": [Row("all", "text", Estimate(value, NAN, NAN, 9), 0.25)]}).axes[0]
        assert len([line for line in panel.lines if line.get_marker() == "o"]) == dots
        assert len([line for line in panel.lines if len(line.get_xdata()) == 2]) == 1  # chance


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_it_is_written_in_every_form(tmp_path, form):
    path = tmp_path / f"scores.{form}"
    estimates_plot({"ours": rows(0.4)}, "Winoground", PUBLISHED).savefig(path)
    assert path.stat().st_size > 1000


def test_nothing_overlaps_or_leaves_the_picture():
    figure = estimates_plot(
        {"a name of a run that is rather long": rows(1.0), "b": rows(0.0)}, "T", PUBLISHED
    )
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    labels = [label.get_window_extent(renderer) for label in figure.axes[0].get_yticklabels()]
    assert not any(a.overlaps(b) for i, a in enumerate(labels) for b in labels[:i])
    panels = [panel.get_tightbbox(renderer) for panel in figure.axes]
    assert not panels[0].overlaps(panels[1])
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 for box in panels)


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="no rows to plot"):
        estimates_plot({"ours": []})
