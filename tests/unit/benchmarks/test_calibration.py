"""Claimed probabilities are held against what happens, and the temperature that repairs them is found."""

import math

import numpy as np
import pytest
from scipy import special

from cacr.benchmarks.calibration import answers, calibration


def world(seed=0, groups=300, each=4, overconfident=1.0):
    """Margins that claim ``overconfident`` times what is true; examples of a picture are alike."""
    rng = np.random.default_rng(seed)
    picture = np.repeat(np.arange(groups), each)
    honest = rng.normal(0, 1, groups)[picture] + rng.normal(1, 1, groups * each)
    return overconfident * honest, rng.random(groups * each) < special.expit(honest), picture


def test_the_brier_score_is_the_mean_squared_error_of_the_probability():
    found = calibration([0.0, math.log(3)], [True, False], bins=1, resamples=10)
    assert found.brier.value == pytest.approx((0.5**2 + 0.75**2) / 2)
    assert found.error.value == pytest.approx((0.5 + 0.75) / 2 - 0.5)


def test_bins_hold_equally_many_answers_and_say_what_is_claimed_and_true():
    margins, true, _ = world(groups=25)
    bins = calibration(margins, true, bins=10, resamples=10).bins
    assert {one.n for one in bins} == {10}
    assert [one.claimed for one in bins] == sorted(one.claimed for one in bins)
    order = np.argsort(margins)[:10]
    assert bins[0].claimed == pytest.approx(special.expit(margins[order]).mean())
    assert bins[0].true == pytest.approx(true[order].mean())


def test_an_overconfident_model_is_found_out_and_repaired():
    found = calibration(*world(overconfident=2), resamples=200)
    assert found.temperature.low < 2 < found.temperature.high
    assert found.temperature.low > 1.5
    assert found.error.low > 0.04
    assert found.error_after.value < found.error.value / 2


def test_a_calibrated_model_is_not_accused():
    found = [calibration(*world(seed, groups=100), resamples=100) for seed in range(30)]
    assert min(one.error.value for one in found) > 0.01  # the plain error is never 0
    assert np.mean([one.error.low == 0 for one in found]) >= 0.85
    assert np.mean([one.temperature.low < 1 < one.temperature.high for one in found]) >= 0.8


def test_the_temperature_comes_from_the_other_half():
    """One picture is always right, the other always wrong: what is learnt from one misleads on the other."""
    found = calibration([2.0] * 20, [True] * 10 + [False] * 10, [0] * 10 + [1] * 10, bins=2, resamples=10)
    assert found.error_after.value == pytest.approx((0.5 + 1) / 2, abs=0.01)


def test_the_interval_of_the_calibration_error_covers_the_truth():
    rng = np.random.default_rng(0)
    honest = rng.normal(1, np.sqrt(2), 200_000)
    claimed = np.sort(special.expit(2 * honest))
    gap = claimed - special.expit(special.logit(claimed) / 2)
    truth = np.abs(gap.reshape(10, -1).mean(1)).mean()
    covered = []
    for seed in range(40):
        error = calibration(*world(seed, groups=100, overconfident=2), resamples=100, seed=seed).error
        covered.append(error.low <= truth <= error.high)
    assert np.mean(covered) >= 0.85


def test_the_same_seed_gives_the_same_intervals():
    margins, true, picture = world(groups=30)
    first, again = (calibration(margins, true, picture, resamples=50, seed=3) for _ in range(2))
    assert first == again
    assert first.brier != calibration(margins, true, picture, resamples=50, seed=4).brier


def test_pictures_are_resampled_whole():
    margins, true, _ = world(groups=100, each=1)
    once = calibration(margins, true, resamples=300).brier
    tenfold = [np.repeat(x, 10) for x in (margins, true, np.arange(100))]
    again = calibration(*tenfold, resamples=300).brier
    assert again.high - again.low == pytest.approx(once.high - once.low, rel=0.15)


def test_few_answers_have_as_many_bins():
    assert len(calibration([1.0, 2.0, 3.0], [True, False, True], resamples=10).bins) == 3
    with pytest.raises(ValueError, match="10 bins for 3 answers; expected 1 to 3"):
        calibration([1.0, 2.0, 3.0], [True, False, True], bins=10)


def test_one_picture_gives_no_interval():
    found = calibration([1.0, 2.0], [True, True], ["x", "x"], bins=1)
    assert found.brier.value > 0
    assert np.isnan([found.brier.low, found.error.low, found.temperature.low, found.error_after.value]).all()


def test_the_chosen_caption_is_claimed_with_the_lead_it_has():
    records = [
        {"example": "a", "cluster": "p", "match": [[2.0], [0.5], [3.0]]},
        {"example": "b", "match": [[1.0], [1.0]]},
    ]
    found = answers(records, "first caption")
    assert found.margins.tolist() == [1.5, 1.0, 0.0]
    assert found.true.tolist() == [True, False, False]
    assert found.clusters.tolist() == ["p", "p", "b"]


def test_two_captions_and_two_pictures_are_four_comparisons():
    found = answers([{"example": "a", "match": [[5.0, 1.0], [2.0, 4.0]]}], "two by two")
    assert sorted(found.margins.tolist()) == [2.0, 3.0, 3.0, 4.0]
    assert found.true.all()
    wrong = answers([{"example": "a", "match": [[0.0, 1.0], [2.0, 4.0]]}], "two by two")
    assert sorted(zip(wrong.margins.tolist(), wrong.true.tolist(), strict=True)) == [
        (1.0, False),  # caption 0 prefers picture 1
        (2.0, False),  # picture 0 prefers caption 1
        (2.0, True),
        (3.0, True),
    ]


def test_a_labelled_caption_is_held_against_the_threshold():
    records = [
        {"example": str(i), "match": [[m]], "label": y} for i, (m, y) in enumerate([(2.0, 1), (-1.0, 0)])
    ]
    found = answers(records, "labelled", threshold=0.5)
    assert found.margins.tolist() == [1.5, -1.5]
    assert found.true.tolist() == [True, False]


def test_records_of_another_kind_are_named():
    with pytest.raises(ValueError, match=r"the record a has matches of shape \(1, 1\) and label None"):
        answers([{"example": "a", "match": [[1.0]]}], "labelled")
    with pytest.raises(ValueError, match="unknown kind of records 'two'"):
        answers([], "two")


@pytest.mark.parametrize(
    ("margins", "true", "message"),
    [
        ([], [], "an answer at least"),
        ([1.0, 2.0], [True], "expected one of each"),
        ([math.inf], [True], "expected finite margins"),
        ([1.0], [0.5], "true or false"),
    ],
)
def test_answers_that_do_not_fit_are_refused(margins, true, message):
    with pytest.raises(ValueError, match=message):
        calibration(margins, true)
