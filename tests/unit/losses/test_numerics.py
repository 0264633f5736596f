"""Gradients made by hand agree with finite differences, and float32 is close to float64 where losses are tiny."""

import pytest
import torch
from tests.unit.losses.test_streaming import METHODS, ON, definition, found, sequence
from torch.autograd import gradcheck

from cacr.attention.factored import FactoredAttention
from cacr.losses import cacr_loss_from_query_key
from cacr.losses.carrying import carry, rows_of
from cacr.losses.comparing import Against, compare
from cacr.losses.divergence import kl_rows, log_softmax_over, softmax_rows, unit_rows

# Rows of a divergence

EVERYWHERE, SOME, PADDED = None, "some columns of each row", "whole rows and columns are padding"


def rows_and_pairs(which, scale):
    """Two matrices of rows that sum to 1 over the columns that count, times a scale, and which those are."""
    pairs = None
    if which == SOME:
        pairs = torch.tensor([[1, 1, 0, 1], [0, 1, 1, 1], [1, 1, 1, 1], [0, 0, 1, 0]], dtype=torch.bool)
    elif which == PADDED:
        real = torch.tensor([True, True, True, False])
        pairs = real[:, None] & real
    own, other = torch.rand(2, 3, 4, 4, dtype=torch.float64)
    return *(unit_rows(x, pairs) * scale for x in (own, other)), pairs


@pytest.mark.parametrize("pairs", [EVERYWHERE, SOME, PADDED])
@pytest.mark.parametrize(("bounded", "scale"), [(True, 1.0), (False, 1.0), (False, 30.0)])
def test_softmax_rows_have_the_gradient_of_finite_differences(bounded, scale, pairs):
    own, other, pairs = rows_and_pairs(pairs, scale)
    function = lambda own, other: softmax_rows(own, other, pairs, bounded)
    assert gradcheck(function, [own.requires_grad_(), other.requires_grad_()])
    assert gradcheck(lambda own: function(own, other.detach()), [own])
    assert gradcheck(lambda other: function(own.detach(), other), [other])


