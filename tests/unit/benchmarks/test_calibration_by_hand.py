"""The calibration's numbers are its formulas, written out a second time with loops over answers and resamples."""

import math

import numpy as np
import pytest
from scipy import optimize, special, stats

from cacr.benchmarks.calibration import BINS, RESAMPLES, answers, calibration

MARGINS = np.array([0.3, -1.2, 2.1, 0.9, 1.7, -0.4, 3.0, 0.1, 1.1, 2.6, -2.0, 0.6])
TRUE = np.array([1, 0, 1, 0, 1, 1, 1, 0, 1, 1, 0, 0])
PICTURES = np.array([4, 4, 0, 1, 1, 1, 2, 2, 3, 5, 5, 5])


def temperature(margins, true, weights):
    signed = np.where(true == 1, margins, -margins)
    loss = lambda log_t: sum(
        w * np.logaddexp(0, -s / math.exp(log_t)) for w, s in zip(weights, signed, strict=True)
    )
    return math.exp(
        optimize.minimize_scalar(loss, bounds=(math.log(1e-3), math.log(1e3)), method="bounded").x
    )


def gaps(claimed, true, weights, bins):
    """Bins of equal weight from the least to the most sure; an answer is in the bin of its middle."""
    found, so_far = [0.0] * bins, 0.0
    for i in sorted(range(len(claimed)), key=lambda i: claimed[i]):
        bin = min(int((so_far + weights[i] / 2) * bins / sum(weights)), bins - 1)
        found[bin] += (claimed[i] - true[i]) * weights[i] / sum(weights)
        so_far += weights[i]
    return np.array(found)


def error_bounds(seen, drawn, level):
    noise = drawn - seen
    smaller = np.sign(seen) * np.maximum(np.abs(seen) - noise.std(0), 0)
    most = [np.abs(smaller + one).sum() - np.abs(smaller).sum() for one in noise]
    least = [np.abs(one).sum() - np.abs(seen).sum() for one in drawn]
    value = np.abs(seen).sum()
    low = max(0.0, value - np.quantile(most, (1 + level) / 2))
    return min(value, low), max(value, value - np.quantile(least, (1 - level) / 2))


@pytest.mark.parametrize(("bins", "level", "seed"), [(3, 0.95, 0), (4, 0.8, 1), (1, 0.5, 2)])
def test_calibration_is_its_bootstrap_written_as_loops(bins, level, seed):
    found = calibration(MARGINS, TRUE, PICTURES, bins=bins, resamples=40, seed=seed, level=level)
    rng = np.random.default_rng(seed)
    claimed, tempered = special.expit(MARGINS), np.zeros(12)
    half = rng.permutation(6) % 2
    for i in range(12):
        other = half[PICTURES] != half[PICTURES[i]]
        tempered[i] = special.expit(MARGINS[i] / temperature(MARGINS[other], TRUE[other], [1] * other.sum()))
    briers, temperatures, drawn, drawn_after = [], [], [], []
    for _ in range(40):
        picked = rng.integers(6, size=6)
        weights = np.array([(picked == picture).sum() for picture in PICTURES])
        briers.append((weights * (claimed - TRUE) ** 2).sum() / weights.sum())
        temperatures.append(temperature(MARGINS, TRUE, weights))
        drawn.append(gaps(claimed, TRUE, weights, bins))
        drawn_after.append(gaps(tempered, TRUE, weights, bins))
    brier, ones = ((claimed - TRUE) ** 2).mean(), [1] * 12
    low, high = np.quantile(briers, [(1 - level) / 2, (1 + level) / 2])
    assert (found.brier.value, found.brier.low, found.brier.high) == pytest.approx((brier, low, high))
    for estimate, values, more in ((found.error, claimed, drawn), (found.error_after, tempered, drawn_after)):
        seen = gaps(values, TRUE, ones, bins)
        bounds = error_bounds(seen, np.array(more), level)
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx(
            (np.abs(seen).sum(), *bounds), abs=1e-4
        )
        assert estimate.method == f"bootstrap over clusters, {bins} bins of equal count"
    t = temperature(MARGINS, TRUE, ones)
    reach = stats.norm.ppf((1 + level) / 2) * np.log(temperatures).std()
    expected = t, t * math.exp(-reach), t * math.exp(reach)
    assert (found.temperature.value, found.temperature.low, found.temperature.high) == pytest.approx(
        expected, rel=2e-3
    )
    assert {one.n for one in (found.brier, found.error, found.temperature, found.error_after)} == {12}
    assert found.brier.method == "bootstrap over clusters"
    assert found.temperature.method == "bootstrap over clusters, of the logarithm"


