"""The bench of the training step compares what computes the same, and stops where it does not."""

import pytest
import torch
from bench import retrieval, step
from bench.others import TINY


@pytest.fixture
def one(tmp_path, monkeypatch):
    monkeypatch.delenv("CACR_REFERENCE_DATA", raising=False)
    step.make(tmp_path, pictures=20, width=8)
    return step.Step(tmp_path, TINY, step.recipe_of(tmp_path / "run", candidates=19, negatives=19))


@pytest.mark.slow
def test_a_step_is_timed_against_a_loop_with_the_same_gradients(capsys):
    found = step.main(rounds=2, sizes=TINY, candidates=7, negatives=3)
    assert found["minimum"] > 0 and found["median"] > 0 and 0 < found["gradients"] < step.CLOSE
    assert {name: len(taken) for name, taken in found["seconds"].items()} == {"ours": 2, "loop": 2}
    assert all(0.1 < peak < 4 for peak in found["gibibytes"].values())
    assert "throughput of cacr train / of the loop" in capsys.readouterr().out


def test_a_loop_that_learns_something_else_stops_the_bench(one):
    assert one.check() < step.CLOSE
    one.reg.weight = 2 * one.reg.weight
    with pytest.raises(AssertionError, match="the gradients differ by"):
        one.check()


def test_a_loop_that_mines_something_else_stops_the_bench(one):
    one.trainer.recipe = one.recipe = step.recipe_of(one.recipe.out, candidates=19, negatives=3)
    one.check()
    one.groups[0]["attention_mask"][:, 3:] = 0
    with pytest.raises(AssertionError, match="mine different negatives"):
        one.check()


def test_a_gradient_that_one_side_alone_has_stops_the_bench(one, monkeypatch):
    ours = one.ours

    def without_one():
        ours()
        one.model.uniter.pooler.dense.bias.grad = None

    monkeypatch.setattr(one, "ours", without_one)
    with pytest.raises(AssertionError, match=r"alone has a gradient of .*pooler\.dense\.bias"):
        one.check()


@pytest.mark.slow
def test_the_process_that_measures_memory_fails_in_its_own_words(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)the process of a step \(ours\) failed.*nowhere"):
        step.gibibytes("ours", tmp_path / "nowhere", TINY, {})


def test_made_captions_are_as_long_as_flickr30ks(monkeypatch):
    monkeypatch.delenv("CACR_REFERENCE_DATA", raising=False)
    lengths = torch.tensor([len(caption.split()) for caption in step.captions()]).float()
    assert abs(lengths.mean() - step.MEAN) < 0.3 and abs(lengths.std() - step.DEVIATION) < 0.5


def test_retrieval_makes_its_own_pictures(capsys):
    ratios = retrieval.main(rounds=1, count=2, sizes=TINY)
    assert ratios["ours"] == 1 and ratios["loop"] > 0
    assert ratios["captions"] == 2
    assert "64 pairs a round" in capsys.readouterr().out
