"""Intervals agree with textbooks, know what they cannot say, and hold the truth as often as they claim."""

import numpy as np
import pytest
from scipy import stats

from cacr.explore.analysis.intervals import Interval, mean
from cacr.statistics import spread


def names(n, of=1):
    return [f"c{i // of}" for i in range(n)]


def test_without_clusters_it_is_students_interval():
    x = np.random.default_rng(0).normal(size=12)
    found = mean(x, names(12))
    low, high = stats.t.interval(0.95, 11, x.mean(), stats.sem(x))
    assert (found.value, found.low, found.high) == pytest.approx((x.mean(), low, high))
    assert (found.n, found.clusters, found.seeds) == (12, 12, 1)


def test_clusters_of_equal_size_count_as_their_means():
    x = np.random.default_rng(1).normal(size=24)
    found, means = mean(x, names(24, of=3)), x.reshape(8, 3).mean(1)
    low, high = stats.t.interval(0.95, 7, means.mean(), stats.sem(means))
    assert (found.low, found.high, found.clusters) == pytest.approx((low, high, 8))


def test_copies_of_pairs_tell_nothing_more():
    x = np.random.default_rng(2).normal(size=10)
    once, thrice = mean(x, names(10)), mean(np.repeat(x, 3), names(30, of=3))
    assert (once.low, once.high) == pytest.approx((thrice.low, thrice.high))


def test_undefined_pairs_are_left_out_and_counted_out():
    x = np.array([1.0, np.nan, 2.0, 4.0])
    found, without = mean(x, names(4)), mean(x[[0, 2, 3]], names(3))
    assert found == without and found.n == 3
    assert mean(np.full(3, np.nan), names(3)).n == 0


def test_equal_values_have_no_interval_and_equal_outcomes_have_wilsons():
    assert not mean(np.full(9, 0.25), names(9), share=True).known
    assert not mean(np.ones(9), names(9)).known
    right = mean(np.ones(9), names(9), share=True)
    assert (right.value, right.high) == (1, 1) and right.low == pytest.approx(9 / (9 + 1.959964**2))


def test_a_share_stays_a_share():
    found = mean(np.array([1.0] * 19 + [0.0]), names(20), share=True)
    assert 0 < found.low < found.value < found.high < 1
    with pytest.raises(ValueError, match="expected 0-1"):
        mean(np.array([0.5, 1.5]), names(2), share=True)


def test_seeds_that_differ_widen_the_interval():
    rng = np.random.default_rng(3)
    pairs, seeds = rng.normal(size=60), np.array([-1.0, 0.0, 1.0])
    found = mean(pairs + seeds[:, None] + rng.normal(size=(3, 60)) / 10, names(60))
    one = mean(pairs, names(60))
    over_seeds = stats.t.ppf(0.975, 2) / np.sqrt(3)  # their standard deviation is 1
    assert found.high - found.low > 5 * (one.high - one.low)
    assert (found.high - found.low) / 2 == pytest.approx(over_seeds, rel=0.15)
    assert found.seeds == 3 and "crossed" in found.method


def test_seeds_and_pairs_are_crossed_as_in_the_tables_of_benchmarks():
    rng = np.random.default_rng(6)
    checked = 0
    for _ in range(30):
        x = rng.normal(size=(4, 1)) / 4 + rng.normal(size=12) + rng.normal(size=(4, 12))
        found, theirs = mean(x, names(12)), spread(x)
        over_seeds = stats.t.ppf(0.975, 3) * x.mean(1).std(ddof=1) / 2
        assert (found.high - found.low) / 2 == pytest.approx(max(theirs.reach(0.95), over_seeds))
        both = x.mean(1).var(ddof=1) / 4 + x.mean(0).var(ddof=1) / 12
        checked += theirs.reach(0.95) > over_seeds and theirs.error**2 < 0.99 * both
    assert checked > 10  # where neither source alone decides


def test_clusters_of_unequal_size_are_those_of_the_tables_of_benchmarks():
    x, clusters = unequal(np.random.default_rng(7))
    found = mean(x, clusters)
    assert (found.high - found.low) / 2 == pytest.approx(spread(x, clusters).reach(0.95), rel=1e-6)


def test_equal_seeds_are_one_seed():
    x = np.random.default_rng(4).normal(size=40)
    once, thrice = mean(x, names(40)), mean(np.stack([x, x, x]), names(40))
    assert (once.low, once.high) == pytest.approx((thrice.low, thrice.high))


def test_one_cluster_says_nothing_of_others():
    found = mean(np.array([1.0, 2.0]), ["a", "a"])
    assert found.value == 1.5 and not found.known and not found.off(0)


def test_off_means_outside():
    found = Interval(1, 0.5, 1.5, 3, 3, 1, "")
    assert found.off() and found.off(2) and not found.off(1.2)


def test_labels_must_fit():
    with pytest.raises(ValueError, match="for 2 clusters"):
        mean(np.ones(3), ["a", "b"])


def coverage(draw, truth, share=False, times=400):
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(times):
        x, clusters = draw(rng)
        found = mean(x, clusters, share)
        held += found.known and found.low <= truth <= found.high
    return held / times


def unequal(rng):
    sizes = rng.integers(1, 6, size=30)
    own = np.repeat(rng.normal(size=30), sizes)
    return own + rng.normal(size=len(own)), np.repeat([f"c{i}" for i in range(30)], sizes).tolist()


def shares(rng):
    chance = rng.beta(9, 1, size=40)  # a mean of 0.9
    return rng.binomial(4, np.repeat(chance, 2)) / 4, names(80, of=2)


def seeds(rng):
    return rng.normal(size=(3, 1)) + rng.normal(size=40) + rng.normal(size=(3, 40)), names(40)


def test_intervals_hold_the_truth_as_often_as_they_say():
    assert 0.92 <= coverage(unequal, 0) <= 0.98
    assert 0.92 <= coverage(shares, 0.9, share=True) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "truth", "share"), [(unequal, 0, False), (shares, 0.9, True), (seeds, 0, False)]
)
def test_intervals_hold_the_truth_in_many_draws(draw, truth, share):
    assert 0.935 <= coverage(draw, truth, share, times=4000) <= 0.985
