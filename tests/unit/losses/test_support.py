"""Losses compare causal attention on what the model may see, and nothing else."""

from dataclasses import replace

import pytest
import torch
from tests.conftest import random_query_key
from torch.testing import assert_close

from cacr import AttentionBlocks, cacr_loss, flatness_loss, soft_equivalence_loss
from cacr.attention.cut import Captured, cut
from cacr.losses import attention_loss

CAUSAL = ("ll", "lv", "vv")


def causal_blocks(space="probabilities", heads="mean"):
    """A causal layer over [regions | text]: two examples, the second one shorter."""
    query, key, text, region = random_query_key()
    order = torch.cat([torch.arange(6, 13), torch.arange(1, 6)])  # regions first
    query, key, text, region = query[:, :, order], key[:, :, order], text[:, order], region[:, order]
    call = Captured(query, key, query.shape[-1] ** -0.5, causal=True)
    return AttentionBlocks(**cut(dict.fromkeys(CAUSAL, call), text, region, space, heads))


def test_attention_is_normalized_over_what_may_be_seen():
    blocks = causal_blocks()
    assert blocks.vl is None
    assert_close(blocks.ll.sum(-1), blocks.text_mask.to(blocks.ll.dtype))
    assert (blocks.ll.triu(1) == 0).all() and (blocks.vv.triu(1) == 0).all()
    assert torch.equal(blocks.ll_support[0], torch.ones(5, 5, dtype=torch.bool).tril())
    assert not blocks.ll_support[1, 4].any()  # padding


@pytest.mark.parametrize("rows", ["mean", "sum"])
@pytest.mark.parametrize("normalize", ["softmax", "rows"])
def test_agrees_with_the_loops(normalize, rows):
    blocks = causal_blocks()
    closed = cacr_loss(blocks, "language", normalize=normalize, rows=rows)
    assert closed > 0
    assert_close(closed, soft_equivalence_loss(blocks, "language", normalize=normalize, rows=rows))


def test_agrees_with_the_loops_on_scores():
    scores = causal_blocks("scores", "each")
    assert_close(cacr_loss(scores, "language", variant="paper"), soft_equivalence_loss(scores, "language"))


def test_a_full_support_changes_nothing(blocks):
    ones = replace(
        blocks,
        ll_support=torch.ones_like(blocks.ll, dtype=torch.bool),
        vv_support=torch.ones_like(blocks.vv, dtype=torch.bool),
    )
    for loss in ("cacr", "cacr-rows", "iais-singular", "iais-distributed", "flat"):
        assert_close(attention_loss(loss)(ones), attention_loss(loss)(blocks))


def test_what_is_uniform_over_the_triangle_is_flat():
    blocks = causal_blocks()
    triangle = blocks.ll_support.double()
    uniform = replace(blocks, ll=triangle / triangle.sum(-1, keepdim=True).clamp_min(1))
    assert flatness_loss(uniform, "language") == pytest.approx(0, abs=1e-12)
    assert flatness_loss(blocks, "language") > 1e-3


@pytest.mark.parametrize("loss", ["cacr", "cacr-rows", "iais-singular", "flat"])
def test_what_lies_outside_the_support_does_not_count(loss):
    blocks = causal_blocks()
    outside = ~blocks.ll_support
    changed = replace(blocks, ll=blocks.ll.masked_fill(outside, 0.3))
    assert_close(attention_loss(loss)(changed, "language"), attention_loss(loss)(blocks, "language"))


@pytest.mark.parametrize("loss", ["cacr", "cacr-rows", "iais-singular", "flat"])
def test_gradients_are_finite(loss):
    blocks = causal_blocks()
    leaves = {name: getattr(blocks, name).detach().clone().requires_grad_() for name in ("ll", "vv")}
    attention_loss(loss)(replace(blocks, **leaves), "language").backward()
    assert leaves["ll"].grad.isfinite().all() and leaves["ll"].grad.abs().sum() > 0


def test_a_support_of_the_wrong_shape_is_refused(blocks):
    with pytest.raises(
        ValueError, match=r"ll_support is torch.bool of shape \(2, 3, 3\); expected bool of \(2, 5, 5\)"
    ):
        replace(blocks, ll_support=torch.ones(2, 3, 3, dtype=torch.bool))


def test_an_incomplete_cross_block_is_refused():
    query, key, text, region = random_query_key()  # text first: in a causal layer it sees no region
    call = Captured(query, key, 1.0, causal=True)
    with pytest.raises(ValueError, match="hides 100% of the regions from the words, so S_LV is incomplete"):
        cut(dict.fromkeys(CAUSAL, call), text, region, "probabilities", "mean")


def test_some_examples_of_blocks_are_blocks():
    blocks = causal_blocks()
    second = blocks[1:]
    assert len(second) == 1 and torch.equal(second.ll[0], blocks.ll[1])
    assert torch.equal(second.ll_support[0], blocks.ll_support[1])
