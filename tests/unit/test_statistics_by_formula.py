"""Each interval is its formula, written out a second time: levels, clusters, seeds, bounds and names."""

import math

import numpy as np
import pytest
from scipy import special, stats
from statsmodels.stats.proportion import proportion_confint

from cacr.statistics import Estimate, Spread, crossed, mean, paired_difference, proportion, spread, wilson

CLUSTERS = np.repeat(range(5), [1, 2, 3, 6, 8])


def table(seeds, seed=0, examples=20):
    """Values that differ by seed, by example and by chance: [seed, example]."""
    rng = np.random.default_rng(seed)
    by_seed = np.linspace(-0.2, 0.3, seeds)[:, None] if seeds > 1 else 0
    parts = by_seed, rng.normal(0, 0.3, examples), rng.normal(0, 0.2, (seeds, examples))
    return 0.4 + sum(parts)


def jackknife(x, clusters=CLUSTERS):
    """The variance of a mean over examples, leaving out one cluster at a time."""
    labels = list(dict.fromkeys(clusters))
    left = np.array([x[clusters != label].mean() for label in labels])
    return (len(labels) - 1) / len(labels) * ((left - left.mean()) ** 2).sum()


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_wilsons_interval_has_its_level(level):
    low, high = proportion_confint(7, 20, alpha=1 - level, method="wilson")
    expected = Estimate(0.35, pytest.approx(low), pytest.approx(high), 20, method="wilson")
    assert proportion([1] * 7 + [0] * 13, level=level) == expected
    assert wilson(0.35, 20, level=level) == expected


def test_wilsons_interval_of_clusters_counts_the_clusters():
    found = wilson(0.5, 10, n=40, method="of clusters")
    assert (found.low, found.n, found.method) == (wilson(0.5, 10).low, 40, "of clusters")
    assert wilson(1.0, 10).high == 1 and wilson(0.0, 10).low == 0


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_a_clustered_proportion_is_students_interval_of_the_log_odds(level):
    right = np.array([1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 1], dtype=float)
    freedom = 20**2 / (1 + 4 + 9 + 36 + 64) - 1
    p = right.mean()
    reach = stats.t.ppf((1 + level) / 2, freedom) * math.sqrt(jackknife(right)) / (p * (1 - p))
    found = proportion(right, CLUSTERS, level)
    assert found.value == p and (found.n, found.seeds, found.method) == (20, 1, "clustered")
    bounds = special.expit(special.logit(p) - reach), special.expit(special.logit(p) + reach)
    assert (found.low, found.high) == pytest.approx(bounds)


def test_shares_of_independent_examples_say_that_they_are_over_examples():
    shares = [0.25, 0.5, 1.0, 0.75]
    found = proportion(shares)
    reach = stats.t.ppf(0.975, 3) * np.std(shares, ddof=1) / 2 / (0.625 * 0.375)
    assert found.method == "over examples"
    assert found.low == pytest.approx(special.expit(special.logit(0.625) - reach))
    assert proportion(shares, ["a", "b", "c", "d"]) == found


def test_two_clusters_are_enough_and_one_is_not():
    two = proportion([1, 0, 1, 1], ["a", "a", "b", "b"])
    assert two.low < 0.75 < two.high
    one = proportion([1, 0, 1, 1], ["a"] * 4)
    assert (one.value, one.n, one.method) == (0.75, 4, "one cluster")


