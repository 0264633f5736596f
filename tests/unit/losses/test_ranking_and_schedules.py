"""The ranking loss, the choice of negatives and the schedules do what their formulas say."""

import math

import pytest
import torch
from torch.testing import assert_close

from cacr.losses import hardest_negatives, ranking_loss, schedule_weight


def test_is_zero_when_the_true_pair_leads_by_the_margin():
    assert ranking_loss(torch.tensor([[10.0, -10.0, -9.0]])) == 0


def test_is_the_margin_when_the_model_cannot_tell():
    assert_close(ranking_loss(torch.zeros(3, 5), margin=0.2), torch.tensor(0.2))


def test_the_hardest_negatives_are_the_best_matching_wrong_ones():
    match = torch.tensor([[9.0, 1.0, 4.0, 2.0, 3.0], [0.0, 5.0, 1.0, 7.0, 6.0]])
    assert hardest_negatives(match, 3).tolist() == [[2, 4, 3], [3, 4, 1]]


def test_one_negative_is_enough():
    assert_close(ranking_loss(torch.zeros(3, 2), margin=0.1), torch.tensor(0.1))
    assert hardest_negatives(torch.tensor([[1.0, 3.0, 2.0]]), 1).tolist() == [[1]]
    assert hardest_negatives(torch.tensor([[1.0, 3.0, 2.0]]), 2).tolist() == [[1, 2]]


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single_and_double_stays(half):
    match = torch.tensor([[0.3, 0.2, -1.0]])
    rounded = ranking_loss(match.to(half))
    assert rounded.dtype == torch.float32
    assert_close(rounded, ranking_loss(match.to(half).float()), rtol=0, atol=0)
    assert ranking_loss(match.double()).dtype == torch.float64


def test_each_negative_has_its_own_loss_where_they_are_not_reduced():
    each = ranking_loss(torch.tensor([[0.0, 0.0, -9.0], [0.0, 9.0, 0.0]]), margin=0.2, reduce="none")
    assert_close(each, torch.tensor([[0.2, 0.0], [0.2 + 0.49988, 0.2]]), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="unknown reduce 'sum'. Known: mean, none"):
        ranking_loss(torch.zeros(2, 3), reduce="sum")


def test_more_negatives_than_there_are_is_refused():
    with pytest.raises(ValueError, match="asked for 5 hardest negatives of 4"):
        hardest_negatives(torch.zeros(2, 5), 5)


def test_a_group_without_negatives_is_refused():
    with pytest.raises(ValueError, match="one negative at least"):
        ranking_loss(torch.zeros(2, 1))


@pytest.mark.parametrize(
    ("kind", "start", "end"),
    [("exp", math.exp(-5), 1), ("linear", 0, 1), ("log", 0, 1 - math.exp(-5)), ("constant", 1, 1)],
)
def test_a_schedule_starts_and_ends_where_its_formula_says(kind, start, end):
    assert schedule_weight(0, 100, kind) == pytest.approx(start)
    assert schedule_weight(100, 100, kind) == pytest.approx(end)


@pytest.mark.parametrize(
    ("kind", "half"), [("exp", math.exp(-1)), ("linear", 0.5), ("log", 1 - math.exp(-1)), ("constant", 1)]
)
def test_a_schedule_is_its_formula_half_way(kind, half):
    assert schedule_weight(50, 100, kind, rate=2.0) == pytest.approx(half)


def test_a_run_of_one_step_has_a_schedule_and_one_of_none_has_not():
    assert schedule_weight(1, 1) == 1
    with pytest.raises(ValueError, match="step 0 of 0"):
        schedule_weight(0, 0)
    with pytest.raises(ValueError, match="step -1 of 10"):
        schedule_weight(-1, 10)


@pytest.mark.parametrize("rate", [-0.1, math.inf, math.nan])
def test_a_steepness_below_0_or_without_end_is_refused(rate):
    assert schedule_weight(5, 10, "exp", rate=0.0) == 1
    with pytest.raises(ValueError, match="expected a steepness of 0 or more"):
        schedule_weight(5, 10, "exp", rate=rate)


def test_an_unknown_schedule_gets_a_sentence():
    with pytest.raises(ValueError, match="unknown schedule 'expo'. Did you mean 'exp'"):
        schedule_weight(0, 1, "expo")


def test_a_step_past_the_end_is_refused():
    with pytest.raises(ValueError, match="step 11 of 10"):
        schedule_weight(11, 10)
