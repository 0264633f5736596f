"""The head of the report says what the intervals say, and no more than a few lines of it."""

import pytest

from cacr.explore.analysis.findings import MOST, findings


def row(value, low, high, **more):
    return {"arm": "a", "layer": 2, "value": value, "low": low, "high": high, "n": 60, "seeds": 1, **more}


@pytest.fixture
def found():
    """Numbers of one arm in two layers, and of two arms less it."""
    last = {
        "argmax_lv": (0.8, 0.7, 0.9),
        "constant_lv": (0.25, 0.2, 0.3),
        "argmax_lv_over_constant": (0.55, 0.5, 0.6),
        "soft_less_flat_language": (-0.2, -0.3, -0.1),
        "soft_less_flat_vision": (0.2, 0.1, 0.3),
        "cosine_release_language": (0.1, -0.1, 0.3),
    }
    means = [row(*its, measure=name, head="mean") for name, its in last.items()]
    means += [row(0.0, -0.1, 0.1, measure=name, head="mean") | {"layer": 0} for name in last]
    means += [row(0.5, 0.4, 0.6, measure="argmax_lv", head="mean") | {"arm": arm} for arm in ("b", "c")]
    less = {"less": "a", "paired": "from the one model a"}
    differences = [
        row(0.1, 0.05, 0.15, score="group", **less) | {"arm": "b"},
        row(-0.1, -0.2, 0.1, measure="argmax_lv", **less) | {"arm": "b"},
        row(0.9, 0.8, 1.0, measure="argmax_lv", **less) | {"arm": "b", "layer": 0},
    ]
    del differences[0]["layer"]
    spearman = {"group": "all", "model": "a", "measure": "entropy_lv", "what": "spearman_soft"}
    return {"means": means, "differences": differences, "correlations": [row(-0.4, -0.6, -0.1, **spearman)]}


def test_each_question_is_answered_by_the_interval_of_the_last_layer(found):
    heading, said, lines = findings(found)
    assert heading == "## What it found" and "Layer 2" in said
    argmax, nearer, flatter, entropy, other = lines.splitlines()
    assert "80.0 % [70.0, 90.0]" in argmax and "+55.0 [+50.0, +60.0], n = 60: resolved (above 0)" in argmax
    assert "among words -0.200 [-0.300, -0.100], n = 60: resolved (nearer than uniform)" in nearer
    assert "among regions 0.200 [0.100, 0.300], n = 60: resolved (farther than uniform)" in nearer
    assert flatter.endswith("among words 0.100 [-0.100, 0.300], n = 60: not resolved.")
    assert entropy.endswith("-0.400 [-0.600, -0.100], n = 60: resolved (below 0).")
    assert other.startswith(
        "- b less a (layer 2, from the one model a): group score +10.0 [+5.0, +15.0], n = 60: resolved (above 0)"
    )
    assert other.endswith("argmax of words -10.0 [-20.0, +10.0], n = 60: not resolved.")


def test_what_was_not_measured_is_said_and_not_invented(found):
    for name in ("argmax_lv_over_constant", "soft_less_flat_vision"):
        found["means"] = [row for row in found["means"] if row["measure"] != name]
    lines = findings(found | {"correlations": [], "differences": []})[2]
    assert "not known" in lines and "no score" in lines and "regions -" not in lines
    assert "among regions" not in lines


def test_many_models_take_no_more_than_a_few_lines(found):
    arms = [f"m{i}" for i in range(9)]
    for arm in arms:
        found["means"] += [one | {"arm": arm} for one in found["means"] if one["arm"] == "b"]
        found["differences"] += [one | {"arm": arm} for one in found["differences"] if one["arm"] == "b"]
    lines = findings(found)[2].splitlines()
    assert len(lines) == MOST and lines[-1] == "- 7 more models: see the last table."
