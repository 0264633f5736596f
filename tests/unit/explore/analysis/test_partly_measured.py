"""Where one model has no attention of some kind, or nothing varies: less is drawn and said, and nothing is made up."""

import numpy as np
import pytest

from cacr.explore.analysis import summarize
from cacr.explore.analysis.plots import alignment_figure, entropy_figure
from cacr.explore.analysis.report import _flatter

EXAMPLES = 6
"""Of a subject, see `subject_of`."""


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch):
    from cacr.explore.analysis import correlations

    monkeypatch.setattr(correlations, "DRAWS", 20)


def test_a_difference_is_taken_of_what_both_models_have(subject_of):
    found = summarize([subject_of("both ways", 1), subject_of("causal", 2, causal=True)])
    measures = {row["measure"] for row in found["differences"] if "measure" in row}
    assert {"argmax_lv", "soft_lv", "flat_language"} <= measures
    assert not any(name.endswith(("_vl", "_vision")) for name in measures)
    assert {"argmax_vl", "flat_vision"} <= {row["measure"] for row in found["means"]}  # the first one's own


def test_a_panel_holds_the_models_that_were_measured_in_it(subject_of):
    found = summarize([subject_of("both ways", 1), subject_of("causal", 2, causal=True)])
    panels = {panel.get_title(): len(panel.containers) for panel in alignment_figure(found).axes}
    assert panels == {
        "words: argmax is true": 2,
        "words: attention on true": 2,
        "regions: argmax is true": 1,
        "regions: attention on true": 1,
    }


def test_a_correlation_that_is_undefined_is_said_so_above_its_panel(subject_of):
    flat = subject_of("flat", 1, match=np.zeros((EXAMPLES, 2, 2)))  # one score for all: nothing to order
    found = summarize([subject_of("own", 2), flat])
    points = dict.fromkeys(("own", "flat"), (np.zeros(EXAMPLES), np.zeros(EXAMPLES)))
    titles = [panel.get_title().split("\n") for panel in entropy_figure(found, points, 1).axes[:2]]
    assert titles[0][1].startswith("Spearman ") and titles[0][1].endswith(f"n = {EXAMPLES}")
    assert titles[1] == ["flat", "Spearman undefined"]


@pytest.mark.parametrize(
    ("soft", "hard", "said"),
    [
        ((0.1, 0.2), (0.3, 0.4), "the soft one"),
        ((0.3, 0.4), (0.1, 0.2), "the hard one"),
        ((0.1, 0.3), (0.2, 0.4), "not resolved"),
        ((None, None), (0.2, 0.4), "no interval"),
        ((0.1, 0.2), (None, None), "no interval"),
    ],
)
def test_the_flatter_target_is_told_where_intervals_are_apart(soft, hard, said):
    ends = lambda pair: dict(zip(("low", "high"), pair, strict=True))
    assert _flatter({"soft_flat_*": ends(soft), "hard_flat_*": ends(hard)}) == said