@pytest.mark.parametrize("pairs", [EVERYWHERE, SOME, PADDED])
@pytest.mark.parametrize(("bounded", "scale"), [(True, 1.0), (False, 1.0), (False, 30.0)])
def test_softmax_rows_are_both_kls_of_log_softmaxes(bounded, scale, pairs):
    own, other, pairs = rows_and_pairs(pairs, scale)
    other = (
        other * 0.8 if pairs is None else (other * 0.8).masked_fill(~pairs, 7.0)
    )  # what is hidden is not read
    plain = kl_rows(log_softmax_over(own, pairs), log_softmax_over(other, pairs), pairs)
    torch.testing.assert_close(softmax_rows(own, other, pairs, bounded), plain, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("bounded", [True, False])
def test_a_row_that_sees_nothing_counts_nothing(bounded):
    own, other, pairs = rows_and_pairs(PADDED, 1.0)
    own, other = (torch.where(pairs, x, torch.rand_like(x)).requires_grad_() for x in (own, other))
    rows = softmax_rows(own, other, pairs, bounded)
    gradients = torch.autograd.grad(rows.sum(), (own, other))
    assert (rows[..., -1] == 0).all() and (rows[..., :-1] > 0).all()
    for gradient in gradients:
        assert (gradient.masked_select(~pairs) == 0).all()


@pytest.mark.parametrize("shift", [-50.0, 50.0, 1e5])
def test_rows_of_any_size_do_not_overflow(shift):
    own, other, _ = rows_and_pairs(EVERYWHERE, 5.0)
    moved = softmax_rows(own + shift, other - shift, None)
    torch.testing.assert_close(moved, softmax_rows(own, other, None), rtol=1e-9, atol=0)


# Tiles

KINDS = [
    ("probabilities", "mean", {}),
    ("probabilities", "each", {}),
    ("probabilities", "mean", {"softcap": 0.7}),
    ("probabilities", "mean", {"causal": True}),
    ("probabilities", "each", {"allowed": True}),
    ("scores", "each", {}),
    ("scores", "each", {"causal": True}),
    ("scores", "each", {"allowed": True}),
]
LENGTHS = (5, 3)


def case(space, heads, limits, width=3):
    """What makes an attention of two examples, four heads and two keys for them; and values of each head or of all."""
    query, key = (torch.randn(2, heads_, 5, 2, dtype=torch.float64, requires_grad=True) for heads_ in (4, 2))
    shape = (2, 4, 5, width) if heads == "each" else (2, 5, width)
    value, left, right = (torch.randn(*shape, dtype=torch.float64, requires_grad=True) for _ in "vlr")
    if "allowed" in limits:
        allowed = torch.rand(2, 5, 5) > 0.4
        limits = {"allowed": allowed | torch.eye(5, dtype=torch.bool)}
    made = lambda q, k: FactoredAttention(q, k, LENGTHS, space, heads, **limits)
    return made, query, key, value, left, right


def dense(attention):
    """S_VV [batch, head, region, region] and where it is defined [batch, 1, region, region], with plain autograd."""
    key = attention.key.repeat_interleave(attention.query.shape[1] // attention.key.shape[1], 1)
    scores = attention.query @ key.mT
    if attention.softcap:
        scores = attention.softcap * (scores / attention.softcap).tanh()
    real = torch.arange(5) < torch.tensor(LENGTHS)[:, None]
    defined = real[:, :, None] & real[:, None, :]
    if attention.causal:
        defined = defined & torch.ones(5, 5, dtype=torch.bool).tril()
    if attention.allowed is not None:
        defined = defined & attention.allowed
    defined = defined[:, None]
    if attention.space == "probabilities":
        scores = scores.masked_fill(~defined, -torch.inf).softmax(-1).nan_to_num()
    scores = scores.masked_fill(~defined, 0)
    return (scores if attention.per_head else scores.mean(1, keepdim=True)), defined


def against(*given, rows="mean"):
    return Against(*given, divergence=lambda own, other, pairs: softmax_rows(own, other, pairs), rows=rows)


@pytest.mark.parametrize(("space", "heads", "limits"), KINDS)
def test_carrying_is_the_product_with_the_matrix(small_tiles, space, heads, limits):
    made, query, key, value, *_ = case(space, heads, limits)
    carried = carry(made(query, key), value)
    matrix = dense(made(query, key))[0]
    product = matrix @ value if heads == "each" else matrix[:, 0] @ value
    torch.testing.assert_close(carried, product, rtol=1e-12, atol=1e-14)
    upstream = torch.randn_like(carried)
    for one, other in zip(
        *(torch.autograd.grad(x, (query, key, value), upstream) for x in (carried, product)), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_scores_that_are_not_seen_may_be_far_larger(small_tiles):
    made, query, key, value, *_ = case("probabilities", "mean", {"allowed": True})
    far = made(query * 1000, key)
    torch.testing.assert_close(carry(far, value), dense(far)[0][:, 0] @ value)


@pytest.mark.parametrize(("space", "heads", "limits"), KINDS)
def test_carrying_has_the_gradient_of_finite_differences(small_tiles, space, heads, limits):
    made, query, key, value, *_ = case(space, heads, limits, width=1)
    assert gradcheck(lambda q, k, v: carry(made(q, k), v), [query, key, value], fast_mode=True)


@pytest.mark.parametrize(("space", "heads", "limits"), KINDS)
def test_rows_of_the_matrix_are_its_rows(space, heads, limits):
    made, query, key, *_ = case(space, heads, limits)
    index = torch.tensor([[4, 0, 2], [1, 1, 0]])
    index = index[:, None].expand(2, 4, 3) if heads == "each" else index
    rows, matrix = rows_of(made(query, key), index), dense(made(query, key))[0]
    matrix = matrix if heads == "each" else matrix[:, 0]
    torch.testing.assert_close(rows, matrix.gather(-2, index[..., None].expand(*index.shape, 5)))
    assert gradcheck(lambda q, k: rows_of(made(q, k), index), [query, key], fast_mode=True)


@pytest.mark.parametrize("rows", ["mean", "sum"])
@pytest.mark.parametrize(("space", "heads", "limits"), KINDS)
def test_comparing_is_the_divergence_of_the_matrix(small_tiles, space, heads, limits, rows):
    made, query, key, value, left, right = case(space, heads, limits)

    def whole():
        own, defined = dense(made(query, key))
        product, carried = left @ right.mT, (own if heads == "each" else own[:, 0]) @ value
        product = product if heads == "each" else product[:, None]
        by_row = both_kl_where(own, product, defined)
        lengths = torch.tensor(LENGTHS, dtype=torch.float64)[:, None]
        pooled = by_row.sum(-1) if rows == "sum" else by_row.sum(-1) / lengths
        return pooled.mean(), carried

    streamed = compare(made(query, key), against(left, right, rows=rows), value)
    for ours, theirs in zip(streamed, whole(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    upstream = torch.randn_like(streamed[1])
    both = (loss * 1.7 + (carried * upstream).sum() for loss, carried in (streamed, whole()))
    leaves = query, key, value, left, right
    for ours, theirs in zip(*(torch.autograd.grad(one, leaves) for one in both), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-13)


def both_kl_where(own, other, defined):
    """Both KLs of each row between softmaxes over what is defined."""
    p, q = (x.masked_fill(~defined, -1e300).log_softmax(-1) for x in (own, other))
    return ((p.exp() - q.exp()) * (p - q)).masked_fill(~defined, 0).sum(-1)


@pytest.mark.parametrize("valued", [True, False])
@pytest.mark.parametrize(("space", "heads", "limits"), KINDS)
def test_comparing_has_the_gradient_of_finite_differences(small_tiles, space, heads, limits, valued):
    made, query, key, value, left, right = case(space, heads, limits, width=1)
    if valued:
        function = lambda q, k, v, left, right: compare(made(q, k), against(left, right), v)
        assert gradcheck(function, [query, key, value, left, right], fast_mode=True)
    else:
        function = lambda q, k, left, right: compare(made(q, k), against(left, right))[0]
        assert gradcheck(function, [query, key, left, right], fast_mode=True)


@pytest.mark.parametrize("on", ON)
def test_the_streamed_loss_has_the_gradient_of_finite_differences(small_tiles, on):
    query, key, *masks = sequence(heads=2, groups=1, width=1)
    query, key = query[1:2].requires_grad_(), key[1:2].requires_grad_()
    masks = [mask[1:2] for mask in masks]
    loss = lambda q, k: cacr_loss_from_query_key(q, k, *masks, method="streaming", detach_cross=False, **on)
    assert gradcheck(loss, [query, key], fast_mode=True)


# Half precision


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("on", ON)
@pytest.mark.parametrize("method", METHODS)
def test_half_precision_is_computed_in_float32_and_gradients_come_back_in_it(method, on, dtype):
    query, key, *masks = sequence(dtype=dtype)
    loss = lambda q, k: cacr_loss_from_query_key(q, k, *masks, method=method, **on)
    half, single = found(loss, query, key), found(loss, query.float(), key.float())
    assert half[0].dtype == torch.float32 and torch.equal(half[0], single[0])
    for ours, theirs in zip(half[1:], single[1:], strict=True):
        assert ours.dtype == dtype and torch.equal(ours, theirs.to(dtype))


@pytest.mark.parametrize("on", ON)
@pytest.mark.parametrize("method", METHODS)
def test_autocast_around_the_loss_changes_nothing(method, on):
    query, key, *masks = sequence(dtype=torch.float32)
    loss = lambda q, k: cacr_loss_from_query_key(q, k, *masks, method=method, detach_cross=False, **on)
    plain = found(loss, query, key)
    query, key = query.requires_grad_(), key.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(query, key)
    for ours, theirs in zip((value, *torch.autograd.grad(value, (query, key))), plain, strict=True):
        assert torch.equal(ours, theirs)


# Float32 is enough


def picture(regions, spread=1.0):
    """Normal queries and keys of 12 words and many regions; the smaller the spread, the flatter the attention."""
    g = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 1, 2, 12 + regions, 16, generator=g) * spread
    text = (torch.arange(12 + regions) < 12)[None]
    return query, key, text, ~text


def error(gradients, exact):
    """The largest difference, by the largest entry."""
    return max(
        float((ours.double() - theirs).abs().max() / theirs.abs().max())
        for ours, theirs in zip(gradients, exact, strict=True)
    )


@pytest.mark.parametrize(("method", "regions"), [("blocks", 36), ("streaming", 36), ("streaming", 1100)])
@pytest.mark.parametrize("direction", ["language", "vision"])
def test_float32_gradients_are_within_a_millionth_of_float64(direction, method, regions):
    query, key, *masks = picture(regions)
    loss = lambda q, k: cacr_loss_from_query_key(q, k, *masks, direction, method)
    single, exact = (found(loss, query.to(kind), key.to(kind))[1:] for kind in (torch.float32, torch.float64))
    assert error(single, exact) < 1e-6


@pytest.mark.parametrize(("direction", "regions"), [("language", 36), ("language", 576), ("vision", 36)])
def test_taken_apart_as_two_log_softmaxes_float32_would_not_do(direction, regions):
    query, key, *masks = picture(regions, spread=0.5)
    loss = lambda q, k: cacr_loss_from_query_key(q, k, *masks, direction, "streaming")
    exact = found(loss, query.double(), key.double())[1:]
    apart = found(lambda q, k: definition(q, k, *masks, direction), query, key)[1:]
    ours = error(found(loss, query, key)[1:], exact)
    assert error(apart, exact) > max(3e-6, 4 * ours)


@pytest.mark.parametrize(("regions", "spread"), [(36, 0.002), (576, 0.002), (576, 0.25), (1100, 0.25)])
def test_rows_that_are_nearly_uniform_lose_no_digits(regions, spread):
    """Constants of a row apart, which pass no softmax."""
    own, other = ((torch.randn(2, 8, regions) * spread).softmax(-1) for _ in "oq")
    other = other - other.mean(-1, keepdim=True)

    def gradients(function, kind):
        leaves = [x.to(kind).requires_grad_() for x in (own, other)]
        made = torch.autograd.grad(function(*leaves).sum(), leaves)
        return [one.double() - one.double().mean(-1, keepdim=True) for one in made]

    ours = lambda own, other: softmax_rows(own, other, None, bounded=True)
    apart = lambda own, other: kl_rows(own.log_softmax(-1), other.log_softmax(-1), None)
    exact = gradients(apart, torch.float64)
    assert error(gradients(ours, torch.float32), exact) < 1e-6
    assert error(gradients(apart, torch.float32), exact) > 2e-5


@pytest.mark.parametrize("on", ON)
@pytest.mark.parametrize("method", METHODS)
def test_autocast_around_backward_changes_nothing(method, on):
    query, key, *masks = sequence(dtype=torch.float32)
    loss = lambda q, k: cacr_loss_from_query_key(q, k, *masks, method=method, detach_cross=False, **on)
    plain = found(loss, query, key)
    query, key = query.requires_grad_(), key.requires_grad_()
    value = loss(query, key)
    with torch.autocast("cpu", torch.bfloat16):
        gradients = torch.autograd.grad(value, (query, key))
    assert all(torch.equal(a, b) for a, b in zip(gradients, plain[1:], strict=True))
