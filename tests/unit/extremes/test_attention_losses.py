"""Every attention loss on values at the edge: equal to float64, or refused with the example that is wrong."""

from importlib import import_module

import pytest
import torch
from torch.testing import assert_close

from cacr.attention import AttentionBlocks
from cacr.attention.factored import FactoredBlocks
from cacr.losses import (
    LOSSES,
    READINGS,
    Reading,
    cacr_loss,
    cacr_loss_from_query_key,
    congruence,
    iais_loss_from_query_key,
    symmetric_kl,
)
from cacr.losses.divergence import unit_rows
from cacr.losses.iais import distributed, singular

NAMED = {name: loss for name, loss in LOSSES.items() if loss is not None}
WAYS = {"blocks": AttentionBlocks, "streaming": FactoredBlocks}
DIRECTIONS = ["language", "vision"]
NAN, INF = float("nan"), float("inf")
every_loss = pytest.mark.parametrize("name", NAMED)
every_way = pytest.mark.parametrize("way", WAYS)
every_direction = pytest.mark.parametrize("direction", DIRECTIONS)


def layer(scale=1.0, dtype=torch.float32):
    """Queries, keys and masks of three examples of different lengths; position 0 counts as nothing."""
    query, key = torch.randn(2, 3, 2, 10, 8)
    text, regions = torch.zeros(2, 3, 10, dtype=torch.bool)
    for example in range(3):
        text[example, 1 : 5 - example % 2] = True
        regions[example, 5 : 10 - example] = True
    return (query * scale).to(dtype), key.to(dtype), text, regions


def found(name, way, direction, query, key, text, regions):
    """A loss, and its gradients with respect to queries and keys."""
    loss = NAMED[name]
    query, key = (one.clone().requires_grad_() for one in (query, key))
    blocks = WAYS[way].from_query_key(query, key, text, regions, space=loss.space, heads=loss.heads)
    value = loss(blocks, direction)
    return value, *torch.autograd.grad(value, (query, key))


@every_way
@every_loss
def test_scores_that_half_precision_does_not_hold_are_exact(name, way, direction="both"):
    query, key, *masks = layer(300, torch.float16)
    products = (query.double() @ key.double().mT).abs() * 8**-0.5
    assert products.max() > 1000 and (query @ (100 * key).mT).isinf().any()  # half precision would overflow
    value, *gradients = found(name, way, direction, query * 0.02, key, *masks)
    exact, *slopes = found(name, way, direction, (query * 0.02).double(), key.double(), *masks)
    assert_close(value.double(), exact, rtol=1e-4, atol=1e-6)
    for ours, theirs in zip(gradients, slopes, strict=True):
        assert_close(ours.double(), theirs, rtol=2e-3, atol=2e-3 * float(theirs.abs().max()))


@every_direction
@every_way
@every_loss
@pytest.mark.parametrize("scale", [6e4])
def test_scores_of_tens_of_thousands_are_exact_but_for_the_floor_of_float32(
    name, way, direction, scale, monkeypatch
):
    query, key, *masks = layer(scale)
    value, *gradients = found(name, way, direction, query, key, *masks)
    floor = torch.finfo(torch.float32).tiny
    floored = lambda p: p.clamp_min(floor).log()
    for home in ("congruence", "flatness", "iais"):
        monkeypatch.setattr(import_module(f"cacr.losses.{home}"), "log_rows", floored)
    underflowing = lambda x, pairs: unit_rows(x.masked_fill(x < 1e-45, 0.0), pairs)
    monkeypatch.setattr(import_module("cacr.losses.congruence"), "unit_rows", underflowing)
    exact, *_ = found(name, way, direction, query.double(), key.double(), *masks)
    assert_close(value.double(), exact, rtol=2e-4, atol=1e-5)
    assert all(gradient.isfinite().all() for gradient in gradients)


@every_way
@every_loss
@pytest.mark.parametrize("scale", [0.0, 1e-42])
def test_equal_and_denormal_scores_give_a_finite_loss_and_finite_gradients(name, way, scale):
    value, *gradients = found(name, way, "both", *layer(scale))
    assert abs(value) < 3e-5  # the floor in the logarithms of iais-distributed
    assert all(gradient.isfinite().all() for gradient in gradients)


@every_way
@every_loss
@pytest.mark.parametrize(("which", "value"), [("query", NAN), ("key", INF)])
def test_a_value_that_is_not_finite_is_refused_with_its_example(name, way, which, value):
    query, key, *masks = layer()
    (query if which == "query" else key)[1, 0, 6, 3] = value
    with pytest.raises(ValueError, match=rf"^{which} holds NaN or infinite values in example 1, position 6"):
        found(name, way, "both", query, key, *masks)