def test_clusters_without_variation_are_wilsons_draws_of_all_examples():
    found = proportion([1, 0] * 6, np.arange(12) // 2, level=0.8)
    low, high = proportion_confint(3, 6, alpha=0.2, method="wilson")
    assert (found.value, found.n, found.method) == (0.5, 12, "wilson over clusters")
    assert (found.low, found.high) == pytest.approx((low, high))


def test_the_variance_over_clusters_is_the_jackknifes():
    x = table(1)
    found = spread(x, CLUSTERS)
    assert found.error**2 == pytest.approx(jackknife(x[0]))
    assert (found.mean, found.n, found.seeds, found.draws) == (pytest.approx(x.mean()), 20, 1, 5)
    equal = spread(x, np.arange(20) // 4)
    assert equal.error**2 == pytest.approx(jackknife(x[0], np.arange(20) // 4))
    assert equal.freedom == 4


def test_labels_of_any_order_and_kind_make_the_same_clusters():
    x, order = table(2), np.random.default_rng(0).permutation(20)
    names = np.array([f"picture {9 - c}" for c in CLUSTERS])
    found, usual = spread(x[:, order], names[order]), spread(x, CLUSTERS)
    assert (found.error, found.freedom) == pytest.approx((usual.error, usual.freedom))


@pytest.mark.parametrize("seeds", [2, 4])
def test_over_seeds_and_examples_the_variances_add(seeds):
    x = table(seeds)
    by_seed, by_example = x.mean(1).var(ddof=1) / seeds, x.mean(0).var(ddof=1) / 20
    rest = x - x.mean(1)[:, None] - x.mean(0) + x.mean()
    cells = (rest**2).sum() / ((seeds - 1) * 19) / (20 * seeds)
    variance = by_seed + by_example - cells
    assert variance > max(by_seed, by_example)
    found = spread(x)
    assert found.error**2 == pytest.approx(variance)
    freedom = variance**2 / (by_seed**2 / (seeds - 1) + (variance - by_seed) ** 2 / 19)
    assert found.freedom == pytest.approx(freedom)
    assert found.method == "crossed seeds and examples"


def test_the_variance_is_never_below_that_of_the_seeds_or_of_the_examples():
    floored = [0, 0]
    for seed in range(40):
        x = np.random.default_rng(seed).normal(size=(3, 8))
        by = x.mean(1).var(ddof=1) / 3, x.mean(0).var(ddof=1) / 8
        variance = spread(x).error ** 2
        assert variance >= max(by) * (1 - 1e-9)
        for i in range(2):
            floored[i] += variance == pytest.approx(by[i]) and by[i] > by[1 - i]
    assert min(floored) > 0  # both kinds came


def test_seeds_and_clusters_together_have_the_freedom_of_the_clusters():
    x = table(3)
    found = spread(x, np.arange(20) // 4)
    by_seed, variance = x.mean(1).var(ddof=1) / 3, found.error**2
    freedom = variance**2 / (by_seed**2 / 2 + (variance - by_seed) ** 2 / 4)
    assert found.freedom == pytest.approx(freedom)
    assert (found.seeds, found.draws, found.n) == (3, 5, 20)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_mean_of_any_values_has_students_interval(level):
    x = table(1)[0] * 50
    expected = stats.ttest_1samp(x, 0).confidence_interval(level)
    found = mean(x, level=level)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.high > 1 and found.low == pytest.approx(2 * found.value - found.high)  # not cut to 0-1
    assert (found.n, found.seeds, found.method) == (20, 1, "paired over examples")
    assert math.isnan(mean([3.0, 3.0]).low) and mean([3.0, 3.0]).value == 3
    clustered, s = mean(x, CLUSTERS, level), spread(x, CLUSTERS)
    assert clustered.high - clustered.value == pytest.approx(
        stats.t.ppf((1 + level) / 2, s.freedom) * s.error
    )


def test_a_mean_outcome_over_seeds_is_students_interval_within_0_and_1():
    rng = np.random.default_rng(2)
    right = (rng.random((3, 20)) < rng.random(20)).astype(float)
    for clusters in (None, CLUSTERS):
        found, s = crossed(right, clusters, level=0.8), spread(right, clusters)
        reach = stats.t.ppf(0.9, s.freedom) * s.error
        assert (found.low, found.high) == pytest.approx((right.mean() - reach, right.mean() + reach))
        assert (found.seeds, found.n, found.method) == (3, 20, "crossed seeds and examples")
    few = crossed([[1, 1, 1, 0, 1], [1, 1, 0, 1, 1]])
    assert few.high == 1 and few.low > 0
    assert crossed([[0, 0, 0, 1, 0], [0, 0, 1, 0, 0]]).low == 0


def test_one_seed_is_a_proportion_and_says_how_many_seeds_there_are():
    right = [1, 0, 1, 1, 0, 0, 1, 1, 1, 1] * 2
    assert crossed([right], CLUSTERS, 0.8) == proportion(right, CLUSTERS, 0.8)
    alike = crossed([right, right], level=0.8)
    assert alike.value == proportion(right).value and alike.seeds == 2
    same = crossed(np.ones((3, 20)), CLUSTERS, 0.8)
    assert (same.low, same.seeds, same.n) == (proportion([1] * 20, CLUSTERS, 0.8).low, 3, 20)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_a_paired_difference_of_outcomes_is_agresti_and_mins(level):
    ours, theirs = np.array([1] * 6 + [0] * 2 + [1] * 12), np.array([0] * 6 + [1] * 2 + [1] * 12)
    b, c, n = 6.5, 2.5, 22
    reach = stats.norm.ppf((1 + level) / 2) * math.sqrt(b + c - (b - c) ** 2 / n) / n
    found = paired_difference(ours, theirs, level=level)
    assert (found.low, found.high) == pytest.approx(((b - c) / n - reach, (b - c) / n + reach))
    assert (found.value, found.n, found.seeds) == (0.2, 20, 1)
    back = paired_difference(theirs, ours, level=level)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))


def test_a_paired_difference_stays_within_plus_and_minus_1():
    up, down = paired_difference([1] * 6, [0] * 5 + [1]), paired_difference([0] * 5 + [1], [1] * 6)
    assert up.high == 1 and down.low == -1
    assert up.low > -1 and down.high < 1


@pytest.mark.parametrize(
    ("ours", "theirs", "clusters"),
    [
        ([0.5, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0], None),  # shares
        ([1.0, 0.0, 1.0, 1.0], [0.5, 0.0, 1.0, 0.0], None),
        ([1.0, 1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0], ["a", "a", "b", "b"]),
        ([[1.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.0, 1.0]], [[0.0, 0.0, 1.0, 0.0]] * 2, None),
    ],
)
def test_a_paired_difference_of_anything_else_is_students(ours, theirs, clusters):
    s = spread(np.subtract(ours, theirs), clusters)
    found = paired_difference(ours, theirs, clusters, level=0.8)
    reach = stats.t.ppf(0.9, s.freedom) * s.error
    assert (found.low, found.high) == pytest.approx((found.value - reach, found.value + reach))
    assert found.method == s.method


def test_a_difference_is_resolved_where_its_interval_leaves_out_0():
    bounds = {(0.1, 0.2): True, (-0.2, -0.1): True, (0.0, 0.2): False, (-0.2, 0.0): False, (-0.1, 0.1): False}
    for (low, high), resolved in bounds.items():
        assert Estimate(0.1, low, high, 9).resolved is resolved
    assert Estimate(0.1, math.nan, math.nan, 9).resolved is False
    assert Estimate(0.5, math.nan, 1.0, 9).to_json() == {
        "value": 0.5, "low": None, "high": 1.0, "n": 9, "seeds": 1, "method": "wilson",
    }  # fmt: skip


def test_a_spread_reaches_nowhere_without_freedom_or_error():
    assert math.isnan(Spread(0.5, 0.1, 0.0, 9, 1, 1).reach(0.95))
    assert math.isnan(Spread(0.5, math.nan, 3.0, 9, 1, 4).reach(0.95))
    assert Spread(0.5, 0.1, 0.5, 9, 1, 2).reach(0.9) == pytest.approx(0.1 * stats.t.ppf(0.95, 0.5))
    for level in (0, 1):
        with pytest.raises(ValueError, match=f"level is {level}; expected a confidence between 0 and 1"):
            Spread(0.5, 0.1, 3.0, 9, 1, 4).reach(level)


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        (np.ones((2, 2, 2)), r"outcomes have shape \(2, 2, 2\)"),
        ([[]], r"outcomes have shape \(1, 0\)"),
        ([[1.0, np.inf]], "1 of 2 outcomes are not finite"),
    ],
)
def test_what_is_no_table_of_outcomes_is_refused(outcomes, message):
    with pytest.raises(ValueError, match=message):
        spread(outcomes)


def test_a_level_is_checked_where_nothing_varies_as_well():
    for function in (mean, crossed, proportion, lambda x, level: paired_difference(x, x, level=level)):
        with pytest.raises(ValueError, match=r"level is 1\.5"):
            function([1.0, 1.0], level=1.5)
