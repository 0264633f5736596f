"""Intervals hold the truth as often as they say, and differences are paired."""

import numpy as np
import pytest
from scipy import stats

from cacr.benchmarks.power import mcnemar_p
from cacr.statistics import crossed, paired_difference, proportion, spread


def test_a_proportion_has_wilsons_interval():
    estimate = proportion([True] * 57 + [False] * 343)
    assert (estimate.value, estimate.n) == (0.1425, 400)
    assert (estimate.low, estimate.high) == pytest.approx((0.112, 0.180), abs=5e-4)


def test_clusters_of_one_are_no_clusters():
    right = [True, False, True, True]
    assert proportion(right, clusters=["a", "b", "c", "d"]) == proportion(right)


def test_repeating_every_example_in_a_cluster_does_not_narrow_the_interval():
    rng = np.random.default_rng(0)
    right = rng.random(200) < 0.6
    once, tenfold = (
        proportion(right),
        proportion(np.repeat(right, 10), clusters=np.repeat(np.arange(200), 10)),
    )
    assert tenfold.high - tenfold.low == pytest.approx(once.high - once.low, rel=0.05)


def test_no_examples_give_no_number():
    estimate = proportion([])
    assert np.isnan([estimate.value, estimate.low, estimate.high]).all()
    assert not estimate.resolved
    assert estimate.to_json()["value"] is None


def test_one_cluster_gives_no_interval():
    estimate = proportion([True, False], clusters=["a", "a"])
    assert estimate.value == 0.5
    assert np.isnan(estimate.low)


def test_one_example_gives_no_interval_of_a_difference():
    assert np.isnan(paired_difference([1], [0]).low)


def test_a_difference_of_shares_over_examples_is_the_paired_t_interval():
    a, b = np.random.default_rng(0).random((2, 300)) ** [[1.0], [2.0]]
    expected = stats.ttest_rel(a, b).confidence_interval()
    estimate = paired_difference(a, b)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))


def test_a_difference_of_outcomes_adds_half_an_example_to_each_cell():
    a, b = np.array([1] * 30 + [0] * 10 + [1] * 60), np.array([0] * 30 + [1] * 10 + [1] * 60)
    estimate = paired_difference(a, b)
    middle, n = 20 / 102, 102
    error = np.sqrt((30.5 + 10.5) / n - middle**2) / np.sqrt(n)
    assert estimate.value == 0.2 and estimate.method == "paired, Agresti-Min"
    assert (estimate.low, estimate.high) == pytest.approx(
        (middle - 1.96 * error, middle + 1.96 * error), abs=1e-5
    )


def test_a_difference_over_seeds_that_all_examples_share_is_the_t_interval_over_seeds():
    by_seed = np.array([0.0, 0.2, 0.1])
    differences = np.repeat(by_seed[:, None], 50, axis=1)
    expected = stats.ttest_1samp(by_seed, 0).confidence_interval()
    estimate = paired_difference(differences, np.zeros_like(differences))
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))


def test_zero_inside_is_not_resolved():
    assert not paired_difference([[1, 0, 1, 0]], [[0, 1, 1, 0]]).resolved
    assert paired_difference(np.ones((3, 90)), np.zeros((3, 90)) + (np.arange(90) % 9 == 0)).resolved


def test_other_seeds_are_no_pairs():
    with pytest.raises(ValueError, match=r"expected the same \[seed, example\]"):
        paired_difference(np.ones((2, 5)), np.ones((3, 5)))


def test_mcnemar_is_the_binomial_test_of_the_discordant_examples():
    ours, theirs = [1] * 9 + [0] * 3 + [1] * 40, [0] * 9 + [1] * 3 + [1] * 40
    assert mcnemar_p(ours, theirs) == pytest.approx(stats.binomtest(9, 12).pvalue)


@pytest.mark.parametrize("seeds", [3, 7])
def test_intervals_over_seeds_and_examples_cover_the_truth(seeds):
    rng = np.random.default_rng(seeds)
    covered = []
    for _ in range(400):
        by_seed = rng.normal(0, 0.05, (seeds, 1))
        by_example = rng.normal(0, 0.3, (1, 120))
        outcome = 0.1 + by_seed + by_example + rng.normal(0, 0.3, (seeds, 120))
        estimate = paired_difference(outcome, np.zeros_like(outcome))
        covered.append(estimate.low <= 0.1 <= estimate.high)
    assert 0.92 < np.mean(covered) < 0.99


