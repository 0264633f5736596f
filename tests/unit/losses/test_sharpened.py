"""Sharpened cross attention lies between soft and argmax; losses of each head are the mean of single heads."""

from dataclasses import replace

import pytest
import torch
from tests.conftest import random_query_key
from torch.testing import assert_close

from cacr import AttentionBlocks, cacr_loss, flatness_loss
from cacr.losses import LOSSES, attention_loss, comparison
from cacr.losses.congruence import project, sharpened
from cacr.losses.divergence import log_softmax, symmetric_kl


@pytest.fixture
def blocks():
    return AttentionBlocks.from_query_key(*random_query_key())


def test_that_the_vision_loss_fades_is_said_once_beyond_100_regions(monkeypatch, caplog):
    monkeypatch.setattr(comparison, "_SAID", [])

    def said(regions, direction="vision", **choices):
        caplog.clear()
        cacr_loss(
            AttentionBlocks.from_query_key(*random_query_key(text=2, regions=regions)), direction, **choices
        )
        return [record.getMessage() for record in caplog.records]

    assert not said(100) and not said(101, "language") and not said(101, normalize="rows")
    (message,) = said(101)
    assert "and here are 101." in message
    assert not said(102)


def loop(own, other, cross, mask, other_mask, exponent):
    """Rows of own and projected attention, divided by their sums, compared word by word: plain numbers."""
    total = 0.0
    for b in range(len(own)):
        rows = [i for i in range(own.shape[1]) if mask[b, i]]
        regions = [k for k in range(other.shape[1]) if other_mask[b, k]]
        powers = {i: [float(cross[b, i, k]) ** exponent for k in regions] for i in rows}
        weights = {i: [x / sum(powers[i]) for x in powers[i]] for i in rows}
        seen = {
            (i, j): sum(
                weights[i][m] * float(other[b, k, n]) * weights[j][o]
                for m, k in enumerate(regions)
                for o, n in enumerate(regions)
            )
            for i in rows
            for j in rows
        }
        per_row = 0.0
        for i in rows:
            p = [float(own[b, i, j]) for j in rows]
            q = [seen[i, j] for j in rows]
            p, q = [x / sum(p) for x in p], [x / sum(q) for x in q]
            per_row += sum(
                (x - y) * (torch.tensor(x).log() - torch.tensor(y).log()) for x, y in zip(p, q, strict=True)
            )
        total += per_row / len(rows)
    return total / len(own)


@pytest.mark.parametrize("exponent", [0.5, 2.0, 4.0])
def test_agrees_with_a_loop_over_words_and_regions(blocks, exponent):
    by_loop = loop(blocks.ll, blocks.vv, blocks.lv, blocks.text_mask, blocks.region_mask, exponent)
    closed = cacr_loss(blocks, "language", normalize="rows", sharpen=exponent)
    assert float(closed) == pytest.approx(float(by_loop), rel=1e-6)
    mirror = loop(blocks.vv, blocks.ll, blocks.vl, blocks.region_mask, blocks.text_mask, exponent)
    assert float(cacr_loss(blocks, normalize="rows", sharpen=exponent)) == pytest.approx(
        float(by_loop + mirror), rel=1e-6
    )


def test_cacr_sharp_is_the_fourth_power(blocks):
    assert attention_loss("cacr-sharp")(blocks) == cacr_loss(blocks, normalize="rows", sharpen=4.0)
    assert attention_loss("cacr-sharp")(blocks) != attention_loss("cacr-rows")(blocks)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_exponent_of_one_leaves_the_cross_attention_as_it_is(dtype):
    blocks = AttentionBlocks.from_query_key(*random_query_key(dtype=dtype))
    plain = symmetric_kl(
        log_softmax(blocks.ll, blocks.text_mask),
        log_softmax(project(blocks.vv, blocks.lv), blocks.text_mask),
        blocks.text_mask,
    ).mean()
    assert_close(cacr_loss(blocks, "language", sharpen=1.0), plain)
    assert torch.equal(cacr_loss(blocks, "language", sharpen=1.0), cacr_loss(blocks, "language"))


def test_a_large_exponent_looks_each_word_up_at_its_argmax(blocks):
    best = torch.nn.functional.one_hot(blocks.lv.argmax(-1), blocks.lv.shape[-1]).double()
    best = best * blocks.text_mask[..., None]
    assert_close(sharpened(blocks.lv, 1e4), best)
    b, i, j = 0, 1, 2
    hard = blocks.vv[b, blocks.lv[b, i].argmax(), blocks.lv[b, j].argmax()]  # what IAIS reads: S_VV[i*, j*]
    assert_close(project(blocks.vv, sharpened(blocks.lv, 1e4))[b, i, j], hard)


def test_rows_sum_to_one_and_padding_stays_zero(blocks):
    sharp = sharpened(blocks.lv, 4.0)
    assert_close(sharp.sum(-1), blocks.text_mask.double())
    assert (sharp[blocks.lv == 0] == 0).all()


@pytest.mark.parametrize("exponent", [0.25, 4.0, 1e4])
def test_tiny_attention_and_rows_of_padding_give_finite_gradients(exponent):
    cross = torch.tensor([[1e-30, 2e-30, 0.0], [0.0, 0.0, 0.0], [1e-38, 1e-8, 1.0]], requires_grad=True)
    sharp = sharpened(cross, exponent)
    (sharp * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert sharp.isfinite().all() and cross.grad.isfinite().all()
    assert_close(sharp.sum(-1), torch.tensor([1.0, 0.0, 1.0]))
    if exponent == 4:
        assert_close(sharp[0], torch.tensor([1 / 17, 16 / 17, 0]))  # though 1e-30 to the power of 4 is 0


def test_scores_cannot_be_sharpened():
    scores = AttentionBlocks.from_query_key(*random_query_key(), space="scores")
    with pytest.raises(ValueError, match=r"sharpen=2.0 needs probabilities"):
        cacr_loss(scores, sharpen=2.0)


@pytest.mark.parametrize(
    ("name", "single"),
    [("cacr-rows-heads", lambda b: cacr_loss(b, normalize="rows")), ("flat-heads", flatness_loss)],
)
def test_the_loss_of_each_head_is_the_mean_of_single_heads(name, single):
    loss = LOSSES[name]
    assert (loss.heads, loss.space) == ("each", "probabilities")
    heads = AttentionBlocks.from_query_key(*random_query_key(heads=3), heads="each")
    by_head = [
        single(replace(heads, **{part: getattr(heads, part)[:, h] for part in ("ll", "lv", "vl", "vv")}))
        for h in range(3)
    ]
    assert_close(loss(heads), torch.stack(by_head).mean())
    mean = AttentionBlocks.from_query_key(*random_query_key(heads=3))
    assert abs(float(loss(heads) - single(mean))) > 1e-3  # and not the loss of the mean over heads
