"""Differences are paired by seed; a starting model, which has none, is held against every seed."""

import numpy as np
import pytest

from cacr.benchmarks import crossed, paired_difference
from cacr.study.measures import Column, difference_json, difference_text, score_text


@pytest.fixture
def column():
    rng = np.random.default_rng(0)
    draw = lambda: rng.random(40) < 0.5
    return Column(
        1 / 6,
        np.arange(40),
        {
            "start": {None: draw()},
            "a": {0: draw(), 1: draw(), 2: draw()},
            "b": {2: draw(), 0: draw(), 7: draw()},
        },
    )


def test_a_difference_is_over_the_seeds_that_both_have(column):
    a, b = column.arms["a"], column.arms["b"]
    assert column.difference("a", "b") == paired_difference([a[0], a[2]], [b[0], b[2]])
    assert column.difference("a", "c") is None
    column.arms["b"] = {7: b[7]}
    assert column.difference("a", "b") is None


def test_a_start_serves_every_seed(column):
    a, start = column.arms["a"], column.arms["start"][None]
    assert column.difference("a", "start") == paired_difference([a[0], a[1], a[2]], [start] * 3)


def test_a_score_crosses_seeds_and_examples(column):
    assert column.score("a") == crossed(np.stack(list(column.arms["a"].values())), np.arange(40))


def test_a_difference_reads_as_points_with_its_verdict(column):
    text = difference_text(difference_json(column.difference("a", "b")))
    assert text.endswith(("] not resolved", "]")) and text[0] in "+-"
    assert difference_text(None) == score_text(None) == "-"
    same = difference_json(column.difference("a", "a"))
    assert difference_text(same) == "+0.0 (no interval: no variation)"
