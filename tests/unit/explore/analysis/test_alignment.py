"""Entropy and accuracies agree with plain loops, and know their extremes."""

import itertools
import math

import pytest
import torch

from cacr.explore.analysis import alignment, argmax_entropy


@pytest.fixture
def cross():
    return torch.rand(4, 6, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64).softmax(-1)


@pytest.fixture
def truth():
    found = torch.rand(6, 5, generator=torch.Generator().manual_seed(2)) > 0.6
    found[2] = False  # a word that names nothing
    assert found.any()
    return found


def looped(cross, truth):
    """One head, without tensors."""
    words = [i for i, row in enumerate(truth.tolist()) if any(row)]
    mean = [sum(row[k] for row in cross) / len(cross) for k in range(len(cross[0]))]
    best = lambda row: max(range(len(row)), key=lambda k: row[k])
    share = lambda values: sum(values) / len(values)
    return {
        "argmax": share([bool(truth[i][best(cross[i])]) for i in words]),
        "soft": share([sum(a for a, t in zip(cross[i], truth[i].tolist(), strict=True) if t) for i in words]),
        "chance": share([share(truth[i].float().tolist()) for i in words]),
        "favorite": share([bool(truth[i][best(mean)]) for i in words]),
        "favorite_soft": share([sum(a for a, t in zip(mean, truth[i].tolist(), strict=True) if t) for i in words]),
        "constant": max(share([bool(truth[i][k]) for i in words]) for k in range(len(mean))),
    }  # fmt: skip


def test_accuracies_are_those_of_a_plain_loop(cross, truth):
    found = alignment(cross, truth)
    for head in range(len(cross)):
        for name, value in looped(cross[head].tolist(), truth).items():
            assert found[name][head].item() == pytest.approx(float(value)), name


def test_entropy_is_that_of_a_plain_loop(cross):
    for head, value in enumerate(argmax_entropy(cross)):
        best = cross[head].argmax(-1).tolist()
        shares = [best.count(k) / len(best) for k in set(best)]
        assert value.item() == pytest.approx(-sum(p * math.log2(p) for p in shares))


def test_words_that_share_a_box_have_no_entropy_and_words_with_a_box_each_have_all():
    assert argmax_entropy(torch.eye(8, dtype=torch.float64)[None]).item() == 3.0
    one = torch.zeros(1, 8, 8, dtype=torch.float64)
    one[..., 3] = 1
    assert str(argmax_entropy(one).item()) == "0.0"  # and not -0.0


def test_perfect_alignment_is_one():
    truth = torch.eye(4) > 0
    found = alignment(torch.eye(4, dtype=torch.float64)[None], truth)
    assert found["argmax"].item() == found["soft"].item() == 1
    assert found["chance"].item() == found["constant"].item() == 0.25
    assert found["favorite"].item() == 0  # all regions tie in the mean


def test_uniform_attention_is_at_chance_and_its_ties_are_wrong(truth):
    found = alignment(torch.full((1, 6, 5), 0.2, dtype=torch.float64), truth)
    assert found["soft"].item() == pytest.approx(found["chance"].item())
    assert found["favorite_soft"].item() == pytest.approx(found["chance"].item())
    assert found["argmax"].item() == found["favorite"].item() == 0


def test_a_tie_between_two_true_regions_is_right():
    cross = torch.tensor([[[0.4, 0.4, 0.2]]]).double()
    assert alignment(cross, torch.tensor([[True, True, False]]))["argmax"].item() == 1
    assert alignment(cross, torch.tensor([[True, False, False]]))["argmax"].item() == 0


def test_a_favorite_box_is_no_better_than_the_best_constant():
    cross = torch.tensor([0.1, 0.7, 0.2]).double().expand(1, 3, 3)
    truth = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 1, 0]]) > 0
    found = alignment(cross, truth)
    assert (
        found["argmax"].item() == found["favorite"].item() == found["constant"].item() == pytest.approx(2 / 3)
    )
    assert found["soft"].item() == pytest.approx(found["favorite_soft"].item())


def test_where_everything_is_true_nothing_can_be_wrong(cross):
    found = alignment(cross, torch.ones(6, 5) > 0)
    assert all(
        torch.equal(value, torch.ones(4).double()) for name, value in found.items() if "soft" not in name
    )


def test_without_a_naming_word_accuracies_are_undefined(cross):
    assert all(value.isnan().all() for value in alignment(cross, torch.zeros(6, 5) > 0).values())


def test_equal_histograms_have_one_entropy_to_the_last_bit_in_whatever_order_of_columns():
    for counts in ((4, 3, 1, 1, 0, 0), (3, 2, 2, 1, 1, 0)):
        orders = sorted(set(itertools.permutations(counts)))
        best = torch.tensor([[k for k, count in enumerate(order) for _ in range(count)] for order in orders])
        found = argmax_entropy(torch.nn.functional.one_hot(best, len(counts)).double())
        assert len(orders) > 100 and len(set(found.tolist())) == 1
