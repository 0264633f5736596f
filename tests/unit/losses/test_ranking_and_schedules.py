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


def test_an_unknown_schedule_gets_a_sentence():
    with pytest.raises(ValueError, match="unknown schedule 'expo'. Did you mean 'exp'"):
        schedule_weight(0, 1, "expo")


def test_a_step_past_the_end_is_refused():
    with pytest.raises(ValueError, match="step 11 of 10"):
        schedule_weight(11, 10)
