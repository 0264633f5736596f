"""Means over pairs are the project's own intervals; what is undefined is left out and counted out."""

import numpy as np
import pytest
from scipy import stats

from cacr import statistics
from cacr.explore.analysis.intervals import mean


def names(n, of=1):
    return [f"c{i // of}" for i in range(n)]


def ends(row):
    return row["low"], row["high"]


def test_without_clusters_it_is_students_interval():
    x = np.random.default_rng(0).normal(size=12)
    found = mean(x, names(12))
    wanted = stats.t.interval(0.95, 11, x.mean(), stats.sem(x))
    assert (found["value"], *ends(found)) == pytest.approx((x.mean(), *wanted), rel=1e-5)
    assert (found["n"], found["clusters"], found["seeds"]) == (12, 12, 1)


def test_clusters_of_equal_size_count_as_their_means():
    x = np.random.default_rng(1).normal(size=24)
    found, means = mean(x, names(24, of=3)), x.reshape(8, 3).mean(1)
    wanted = stats.t.interval(0.95, 7, means.mean(), stats.sem(means))
    assert (*ends(found), found["clusters"]) == pytest.approx((*wanted, 8), rel=1e-5)


def test_seeds_and_clusters_are_crossed_as_in_the_tables_of_benchmarks():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(4, 1)) / 4 + rng.normal(size=12) + rng.normal(size=(4, 12))
    for clusters in (names(12), names(12, of=2), ["a"] * 5 + names(7)):
        found, theirs = mean(x, clusters), statistics.spread(x, clusters)
        assert (found["high"] - found["low"]) / 2 == pytest.approx(theirs.reach(0.95), rel=1e-5)
        assert found["seeds"] == 4 and "crossed" in found["method"]


def test_shares_are_proportions_and_stay_shares():
    x = np.array([1.0] * 19 + [0.0])
    found, theirs = mean(x, names(20), share=True), statistics.proportion(x, names(20))
    assert ends(found) == pytest.approx((theirs.low, theirs.high), rel=1e-5)
    seeds = np.stack([x, np.roll(x, 3), np.ones(20)])
    crossed = mean(seeds, names(20), share=True)
    assert crossed["high"] == 1.0 and mean(seeds, names(20))["high"] > 1
    with pytest.raises(ValueError, match="expected 0-1"):
        mean(np.array([0.5, 1.5]), names(2), share=True)
    assert mean(np.array([1 + 1e-12, 0.5]), names(2), share=True)["n"] == 2  # rounding of a sum


def test_pairs_that_are_undefined_for_a_seed_are_left_out_and_counted_out():
    x = np.array([[1.0, np.nan, 2.0, 4.0, 3.0], [1.0, 2.0, 2.0, 5.0, np.nan]])
    assert mean(x, names(5)) == mean(x[:, [0, 2, 3]], names(3))
    assert mean(x, names(5))["n"] == 3
    nothing = mean(np.full(3, np.nan), names(3), share=True)
    assert nothing["n"] == nothing["clusters"] == 0 and nothing["value"] is None and nothing["low"] is None


def test_equal_values_have_no_interval_and_equal_outcomes_have_wilsons():
    assert ends(mean(np.full(9, 2.25), names(9))) == (None, None)
    half = mean(np.full(9, 0.5), names(9), share=True)  # such as the chance of pairs that are all alike
    assert half["value"] == 0.5 and ends(half) == (None, None)
    right = mean(np.ones(9), names(9), share=True)
    assert right["high"] == 1 and right["low"] == pytest.approx(9 / (9 + 1.959964**2), rel=1e-5)


@pytest.mark.parametrize("share", [False, True])
def test_one_cluster_says_nothing_of_others(share):
    found = mean(np.array([[1.0, 0.5], [0.0, 0.5]]), ["a", "a"], share)
    assert found["value"] == 0.5 and ends(found) == (None, None)


def test_labels_must_fit():
    with pytest.raises(ValueError, match="for 2 clusters"):
        mean(np.ones(3), ["a", "b"])
