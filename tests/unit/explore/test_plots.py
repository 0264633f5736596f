"""Plots of scores and of training curves draw the numbers they are given, in colors that mean the same everywhere."""

import math
from itertools import pairwise

import pytest
from tests.unit.explore.pairs import assert_readable, texts_of

from cacr.explore import curves_plot, scores_plot

NAN = math.nan
ARMS = ["start", "none", "IAIS", "CACR", "CACR rows", "flat"]
TABLE = {
    metric: {arm: (0.2 + i / 20, 0.15 + i / 20, 0.27 + i / 20) for i, arm in enumerate(ARMS)}
    for metric in ("relation group", "relation pairing", "attribute group", "retrieval R@1")
}
CURVES = {
    part: {arm: (list(range(0, 500, 50)), [1 / (1 + k) for k in range(10)]) for arm in ARMS}
    for part in ("ranking loss", "attention loss, vision", "attention loss, language")
}


def ends(panel):
    return [list(line.get_xdata()) for line in panel.lines if len(line.get_xdata()) == 2]


def test_scores_are_drawn_with_their_intervals_and_chance():
    panel = scores_plot(
        {"group": {"none": (0.4, 0.3, 0.5), "CACR": (0.5, 0.45, 0.6)}}, {"group": 1 / 6}
    ).axes[0]
    assert [0.3, 0.5] in ends(panel)
    assert [0.45, 0.6] in ends(panel)
    assert [1 / 6, 1 / 6] in ends(panel)


def test_a_score_without_an_interval_is_a_dot():
    panel = scores_plot({"group": {"none": (0.4, NAN, NAN)}}, {"group": NAN}).axes[0]
    assert ends(panel) == []
    assert [list(line.get_xdata()) for line in panel.lines] == [[0.4]]


def test_a_method_that_some_metric_lacks_keeps_its_row_and_color():
    figure = scores_plot({"a": {"x": (0.1, 0, 0.2)}, "b": {"x": (0.1, 0, 0.2), "y": (0.3, 0.2, 0.4)}}, {})
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["x", "y"]
    assert len(ends(figure.axes[0])) == 1 and len(ends(figure.axes[1])) == 2


def test_an_axis_shows_its_range_or_all_of_it():
    near = scores_plot(TABLE, {}).axes[0].get_xlim()
    whole = scores_plot(TABLE, {}, zoom=False).axes[0].get_xlim()
    assert near[0] > 0.1 and near[1] < 0.6
    assert whole[0] <= 0 and whole[1] >= 1


def test_curves_keep_the_colors_of_the_given_order():
    figure = curves_plot({"loss": {"b": ([1, 2], [3.0, 2.0])}}, methods=["a", "b"])
    other = scores_plot({"x": {"a": (0, 0, 0), "b": (1, 1, 1)}}, {})
    assert figure.axes[0].lines[0].get_color() == other.axes[0].lines[-1].get_color()


def test_curves_are_the_numbers_and_neighbors_differ_in_kind_of_line():
    panel = curves_plot(CURVES).axes[0]
    for line, (steps, values) in zip(panel.lines, CURVES["ranking loss"].values(), strict=True):
        assert list(line.get_xdata()) == steps
        assert list(line.get_ydata()) == values
    kinds = [line.get_linestyle() for line in panel.lines]
    assert all(one != other for one, other in pairwise(kinds))


def test_a_loss_below_zero_is_not_cut_off():
    panel = curves_plot({"loss": {"a": ([1, 2], [0.5, -0.5])}}).axes[0]
    assert panel.get_ylim()[0] < -0.5


@pytest.mark.parametrize("width", [None, 3.25, 6.75])
def test_plots_can_be_read_at_every_width(width):
    chance = dict.fromkeys(TABLE, 1 / 6)
    for figure in (
        scores_plot(TABLE, chance, "Mean over seeds with 95 % intervals", width),
        scores_plot(TABLE, chance, "Mean over seeds", width, zoom=False),
        curves_plot(CURVES, "Seed 0: parts of the loss while fine-tuning", ARMS, width),
    ):
        assert_readable(figure)
        assert width in (None, figure.get_size_inches()[0])


def test_every_line_is_named():
    shown = [text.get_text() for text, _ in texts_of(curves_plot(CURVES))]
    assert all(arm in shown for arm in ARMS)


def test_nothing_to_plot_is_refused():
    with pytest.raises(ValueError, match="no scores to plot"):
        scores_plot({"group": {}}, {})
    with pytest.raises(ValueError, match="no curves to plot"):
        curves_plot({})