def test_bins_say_their_mean_claim_share_and_count():
    found = calibration(MARGINS, TRUE, bins=3, resamples=2).bins
    order = np.argsort(MARGINS)
    for bin, some in zip(found, (order[:4], order[4:8], order[8:]), strict=True):
        assert bin.claimed == pytest.approx(special.expit(MARGINS[some]).mean())
        assert (bin.true, bin.n) == (TRUE[some].mean(), 4)


def test_what_is_not_given_is_ten_bins_and_a_thousand_resamples():
    margins, true = np.tile(MARGINS, 2), np.tile(TRUE, 2)
    given = calibration(margins, true, bins=10, resamples=1000, seed=0, level=0.95)
    assert (BINS, RESAMPLES) == (10, 1000)
    assert calibration(margins, true) == given
    assert calibration(margins, true, np.arange(24)) == given


def test_as_many_bins_as_answers_are_taken_and_none_are_not():
    assert [one.n for one in calibration([1.0, 2.0], [1, 0], bins=2, resamples=2).bins] == [1, 1]
    with pytest.raises(ValueError, match="0 bins for 2 answers; expected 1 to 2"):
        calibration([1.0, 2.0], [1, 0], bins=0)


def test_one_cluster_has_values_without_intervals_and_is_not_halved():
    found = calibration(MARGINS, TRUE, ["x"] * 12, bins=3)
    usual = calibration(MARGINS, TRUE, PICTURES, bins=3, resamples=2)
    for one, other in ((found.brier, usual.brier), (found.error, usual.error)):
        assert one.value == other.value
    assert found.temperature.value == usual.temperature.value
    for one in (found.brier, found.error, found.temperature):
        assert math.isnan(one.low) and math.isnan(one.high) and one.method == "one cluster" and one.n == 12
    after = found.error_after
    assert np.isnan([after.value, after.low, after.high]).all() and after.n == 12
    assert after.method == "one cluster cannot be halved"


@pytest.mark.parametrize(("true", "bound"), [([1, 1, 1, 1], 1e-3), ([0, 0, 0, 0], 1e3)])
def test_where_no_outcome_contradicts_the_margins_the_temperature_is_at_its_bound(true, bound):
    found = calibration([1.0, 2.0, 0.5, 1.5], true, bins=1, resamples=2).temperature.value
    assert found == pytest.approx(bound, rel=0.01)


def test_a_tie_is_no_answer_that_holds():
    found = answers([{"example": "a", "match": [[1.0, 0.5], [1.0, 2.0]]}], "two by two")
    assert sorted(zip(found.margins, found.true, strict=True)) == [
        (0, False),
        (0.5, True),
        (1, True),
        (1.5, True),
    ]
    assert found.clusters.tolist() == ["a"] * 4


def test_the_threshold_is_0_if_none_is_given_and_labels_are_true_or_false():
    records = [
        {"example": "a", "match": [[0.4]], "label": True},
        {"example": "b", "match": [[0.1]], "label": False},
    ]
    found = answers(records, "labelled")
    assert found.margins.tolist() == [0.4, 0.1] and found.true.tolist() == [True, False]
    assert found.clusters.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        ({"match": [[1.0]]}, "first caption"),
        ({"match": [1.0, 2.0]}, "first caption"),
        ({"match": [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]}, "two by two"),
        ({"match": [[1.0]], "label": 2}, "labelled"),
        ({"match": [[1.0, 2.0]], "label": 1}, "labelled"),
        ({}, "two by two"),
    ],
)
def test_a_record_of_another_shape_is_refused(record, kind):
    with pytest.raises(ValueError, match="expected a record of the kind"):
        answers([{"example": "a"} | record], kind)


@pytest.mark.parametrize(
    ("margins", "true", "clusters", "message"),
    [
        ([1.0, 2.0], [1, 0], ["a"], r"shapes \(2,\), \(2,\) and \(1,\)"),
        ([[1.0, 2.0]], [[1, 0]], [["a", "b"]], "expected one of each"),
        ([1.0, 2.0], [1, 0.5], None, "outcomes that are true or false"),
        ([1.0, math.nan], [1, 0], None, "expected finite margins"),
    ],
)
def test_answers_clusters_and_outcomes_have_to_fit(margins, true, clusters, message):
    with pytest.raises(ValueError, match=message):
        calibration(margins, true, clusters)
