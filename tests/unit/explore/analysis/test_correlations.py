"""Correlations are scipy's, their intervals hold the truth, and what cannot be said is not."""

from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats

from cacr.benchmarks.outcomes import score
from cacr.explore.analysis import correlations as module
from cacr.explore.analysis import soft_score
from cacr.explore.analysis.correlations import (
    KINDS,
    bca,
    correlations,
    explained,
    group_right,
    resampled_correlations,
)


def sample(n=60, seed=0, strength=1.0):
    rng = np.random.default_rng(seed)
    soft = rng.normal(size=n)
    columns = np.stack([strength * soft + rng.normal(size=n), rng.normal(size=n).round()], 1)
    return columns, np.exp(soft), soft + rng.normal(size=n) > 0  # so that ranks are other than values


def names(n):
    return [f"e{i}" for i in range(n)]


def known(estimate):
    return np.isfinite([estimate.low, estimate.high]).all()


def test_the_soft_score_is_the_mean_of_four_margins():
    match = np.random.default_rng(0).normal(size=(5, 2, 2))
    for one, found in zip(match, soft_score(match), strict=True):
        margins = [one[0, 0] - one[1, 0], one[1, 1] - one[0, 1], one[0, 0] - one[0, 1], one[1, 1] - one[1, 0]]
        assert found == pytest.approx(sum(margins) / 4)


def test_the_group_score_is_that_of_the_benchmark():
    match = np.random.default_rng(1).integers(0, 3, size=(200, 2, 2)).astype(float)  # with many ties
    assert group_right(match).tolist() == score(match)["group"].tolist()


def test_values_are_those_of_scipy():
    columns, soft, right = sample()
    found = correlations(columns, soft, right, names(60))
    for i in range(2):
        assert found["spearman_soft"][i].value == pytest.approx(
            stats.spearmanr(columns[:, i], soft).statistic
        )
        auc = stats.mannwhitneyu(columns[right, i], columns[~right, i]).statistic / (
            right.sum() * (~right).sum()
        )
        assert found["auc_group"][i].value == pytest.approx(auc)
        biserial = stats.pointbiserialr(right, columns[:, i]).statistic
        assert found["biserial_group"][i].value == pytest.approx(biserial)


def test_counts_give_what_copies_give():
    """All draws at once, by how often each example counts, are scipy's correlations of that many copies."""
    columns, soft, right = sample(n=25)
    columns[:, 0] = columns[:, 0].round()  # ties
    weights = np.random.default_rng(5).multinomial(25, np.full(25, 1 / 25), size=6).astype(float)
    for x in columns.T:
        found = module._statistics(x, right, weights, module._ranks(soft, weights))
        for row, counts in zip(found, weights.astype(int), strict=True):
            a, b, hit = (np.repeat(one, counts) for one in (x, soft, right))
            auc = stats.mannwhitneyu(a[hit], a[~hit]).statistic / (hit.sum() * (~hit).sum())
            wanted = (stats.spearmanr(a, b).statistic, auc, stats.pointbiserialr(hit, a).statistic)
            assert row == pytest.approx(wanted)


def test_below_three_clusters_there_is_no_interval():
    columns, soft, right = sample()
    found = correlations(columns, soft, right, ["a"] * 30 + ["b"] * 30)["spearman_soft"][0]
    assert np.isfinite(found.value) and not known(found)
    assert not known(explained(sums(*np.ones((2, 4, 3)).cumsum(1)), ["a", "a", "b", "b"])["ratio"])


def test_a_column_with_an_undefined_value_has_no_number():
    columns, soft, right = sample()
    columns[3, 0] = np.nan
    found = correlations(columns, soft, right, names(60))
    assert all(np.isnan(found[kind][0].value) and np.isfinite(found[kind][1].value) for kind in KINDS)