def test_a_mean_over_seeds_stays_between_0_and_1():
    estimate = crossed([[1, 1, 1, 1], [1, 1, 1, 0]])
    assert estimate.high <= 1
    assert estimate.seeds == 2


def test_outcomes_without_variation_give_no_interval_of_a_difference():
    same = paired_difference(np.ones((3, 20)), np.ones((3, 20)))
    assert same.value == 0
    assert np.isnan(same.low)
    assert not same.resolved


def test_a_perfect_score_of_all_seeds_still_has_an_interval():
    estimate = crossed(np.ones((3, 20)))
    assert estimate.value == 1
    assert 0.8 < estimate.low < 0.9


def test_equal_thirds_are_no_variation():
    assert proportion([1, 0, 0] * 10, [i // 3 for i in range(30)]).method == "wilson over clusters"
    assert np.isnan(paired_difference(np.full((3, 10), 0.1) * 3, np.zeros((3, 10))).low)


def test_examples_that_share_a_cluster_are_one_draw():
    rng = np.random.default_rng(1)
    pairs = rng.random((4, 60)) < 0.3
    doubled, labels = np.repeat(pairs, 2, axis=1), np.repeat(np.arange(60), 2)
    zeros = np.zeros_like(doubled)
    once = paired_difference(pairs, np.zeros_like(pairs))
    both = paired_difference(doubled, zeros, labels)
    assert (both.low, both.high) == pytest.approx((once.low, once.high))
    assert paired_difference(doubled[0], zeros[0]).high < paired_difference(doubled[0], zeros[0], labels).high
    assert (both.n, both.value) == (120, pytest.approx(once.value))


def test_clusters_without_variation_still_have_an_interval():
    estimate = proportion([True] * 40, clusters=[i // 5 for i in range(40)])
    assert estimate.value == 1
    assert 0.6 < estimate.low < 0.75  # 8 clusters, not 40 examples


def test_large_clusters_are_not_far_off_because_they_are_large():
    """All pictures are answered alike: however many examples each has, the mean is sure."""
    sizes = np.array([1, 2, 3, 22] * 10)
    clusters = np.repeat(np.arange(40), sizes)
    always = np.ones(len(clusters))
    always[clusters == 0] = 0
    d = paired_difference(always, np.zeros(len(clusters)), clusters)
    assert d.high - d.low < 0.02
    assert d.low < 1 - 1 / 280 < d.high + 0.01


def test_clustered_proportions_stay_inside_and_lean_towards_the_middle():
    estimate = proportion([True] * 95 + [False] * 5, [i // 5 for i in range(100)])
    assert 0 < estimate.low < estimate.high < 1
    assert estimate.value - estimate.low > estimate.high - estimate.value


def test_shares_vary_less_than_outcomes():
    shares = np.array([0.25, 0.5, 0.75, 0.5] * 25)
    of_shares, of_outcomes = proportion(shares), proportion(np.arange(100) % 2)
    assert of_shares.value == of_outcomes.value
    assert of_shares.high - of_shares.low < 0.5 * (of_outcomes.high - of_outcomes.low)


def test_clusters_of_unequal_size_count_as_fewer():
    sizes = np.array([20] + [1] * 19)
    clusters = np.repeat(np.arange(20), sizes)
    found = spread(np.arange(39) % 2, clusters)
    assert found.draws == 20
    assert found.freedom == pytest.approx(39**2 / (sizes**2).sum() - 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: proportion([1, 0, 2]), r"an outcome is 2\.0"),
        (lambda: proportion([1, np.nan]), "an outcome is nan"),
        (lambda: proportion([1, 0, 1], ["a", "a"]), "2 cluster labels for 3 examples"),
        (lambda: proportion([1, 0], level=95), "level is 95"),
        (lambda: paired_difference([1, 0, 1], [0, 0, 1], level=95), "level is 95"),
        (lambda: paired_difference([1, np.nan], [0, 0]), "1 of 2 outcomes are not finite"),
    ],
)
def test_outcomes_that_are_none_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_one_cluster_of_several_seeds_has_the_mean_of_all_and_no_interval():
    found = crossed([[1, 1, 1, 1], [0, 0, 0, 1]], clusters=["a"] * 4)
    assert found.value == 5 / 8
    assert np.isnan([found.low, found.high]).all()
    assert (found.n, found.seeds, found.method) == (4, 2, "one cluster")
