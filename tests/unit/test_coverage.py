"""95 % intervals hold the truth in 93 to 97 % of 2,000 simulated evaluations."""

import numpy as np
import pytest

from cacr.benchmarks.power import paired_test
from cacr.statistics import paired_difference, proportion

TIMES = 2000


def coverage(estimates, truth):
    return float(np.mean([e.low <= truth <= e.high for e in estimates]))


def pictures(rng, groups):
    """Sizes like SugarCrepe's: 4.8 items a picture, from 1 to 22."""
    sizes = np.minimum(22, rng.geometric(1 / 4.8, groups))
    return np.repeat(np.arange(groups), sizes)


def chances(rng, mean, correlation, groups):
    """One chance per cluster, so that two of its outcomes correlate: the beta-binomial."""
    strength = (1 - correlation) / correlation
    return rng.beta(mean * strength, (1 - mean) * strength, groups)


@pytest.mark.parametrize(
    ("truth", "n"), [(0.5, 100), (0.1425, 400), (1 / 6, 400), (0.9, 300), (0.03, 300), (0.73, 2000)]
)
def test_proportions_of_independent_examples(truth, n):
    rng = np.random.default_rng(n)
    right = rng.random((TIMES, n)) < truth
    assert 0.93 <= coverage([proportion(row) for row in right], truth) <= 0.97


@pytest.mark.parametrize(
    ("truth", "correlation", "groups"),
    [(0.5, 0.3, 60), (0.7, 0.2, 60), (0.85, 0.3, 20), (0.95, 0.3, 40), (0.02, 0.1, 100), (0.73, 0.1, 300)],
)
def test_proportions_of_examples_that_share_pictures(truth, correlation, groups):
    rng = np.random.default_rng(groups)
    found = []
    for _ in range(TIMES):
        picture = pictures(rng, groups)
        right = rng.random(len(picture)) < chances(rng, truth, correlation, groups)[picture]
        found.append(proportion(right, picture))
    assert 0.93 <= coverage(found, truth) <= 0.97


def test_without_clusters_the_interval_of_shared_pictures_would_be_too_narrow():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        picture = pictures(rng, 60)
        found.append(proportion(rng.random(len(picture)) < chances(rng, 0.7, 0.3, 60)[picture]))
    assert coverage(found, 0.7) < 0.8


@pytest.mark.parametrize(
    ("ours", "theirs", "alike", "n"),
    [(0.5, 0.5, 0.5, 100), (0.4, 0.3, 0.6, 400), (0.15, 0.13, 0.8, 400), (0.9, 0.6, 0.3, 200)],
)
def test_paired_differences_of_independent_examples(ours, theirs, alike, n):
    """Two models see the same difficulty in a share ``alike`` of the examples."""
    rng = np.random.default_rng(n)
    shared, own = rng.random((TIMES, n)), rng.random((2, TIMES, n))
    same = rng.random((TIMES, n)) < alike
    a = np.where(same, shared, own[0]) < ours
    b = np.where(same, shared, own[1]) < theirs
    estimates = [paired_difference(x, y) for x, y in zip(a, b, strict=True)]
    assert 0.93 <= coverage(estimates, ours - theirs) <= 0.97


@pytest.mark.parametrize(
    ("n", "won", "lost"),
    [(400, 0.02, 0.0), (100, 0.04, 0.01), (400, 0.01, 0.01), (400, 0.015, 0.005), (100, 0.05, 0.05)],
)
def test_paired_differences_of_models_that_rarely_differ(n, won, lost):
    """Near-equal checkpoints, where Student's interval holds the truth in 89 % (Agresti & Min 2005)."""
    rng = np.random.default_rng(n)
    drawn = rng.random((TIMES, n))
    ours, theirs = drawn < 0.5 + won, (drawn < 0.5) | (drawn > 1 - lost)
    estimates = [paired_difference(x, y) for x, y in zip(ours, theirs, strict=True)]
    assert 0.93 <= coverage(estimates, won - lost) <= 0.97


@pytest.mark.parametrize(("ours", "theirs", "groups"), [(0.7, 0.7, 60), (0.8, 0.6, 60), (0.85, 0.45, 150)])
def test_paired_differences_of_examples_that_share_pictures(ours, theirs, groups):
    """The pictures suit one model more than the other, so differences of a picture's examples correlate."""
    rng = np.random.default_rng(groups)
    found, tests = [], []
    for _ in range(TIMES):
        picture = pictures(rng, groups)
        a = rng.random(len(picture)) < chances(rng, ours, 0.3, groups)[picture]
        b = rng.random(len(picture)) < chances(rng, theirs, 0.2, groups)[picture]
        found.append(paired_difference(a, b, picture))
        if ours == theirs:
            tests.append(paired_test(a, b, picture).p)
    assert 0.93 <= coverage(found, ours - theirs) <= 0.97
    if tests:
        assert 0.03 <= np.mean(np.array(tests) < 0.05) <= 0.07