@every_way
@every_loss
def test_what_does_not_count_may_hold_anything(name, way, direction="both"):
    query, key, *masks = layer()
    clean = found(name, way, direction, query, key, *masks)
    for position, value in ((0, NAN), (9, INF)):
        query[2, :, position], key[2, :, position] = value, -value
    dirty = found(name, way, direction, query, key, *masks)
    for ours, theirs in zip(dirty, clean, strict=True):
        assert_close(ours, theirs, rtol=1e-6, atol=1e-8)
    assert (dirty[1][2, :, 9] == 0).all() and (dirty[2][2, :, 9] == 0).all()


@every_way
@every_loss
@pytest.mark.parametrize(
    ("which", "what"), [(2, "token in example 1: its text"), (3, "region in example 1: its region")]
)
def test_an_example_without_anything_that_counts_is_refused(name, way, which, what):
    given = layer()
    given[which][1] = False
    with pytest.raises(ValueError, match=f"no real {what}_mask is False everywhere"):
        found(name, way, "both", *given)


@every_way
@every_loss
def test_an_example_weighs_the_same_alone_and_beside_others(name, way):
    query, key, text, regions = layer()
    alone = [
        found(name, way, "both", *(one[i : i + 1] for one in (query, key, text, regions)))[0]
        for i in range(3)
    ]
    assert_close(found(name, way, "both", query, key, text, regions)[0], torch.stack(alone).mean())


@every_loss
@every_way
def test_products_that_float32_does_not_hold_are_refused(name, way):
    query, key, *masks = layer(1e20)
    with pytest.raises(ValueError, match=r"(the loss is (nan|inf)|queries times keys).*"):
        found(name, way, "both", query, key * 1e20, *masks)


@pytest.mark.parametrize("method", ["blocks", "streaming"])
@pytest.mark.parametrize("variant", READINGS)
def test_losses_from_queries_and_keys_refuse_them_too(variant, method):
    query, key, *masks = layer(1e20)
    with pytest.raises(ValueError, match="the loss is nan in torch.float32: .* Scale queries and keys"):
        cacr_loss_from_query_key(query, key * 1e20, *masks, variant=variant, method=method)
    with pytest.raises(ValueError, match="the loss is nan"):
        iais_loss_from_query_key(query, key * 1e20, *masks, method=method)


@pytest.mark.parametrize("scale", [NAN, INF, -INF])
def test_a_scale_that_is_not_finite_is_refused(scale):
    with pytest.raises(ValueError, match=f"scale is {scale}; expected a finite factor"):
        cacr_loss_from_query_key(*layer(), scale=scale)


@pytest.mark.parametrize("value", [NAN, INF])
@pytest.mark.parametrize("part", ["ll", "lv", "vl", "vv"])
def test_blocks_made_by_hand_are_refused_with_the_example(part, value):
    made = vars(AttentionBlocks.from_query_key(*layer()))
    made[part] = made[part].clone()
    made[part][1, 0, 0] = value
    with pytest.raises(ValueError, match=f"^{part} holds NaN or infinite values in example 1, position 0"):
        AttentionBlocks(**made)


@every_loss
def test_padding_of_blocks_made_by_hand_is_not_read(name):
    loss = NAMED[name]
    blocks = AttentionBlocks.from_query_key(*layer(), space=loss.space, heads=loss.heads)
    dirty, masks = dict(vars(blocks)), {"l": blocks.text_mask, "v": blocks.region_mask}
    for part in ("ll", "lv", "vl", "vv"):
        real = masks[part[0]][:, :, None] & masks[part[1]][:, None, :]
        dirty[part] = dirty[part].masked_fill(~(real[:, None] if blocks.per_head else real), NAN)
    assert torch.equal(loss(AttentionBlocks(**dirty)), loss(blocks))


def test_attention_probabilities_that_are_not_finite_are_refused():
    query, key, *masks = layer()
    attention = (query @ key.mT).softmax(-1)
    attention[2, 1, 3] = NAN
    with pytest.raises(ValueError, match="holds NaN or infinite values in example 2"):
        AttentionBlocks.from_attentions(attention, *masks)


@pytest.mark.parametrize(
    "function",
    [
        congruence,
        singular,
        distributed,
        lambda own, other, cross, mask: symmetric_kl(own.log(), other.log(), mask),
    ],
)
def test_a_matrix_without_a_row_that_counts_is_refused(function):
    matrix, mask = torch.rand(2, 3, 3).softmax(-1), torch.tensor([[True] * 3, [False] * 3])
    with pytest.raises(ValueError, match="no real row in example 1"):
        function(matrix, matrix, matrix, mask)


def test_scores_whose_products_overflow_are_refused_though_each_is_finite():
    blocks = AttentionBlocks.from_query_key(*layer(1e14), space="scores", heads="each")
    with pytest.raises(ValueError, match="the loss is (nan|inf)"):
        cacr_loss(blocks, variant="paper")


@pytest.mark.parametrize("exponent", [1e300, 1e7, 0.0, -1.0, NAN, INF])
def test_an_exponent_beyond_what_can_be_told_apart_is_refused(exponent):
    with pytest.raises(ValueError, match=r"expected an exponent above 0, 1 for none, 1e\+06 at most"):
        Reading(sharpen=exponent)