def test_intervals_are_near_those_of_scipys_bootstrap():
    columns, soft, right = sample(n=120)
    found = correlations(columns, soft, right, names(120))["spearman_soft"][0]
    rank = lambda x, y: stats.spearmanr(x, y).statistic
    theirs = stats.bootstrap(
        (columns[:, 0], soft), rank, paired=True, vectorized=False, n_resamples=800, rng=1
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_bounds_are_those_of_efrons_formula():
    rng, normal = np.random.default_rng(3), NormalDist()
    drawn, without, value = rng.gamma(2, size=500), rng.gamma(2, size=30), 1.2
    bias = normal.inv_cdf(np.mean(drawn < value))
    off = without.mean() - without
    bend = (off**3).sum() / (6 * (off**2).sum() ** 1.5)
    ends = []
    for level in (0.025, 0.975):
        z = bias + normal.inv_cdf(level)
        ends.append(np.quantile(drawn, normal.cdf(bias + z / (1 - bend * z))))
    low, high = bca(np.array([value]), drawn[:, None], without[:, None])
    assert (low[0], high[0]) == pytest.approx(ends)
    assert abs(low[0] - np.quantile(drawn, 0.025)) > 0.01  # other than the percentiles


def test_the_same_seed_gives_the_same_interval():
    columns, soft, right = sample()
    one, again = (correlations(columns, soft, right, names(60), seed=3) for _ in range(2))
    assert one == again and one != correlations(columns, soft, right, names(60), seed=4)


def test_copies_of_examples_tell_nothing_more():
    columns, soft, right = sample(n=40)
    once = correlations(columns, soft, right, names(40))["spearman_soft"][0]
    many = correlations(
        *(np.repeat(x, 3, 0) for x in (columns, soft, right)), [n for n in names(40) for _ in range(3)]
    )
    assert many["spearman_soft"][0].low == pytest.approx(once.low, abs=0.03)
    assert many["spearman_soft"][0].n == 120


def test_few_of_an_outcome_and_columns_that_do_not_vary_have_no_interval():
    columns, soft, right = sample()
    columns[:, 1] = 2
    right[:] = False
    right[:4] = True
    found = correlations(columns, soft, right, names(60))
    assert known(found["spearman_soft"][0]) and not known(found["auc_group"][0])
    assert np.isnan(found["spearman_soft"][1].value) and not known(found["spearman_soft"][1])
    right[:] = False
    assert all(np.isnan(correlations(columns, soft, right, names(60))[kind][0].value) for kind in KINDS[1:])


def sums(x, y):
    """[pair, 6] of rows [pair, row]."""
    return np.stack([np.ones_like(x).sum(1), *(one.sum(1) for one in (x, y, x * x, y * y, x * y))], 1)


def test_what_flatness_explains_is_the_correlation_over_rows():
    rng = np.random.default_rng(2)
    x = rng.gamma(2, size=(50, 8))
    y = x + rng.gamma(1, size=(50, 8))
    found = explained(sums(x, y), names(50))
    r = stats.pearsonr(x.ravel(), y.ravel()).statistic
    assert found["correlation"].value == pytest.approx(r) and found["r2"].value == pytest.approx(r * r)
    assert found["ratio"].value == pytest.approx(y.mean() / x.mean())
    assert found["r2"].low < r * r < found["r2"].high and found["r2"].n == 400
    same = explained(sums(x, x), names(50))
    assert same["r2"].value == pytest.approx(1) and same["ratio"].value == pytest.approx(1)
    assert np.isnan(explained(sums(np.ones((9, 4)), y[:9, :4]), names(9))["r2"].value)


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say(monkeypatch):
    monkeypatch.setattr(module, "DRAWS", 400)  # in place of 2000: rougher ends, a fifth of the time
    truth = stats.spearmanr(*(x[:, 0] if x.ndim > 1 else x for x in sample(200_000, 99)[:2])).statistic
    held, n = 0, 150
    for seed in range(n):
        columns, soft, right = sample(80, seed)
        found = correlations(columns[:, :1], soft, right, names(80))["spearman_soft"][0]
        held += found.low <= truth <= found.high
    assert held / n >= 0.89


def test_rounding_of_sums_does_not_break_ties():
    columns, soft, right = sample()
    tied = columns[:, 1:] + 5.0
    noisy = tied * (1 + np.random.default_rng(8).choice([-1e-15, 0, 1e-15], size=tied.shape))
    assert len(np.unique(noisy)) > len(np.unique(tied))
    some, other = (correlations(x, soft, right, names(60)) for x in (tied, noisy))
    for kind in KINDS[:2]:
        assert some[kind] == other[kind]
    small = correlations(1e-12 * tied, soft, right, names(60))["spearman_soft"][0]
    assert small == some["spearman_soft"][0]  # digits count from the largest value


def test_the_interval_of_a_square_holds_0_where_that_of_the_correlation_does():
    rng = np.random.default_rng(4)
    unrelated = explained(sums(rng.gamma(2, size=(40, 8)), rng.gamma(2, size=(40, 8))), names(40))
    r = unrelated["correlation"]
    assert r.low < 0 < r.high
    assert unrelated["r2"].low == 0 and unrelated["r2"].high == max(r.low**2, r.high**2)
    x = rng.gamma(2, size=(40, 8))
    for y in (x + rng.gamma(1, size=(40, 8)), 9 - x + rng.gamma(1, size=(40, 8))):
        related = explained(sums(x, y), names(40))
        r, square = related["correlation"], related["r2"]
        assert (square.low, square.high) == pytest.approx(sorted((r.low**2, r.high**2)))


def test_draws_are_of_the_same_examples_for_every_model():
    columns, soft, right = sample()
    one, other = (resampled_correlations(x, soft, right, names(60)) for x in (columns, columns + 1))
    assert np.allclose(one["spearman_soft"][0].drawn, other["spearman_soft"][0].drawn)
    assert len(one["spearman_soft"][0].drawn) == module.DRAWS
    right[:] = False
    right[:4] = True
    assert len(resampled_correlations(columns, soft, right, names(60))["auc_group"][0].drawn) == 0
