"""Means over pairs are the project's own intervals; what is undefined is left out and counted out."""

import numpy as np
import pytest
from scipy import stats

from cacr import statistics
from cacr.explore.analysis import correlations as of_models
from cacr.explore.analysis.correlations import resampled_correlations
from cacr.explore.analysis.intervals import mean, pooled


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


def test_an_interval_is_cut_at_what_is_possible_and_keeps_its_value():
    x = np.array([0.1, 0.2, 2.0])
    assert mean(x, names(3))["low"] < 0
    cut = mean(x, names(3), bounds=(0, np.inf))
    assert cut["low"] == 0 and cut["high"] == mean(x, names(3))["high"]
    cosines = mean(np.array([1.0, 0.9, 0.2]), names(3), bounds=(-1, 1))
    assert cosines["high"] == 1 and cosines["low"] < 0.2
    rounded = mean(np.array([-1e-8, -2e-8, -3e-8]), names(3), bounds=(0, np.inf))
    assert rounded["low"] <= rounded["value"] <= rounded["high"]


def draws_of(x, draws=4000):
    """Means of [seed, example] in draws of examples that are shared."""
    chosen = np.random.default_rng(0).integers(0, x.shape[1], size=(draws, x.shape[1]))
    return [row[chosen].mean(1) for row in x]


@pytest.mark.parametrize(("by_seed", "by_example", "cell"), [(0.02, 1, 0.3), (0.5, 1, 0.3), (0.3, 0.1, 2)])
def test_seeds_and_draws_are_crossed_as_a_mean_over_both_is(by_seed, by_example, cell):
    rng = np.random.default_rng(11)
    x = by_seed * rng.normal(size=(4, 1)) + by_example * rng.normal(size=50) + cell * rng.normal(size=(4, 50))
    found, wanted = pooled(x.mean(1), draws_of(x), names(50), 50), statistics.mean(x)
    assert (found.value, found.method, found.seeds) == (pytest.approx(wanted.value), wanted.method, 4)
    assert (found.low, found.high) == pytest.approx(
        (wanted.low, wanted.high), abs=0.04 * (wanted.high - wanted.low)
    )


def test_what_seeds_share_makes_an_interval_wider_than_one_over_seeds():
    rng = np.random.default_rng(12)
    x = rng.normal(size=50) + 0.1 * rng.normal(size=(3, 50))
    found, over_seeds = pooled(x.mean(1), draws_of(x), names(50), 50), statistics.mean(x.mean(1))
    assert found.high - found.low > 3 * (over_seeds.high - over_seeds.low)


def test_what_cannot_be_resampled_has_no_interval():
    x = np.random.default_rng(13).normal(size=(3, 50))
    drawn = draws_of(x, 100)
    lost = [drawn[0], drawn[1], np.where(np.arange(100) < 11, np.nan, drawn[2])]
    nothing = [row[:0] for row in drawn]
    for found in (
        pooled(x.mean(1), lost, names(50), 50),
        pooled(x.mean(1), nothing, names(50), 50),
        pooled(x.mean(1), drawn, ["a"] * 25 + ["b"] * 25, 50),
    ):
        assert found.value == pytest.approx(x.mean()) and np.isnan([found.low, found.high]).all()
    undefined = pooled([np.nan, 1.0, 2.0], drawn, names(50), 50)
    assert np.isnan(undefined.value) and undefined.method == "undefined for a seed"
    with pytest.raises(ValueError, match="expected as many for each of 2 or more"):
        pooled(x.mean(1), drawn[:2], names(50), 50)


@pytest.mark.slow
def test_correlations_pooled_over_seeds_are_resolved_by_chance_as_seldom_as_they_say(monkeypatch):
    """Over seeds alone 38 % of these are resolved: what a model attends to and its score share nothing."""
    monkeypatch.setattr(of_models, "DRAWS", 300)
    rng, resolved, times = np.random.default_rng(0), 0, 300
    for _ in range(times):
        x, y, right = rng.normal(size=100), rng.normal(size=100), rng.random(100) < 0.5
        made = [
            resampled_correlations(
                (x + 0.3 * rng.normal(size=100))[:, None], y + 0.3 * rng.normal(size=100), right, names(100)
            )
            for _ in range(3)
        ]
        of_seeds = [one["spearman_soft"][0] for one in made]
        values, drawn = [one.its.value for one in of_seeds], [one.drawn for one in of_seeds]
        resolved += pooled(values, drawn, names(100), 100).resolved
    assert 0.01 <= resolved / times <= 0.08
