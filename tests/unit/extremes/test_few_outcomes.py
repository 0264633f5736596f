"""Statistics of one example, of all right and none right, and of values that are no numbers."""

import math

import numpy as np
import pytest
import torch

from cacr.benchmarks.calibration import answers
from cacr.benchmarks.outcomes import first_caption, two_by_two
from cacr.data.ranks import ranks
from cacr.statistics import crossed, mean, paired_difference, proportion, wilson

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(("right", "value"), [([1], 1.0), ([0], 0.0), ([1] * 50, 1.0), ([0] * 50, 0.0)])
def test_one_example_and_all_alike_have_wilsons_interval(right, value):
    found, z2, n = proportion(right), 1.959963984540054**2, len(right)
    width = z2 / (n + z2)  # Wilson's, at a share of 0 or 1
    assert found.value == value
    assert (found.low, found.high) == pytest.approx((1 - width, 1.0) if value else (0.0, width))


def test_one_example_of_several_seeds_has_no_interval():
    found = crossed([[1], [0]])
    assert found.value == 0.5 and math.isnan(found.low) and math.isnan(found.high) and not found.resolved


@pytest.mark.parametrize("ours", [[1], [1] * 30])
def test_a_difference_that_never_varies_is_not_resolved(ours):
    found = paired_difference(ours, [0] * len(ours))
    assert found.value == 1 and math.isnan(found.low) and not found.resolved


def test_no_example_has_no_value():
    assert math.isnan(proportion([]).value)
    for function in (crossed, mean):
        with pytest.raises(ValueError, match="one of each at least"):
            function([])
    with pytest.raises(ValueError, match="of one draw at least"):
        wilson(0.5, 0)


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_outcomes_that_are_not_finite_are_refused(value):
    for function in (proportion, mean, lambda x: paired_difference(x, [1, 1]), lambda x: crossed([x])):
        with pytest.raises(ValueError, match="not finite|an outcome is"):
            function([value, 1])


def test_outcomes_whose_squares_overflow_are_refused():
    with pytest.raises(
        ValueError, match=r"outcomes reach 1e\+308; expected numbers whose squares can be summed"
    ):
        mean([1e308, 1e308, -1e308])


def test_denormal_outcomes_are_averaged():
    assert mean([3e-320, 6e-320]).value == pytest.approx(4.5e-320, rel=1e-3)


@pytest.mark.parametrize("value", [NAN, INF])
@pytest.mark.parametrize("kind", ["first caption", "two by two", "labelled"])
def test_a_match_without_a_margin_is_named(kind, value):
    match = {
        "first caption": [[1.0], [value]],
        "two by two": [[1.0, value], [0.0, 1.0]],
        "labelled": [[value]],
    }[kind]
    with pytest.raises(ValueError, match="the record 7 has a match that is no number or infinite"):
        answers([{"example": 7, "match": match, "label": 1}], kind)


def test_ties_and_matches_that_are_no_numbers_are_wrong_and_never_right():
    equal, broken = [[1.0, 1.0], [1.0, 1.0]], [[NAN, NAN], [NAN, NAN]]
    found = two_by_two([{"example": 0, "match": equal}, {"example": 1, "match": broken}])
    assert not any(values.any() for values in found.values())
    assert not first_caption([{"match": [[NAN], [0.0]]}, {"match": [[0.0], [NAN]]}])["accuracy"].any()
    last = ranks(torch.full((3, 3), NAN), [0, 1, 2])
    assert all((rank == 3).all() for rank in last.values())


def test_infinite_matches_keep_their_order():
    found = two_by_two([{"example": 0, "match": [[INF, -INF], [0.0, 1.0]]}])
    assert np.concatenate([found["text"], found["image"]]).all()
