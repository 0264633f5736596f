"""Recall@k counts ties against the model and takes the best of a picture's captions."""

import pytest
import torch

from cacr.benchmarks import Options
from cacr.benchmarks.retrieval import KS, SCENES_RETRIEVAL, chance, right
from cacr.data.ranks import ranks
from cacr.scorers import ConstantScorer


def test_the_true_answer_ranks_first_when_it_scores_highest():
    found = ranks(torch.eye(4), range(4))
    assert all(values.tolist() == [1] * 4 for values in found.values())


def test_a_constant_scorer_ranks_last():
    found = ranks(torch.zeros(6, 3), [0, 0, 1, 1, 2, 2])
    assert found["caption to image"].tolist() == [3] * 6
    assert found["image to caption"].tolist() == [5] * 3


def test_the_best_of_a_pictures_captions_counts():
    match = torch.tensor([[1.0, 0.0], [9.0, 0.0], [5.0, 2.0]])
    assert ranks(match, [0, 0, 1])["image to caption"].tolist() == [1, 1]


def test_nan_counts_against_the_model():
    match = torch.eye(3)
    match[0, 1] = float("nan")
    assert ranks(match, range(3))["caption to image"].tolist() == [2, 1, 1]


def test_agrees_with_sorting():
    match = torch.rand(20, 20, generator=torch.Generator().manual_seed(1))
    order = match.argsort(1, descending=True)
    expected = (order == torch.arange(20)[:, None]).nonzero()[:, 1] + 1
    assert torch.equal(ranks(match, range(20))["caption to image"], expected)


def test_a_random_scorer_lands_on_chance():
    match = torch.rand(400, 20, generator=torch.Generator().manual_seed(2))
    found = ranks(match, [i % 20 for i in range(400)])["caption to image"]
    assert (found == 1).double().mean().item() == pytest.approx(1 / 20, abs=0.025)


def test_a_picture_without_captions_is_named():
    with pytest.raises(ValueError, match="picture 1 has no caption"):
        ranks(torch.zeros(2, 3), [0, 2])


def test_every_query_of_both_directions_leaves_a_record():
    class Constant:
        name = "constant"

        def match(self, captions, pictures):
            return torch.zeros(len(captions))

        def describe(self):
            return {}

    records = SCENES_RETRIEVAL.measure(Constant(), Options(n=4, seed=0))
    assert len(records) == 8
    assert {record["direction"] for record in records} == {"caption to image", "image to caption"}
    assert set(right(records)) == {"R@1"}


@pytest.mark.parametrize(("pictures", "ks"), [(2, (1,)), (6, (1, 5)), (11, KS)])
def test_no_k_is_measured_for_which_every_order_is_right(pictures, ks):
    records = SCENES_RETRIEVAL.measure(ConstantScorer(), Options(n=pictures, seed=0))
    outcomes = right(records)
    assert set(outcomes) == {f"R@{k}" for k in ks}
    assert not any(found.any() for found in outcomes.values())


def test_a_pool_of_one_ranks_nothing():
    with pytest.raises(ValueError, match="no wrong answer to tell from its own"):
        right(SCENES_RETRIEVAL.measure(ConstantScorer(), Options(n=1, seed=0)))


def test_chance_is_what_a_random_order_gets():
    record = {"pool": 10, "own": 3}
    g = torch.Generator().manual_seed(3)
    for k in KS:
        hits = [bool((torch.randperm(10, generator=g)[:k] < 3).any()) for _ in range(4000)]
        assert chance(record)[f"R@{k}"] == pytest.approx(sum(hits) / 4000, abs=0.025)
