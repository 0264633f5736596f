"""Winoground's scores are what its paper defines, ties are wrong, and chance is what a random ranker gets."""

from itertools import permutations

import pytest
import torch

from cacr.benchmarks.winoground import CHANCE, group_match, score


def test_a_perfect_model_scores_all():
    match = torch.eye(2).expand(3, 2, 2)
    assert all(values.all() for values in score(match).values())
    assert group_match(match).all()


def test_a_constant_scorer_scores_nothing():
    match = torch.ones(5, 2, 2)
    assert not any(values.any() for values in score(match).values())
    assert not group_match(match).any()


def test_text_asks_whether_each_image_finds_its_caption():
    prefers_image_0 = torch.tensor([[[3.0, 1.0], [2.0, 2.0]]])
    assert score(prefers_image_0)["text"].item()
    assert not score(prefers_image_0)["image"].item()


def test_image_asks_whether_each_caption_finds_its_image():
    prefers_caption_0 = torch.tensor([[[3.0, 2.0], [1.0, 2.0]]])
    assert score(prefers_caption_0)["image"].item()
    assert not score(prefers_caption_0)["text"].item()


def test_nan_is_wrong():
    match = torch.tensor([[[1.0, float("nan")], [0.0, 1.0]]])
    assert not score(match)["group"].item()
    assert not group_match(match).item()


def test_chance_is_what_a_random_ranker_gets():
    orders = torch.tensor(list(permutations([1.0, 2.0, 3.0, 4.0]))).view(-1, 2, 2)
    for metric, right in score(orders).items():
        assert right.double().mean().item() == pytest.approx(CHANCE[metric])
    random = torch.rand(20_000, 2, 2, generator=torch.Generator().manual_seed(0))
    assert group_match(random).double().mean().item() == pytest.approx(CHANCE["group match"], abs=0.015)


def test_group_match_asks_for_the_best_of_all_matchings():
    match = torch.tensor([[[5.0, 0, 0], [0, 1, 2], [0, 1.5, 1]], [[5.0, 0, 0], [0, 2, 1], [0, 1, 2]]])
    assert group_match(match).tolist() == [False, True]


@pytest.mark.parametrize("shape", [(4, 2), (4, 3, 2), (4, 3, 3)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected \[example, caption=2, image=2\]"):
        score(torch.zeros(shape))


@pytest.mark.parametrize("tied", [(0, 1), (1, 0)])
@pytest.mark.parametrize("own", [(0, 0), (1, 1)])
def test_a_single_tie_is_wrong(tied, own):
    match = torch.tensor([[[2.0, 1.0], [1.0, 3.0]]])
    match[0][tied] = match[0][own]
    metric = "text" if tied[1] == own[1] else "image"
    assert not score(match)[metric].item()
    assert not score(match)["group"].item()
