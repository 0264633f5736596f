"""Blocks whose S_VV is left as queries and keys hold what whole blocks hold, whatever the model lets through."""

from dataclasses import fields

import pytest
import torch
from tests.conftest import random_query_key
from torch.testing import assert_close

from cacr import AttentionBlocks
from cacr.attention.cut import Captured, cut
from cacr.attention.factored import FactoredBlocks, can_factor, factored
from cacr.losses import attention_loss

SPACES_AND_HEADS = [
    ("probabilities", "mean"),
    ("probabilities", "each"),
    ("scores", "each"),
    ("scores", "mean"),
]
LOSSES = ["cacr", "cacr-rows-heads", "cacr-sharp", "cacr-paper", "iais-singular", "iais-distributed", "flat"]
ORDERS = ["text first", "regions first", "interleaved"]


def sequence(order, groups=2):
    """Two examples of 5 and 4 words and 7 and 6 regions, four heads, in one order or another."""
    query, key, text, region = random_query_key(heads=4)
    places = {
        "text first": torch.arange(13),
        "regions first": torch.arange(13).flip(0),
        "interleaved": torch.randperm(13, generator=torch.Generator().manual_seed(1)),
    }[order]
    key = key[:, :groups]
    return query[:, :, places], key[:, :, places], text[:, places], region[:, places]


def mask(batch, heads, which):
    """[batch, head, position, position]: words and regions see each other; within each, some see some."""
    _, _, text, region = sequence(which)
    crossing = (text[:, :, None] & region[:, None]) | (region[:, :, None] & text[:, None])
    allowed = torch.rand(batch, heads, 13, 13) > 0.5
    allowed |= torch.eye(13, dtype=torch.bool)
    return allowed | crossing.any(0) if batch == 1 else allowed | crossing[:, None]


def limits(limit, order):
    """Arguments of `Captured` that keep some from seeing some."""
    return {
        "none": {},
        "causal": {"causal": True},
        "one mask": {"allowed": mask(1, 1, order)},
        "a mask of each example": {"allowed": mask(2, 1, order)},
        "a mask of each head": {"allowed": mask(2, 4, order)},
        "softcap": {"softcap": 0.4},
    }[limit]


def calls(query, key, **limited):
    """One attention call of all blocks; a causal one cannot have all of S_LV or of S_VL, which come from another."""
    call = Captured(query, key, 0.5, **limited)
    across = Captured(query, key, 0.5) if call.causal else call
    return {"ll": call, "lv": across, "vl": across, "vv": call}


def assert_equal_blocks(ours, theirs):
    for field in fields(AttentionBlocks):
        one, other = getattr(ours, field.name), getattr(theirs, field.name)
        if isinstance(other, torch.Tensor):
            assert_close(one, other, rtol=1e-14, atol=0)
        else:
            assert one == other, field.name


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("space", "heads"), SPACES_AND_HEADS)
def test_made_whole_they_are_the_blocks(space, heads, order):
    query, key, *masks = sequence(order)
    ours = factored(calls(query, key), *masks, space, heads)
    theirs = AttentionBlocks.from_query_key(query, key, *masks, 0.5, space, heads)
    assert isinstance(ours, FactoredBlocks)
    assert_equal_blocks(ours.whole(), theirs)
    assert len(ours) == len(theirs) and ours.per_head == theirs.per_head


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("space", "heads"), SPACES_AND_HEADS)
@pytest.mark.parametrize("limit", ["causal", "one mask", "a mask of each example", "a mask of each head"])
def test_made_whole_they_keep_what_may_be_seen(limit, space, heads, order):
    query, key, *masks = sequence(order)
    given = calls(query, key, **limits(limit, order)), *masks, space, heads
    whole = AttentionBlocks(**cut(*given))
    assert not whole.vv_support.all()
    assert_equal_blocks(factored(*given).whole(), whole)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("limit", ["causal", "one mask", "a mask of each example", "a mask of each head"])
def test_which_regions_a_region_sees_is_told_tile_by_tile(limit, order):
    query, key, *masks = sequence(order)
    given = calls(query, key, **limits(limit, order)), *masks, "probabilities", "mean"
    regions, whole = factored(*given).regions, AttentionBlocks(**cut(*given)).vv_support
    for example, length in enumerate(regions.lengths):
        for rows, columns in ((slice(0, 3), slice(0, 2)), (slice(2, length), slice(1, length))):
            assert torch.equal(regions.seen(example, rows, columns), whole[example, rows, columns])
            assert not whole[example, rows, regions.columns(example, rows) :].any()


def test_where_all_is_seen_there_is_no_mask():
    query, key, *masks = sequence("interleaved")
    regions = factored(calls(query, key), *masks, "probabilities", "mean").regions
    assert not regions.limited and regions.seen(0, slice(0, 7), slice(0, 7)) is None


def value_and_gradients(make, loss, direction, query, key):
    leaves = [x.clone().requires_grad_() for x in (query, key)]
    value = attention_loss(loss)(make(*leaves), direction)
    return value.detach(), *torch.autograd.grad(value, leaves)


@pytest.mark.parametrize("limit", ["causal", "one mask", "a mask of each example", "softcap"])
@pytest.mark.parametrize(
    ("loss", "order"),
    [*((loss, "interleaved") for loss in LOSSES), ("cacr", "text first"), ("cacr-paper", "text first")],
)
@pytest.mark.parametrize("direction", ["language", "vision", "both"])
def test_losses_are_those_of_blocks(small_tiles, limit, loss, direction, order):
    query, key, *masks = sequence(order)
    limited, on = limits(limit, order), attention_loss(loss)
    if limit == "softcap" and on.space == "scores":
        pytest.skip("capped scores are no product of queries and keys")
    make = lambda q, k: factored(calls(q, k, **limited), *masks, on.space, on.heads)
    whole = lambda q, k: AttentionBlocks(**cut(calls(q, k, **limited), *masks, on.space, on.heads))
    ours, theirs = (value_and_gradients(one, loss, direction, query, key) for one in (make, whole))
    for one, other in zip(ours, theirs, strict=True):
        assert (one - other).abs().max() <= 1e-12 * other.abs().max()


@pytest.mark.parametrize(
    ("call", "space", "can"),
    [
        ({}, "scores", True),
        ({"causal": True}, "probabilities", True),
        ({"softcap": 2.0}, "probabilities", True),
        ({"softcap": 2.0}, "scores", False),
        ({"bias": torch.zeros(1, 1, 2, 2)}, "probabilities", False),
        ({"logits": torch.zeros(1, 1, 2, 2)}, "probabilities", False),
    ],
)
def test_what_is_no_product_of_queries_and_keys_is_not_factored(call, space, can):
    assert can_factor(Captured(**call), space) is can


def test_a_direction_without_its_cross_attention_gets_a_sentence():
    query, key, *masks = sequence("regions first")
    three = {name: call for name, call in calls(query, key).items() if name != "vl"}
    blocks = factored(three, *masks, "probabilities", "mean")
    assert attention_loss("cacr")(blocks, "language") > 0
    with pytest.raises(ValueError, match="direction='vision' needs .*Use direction=\"language\""):
        attention_loss("cacr")(blocks, "vision")
