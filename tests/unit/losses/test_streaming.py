"""The loss from queries and keys is the definition, written out example by example, however S_VV is read."""

import math
from itertools import product

import pytest
import torch

from cacr import AttentionBlocks
from cacr.attention.factored import FactoredBlocks
from cacr.losses import (
    cacr_loss_from_query_key,
    carrying,
    comparing,
    iais_loss_from_query_key,
    tiles,
)
from cacr.losses.flatness import flatness_loss

METHODS = ("blocks", "streaming")
DIRECTIONS = ("language", "vision", "both")
ON = [
    pytest.param({"space": space, "heads": heads, "normalize": normalize}, id=f"{space}-{heads}-{normalize}")
    for space, heads, normalize in (
        ("probabilities", "mean", "softmax"),
        ("probabilities", "mean", "rows"),
        ("probabilities", "each", "softmax"),
        ("probabilities", "each", "rows"),
        ("scores", "each", "softmax"),
        ("scores", "mean", "softmax"),
    )
]
DISTINCT = ON[0], ON[3], ON[4]
ORDERS = ("text first", "regions first", "interleaved", "equal lengths")


def sequence(order="interleaved", heads=4, groups=2, width=3, seed=0, dtype=torch.float64):
    """Queries, keys and masks of three examples of up to 4 words and 7 regions, among positions that are neither."""
    g = torch.Generator().manual_seed(seed)
    size = 14
    text, region = (torch.zeros(3, size, dtype=torch.bool) for _ in "tr")
    for example in range(3):
        words, regions = (
            (4, 7) if order == "equal lengths" else (4 - example, 5 + example % 2 * 2 - example // 2)
        )
        places = torch.arange(1, size)
        if order == "regions first":
            places = places.flip(0)
        elif order == "interleaved":
            places = places[torch.randperm(len(places), generator=g)]
        text[example, places[:words]] = True
        region[example, places[words : words + regions]] = True
    query = torch.randn(3, heads, size, width, generator=g, dtype=torch.float64) * 2
    key = torch.randn(3, groups, size, width, generator=g, dtype=torch.float64)
    return query.to(dtype), key.to(dtype), text, region


def definition(
    query,
    key,
    text,
    region,
    direction,
    space="probabilities",
    heads="mean",
    normalize="softmax",
    detach_cross=True,
    rows="mean",
    compare=None,
):
    """Equations 2-6, one example and one head after the other; ``compare`` stands for another loss than CACR."""
    scale, shared = query.shape[-1] ** -0.5, query.shape[1] // key.shape[1]
    total = 0.0
    for example in range(len(query)):
        places = {"l": text[example].nonzero()[:, 0], "v": region[example].nonzero()[:, 0]}
        by_head = []
        for head in range(query.shape[1]):
            q, k = query[example, head], key[example, head // shared]
            scores = {a + b: scale * q[places[a]] @ k[places[b]].T for a, b in product("lv", repeat=2)}
            if space == "probabilities":
                scores = {name: x.softmax(-1) for name, x in scores.items()}
            by_head.append(scores)
        if heads == "mean":
            by_head = [{name: sum(one[name] for one in by_head) / len(by_head) for name in by_head[0]}]
        for s in by_head:
            for own, other in {"language": ["lv"], "vision": ["vl"], "both": ["lv", "vl"]}[direction]:
                parts = s[own + own], s[other + other], s[own + other], s[other + own]
                per_row = compare(*parts) if compare else congruence_of(*parts[:3], normalize, detach_cross)
                pooled = per_row.sum() if rows == "sum" else per_row.sum() / len(per_row)
                total = total + pooled / len(by_head) / len(query)
    return total


def congruence_of(own, other, cross, normalize, detach_cross):
    """Both KLs of each row between own attention and the other modality's, carried over."""
    cross = cross.detach() if detach_cross else cross
    projected = cross @ other @ cross.T
    if normalize == "softmax":
        return both_kl(own.log_softmax(-1), projected.log_softmax(-1))
    return both_kl(*((x / x.sum(-1, keepdim=True)).log() for x in (own, projected)))


def both_kl(log_p, log_q):
    """KL(p‖q) + KL(q‖p) of each row."""
    forth = (log_p.exp() * (log_p - log_q)).sum(-1)
    return forth + (log_q.exp() * (log_q - log_p)).sum(-1)


def found(loss, query, key, needs=(True, True)):
    """The value, and the gradients of query and key."""
    leaves = [x.detach().clone().requires_grad_(yes) for x, yes in zip((query, key), needs, strict=True)]
    value = loss(*leaves)
    gradients = torch.autograd.grad(value, [x for x, yes in zip(leaves, needs, strict=True) if yes])
    return value.detach(), *gradients


def assert_same(ours, theirs, within=1e-12):
    """Value and gradients agree, relative to the largest entry."""
    for one, other in zip(ours, theirs, strict=True):
        assert other.abs().max() > 0
        assert one.dtype == other.dtype
        assert (one - other).abs().max() <= within * other.abs().max()


def ours(text, region, **options):
    return lambda query, key: cacr_loss_from_query_key(query, key, text, region, **options)


def theirs(text, region, **options):
    return lambda query, key: definition(query, key, text, region, **options)


@pytest.fixture(params=[1 << 26, 400, 60])
def elsewhere(monkeypatch, request):
    """The path of other devices: all examples at once, a few of them, or a few rows of one."""
    monkeypatch.setattr(tiles, "DEVICE_ELEMENTS", request.param)
    for module in (tiles, carrying, comparing):
        monkeypatch.setattr(module, "on_cpu", lambda attention: False)


# The definition


def assert_is_the_definition(query, key, masks, method="streaming", **given):
    assert_same(
        found(ours(*masks, method=method, **given), query, key), found(theirs(*masks, **given), query, key)
    )


@pytest.mark.parametrize("detach_cross", [True, False])
@pytest.mark.parametrize("on", ON)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("method", METHODS)
def test_value_and_gradients_are_those_of_the_definition(method, direction, on, detach_cross):
    query, key, *masks = sequence()
    assert_is_the_definition(query, key, masks, method, direction=direction, detach_cross=detach_cross, **on)


@pytest.mark.parametrize("variant", ["release", "paper"])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("method", METHODS)
def test_each_variant_is_what_its_source_defines(method, direction, variant):
    query, key, *masks = sequence()
    written = {
        "release": {"space": "probabilities", "heads": "mean", "detach_cross": True, "rows": "mean"},
        "paper": {"space": "scores", "heads": "each", "detach_cross": False, "rows": "sum"},
    }[variant]
    assert_same(
        found(ours(*masks, direction=direction, method=method, variant=variant), query, key),
        found(theirs(*masks, direction=direction, **written), query, key),
    )


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("on", DISTINCT)
@pytest.mark.parametrize("method", METHODS)
def test_wherever_words_and_regions_lie_and_however_many_heads_share_a_key(method, on, order, groups):
    query, key, *masks = sequence(order, groups=groups)
    assert_is_the_definition(query, key, masks, method, direction="both", detach_cross=False, **on)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("on", ON)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_size_of_tiles_does_not_matter(small_tiles, direction, on, groups):
    query, key, *masks = sequence(groups=groups)
    assert_is_the_definition(query, key, masks, direction=direction, detach_cross=False, **on)


@pytest.mark.parametrize("order", ["interleaved", "equal lengths"])
@pytest.mark.parametrize("on", DISTINCT)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_tiles_of_other_devices_give_the_same(elsewhere, direction, on, order):
    query, key, *masks = sequence(order)
    assert_is_the_definition(query, key, masks, direction=direction, detach_cross=False, **on)


@pytest.mark.parametrize("on", DISTINCT)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_queries_may_lie_in_memory_as_a_model_leaves_them(elsewhere, direction, on):
    query, key, *masks = sequence("equal lengths")
    query, key = (one.transpose(1, 2).contiguous().transpose(1, 2) for one in (query, key))
    assert_is_the_definition(query, key, masks, direction=direction, detach_cross=False, **on)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_far_apart_scores_do_not_overflow(small_tiles, direction):
    query, key, *masks = sequence()
    assert_is_the_definition(query * 400, key, masks, direction=direction, heads="each", detach_cross=False)


@pytest.mark.parametrize("sharpen", [0.5, 3.0])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_sharpened_cross_attention_is_that_of_blocks(small_tiles, direction, sharpen):
    query, key, *masks = sequence()
    given = {"direction": direction, "normalize": "rows", "sharpen": sharpen, "detach_cross": False}
    assert_same(*(found(ours(*masks, method=one, **given), query, key) for one in METHODS))


@pytest.mark.parametrize("method", METHODS)
def test_the_scale_may_be_given(method):
    query, key, *masks = sequence()
    written = lambda q, k: definition(q * 0.3 * math.sqrt(q.shape[-1]), k, *masks, "both")
    assert_same(found(ours(*masks, method=method, scale=0.3), query, key), found(written, query, key))


# Other losses on the same blocks


def singular(own, other, cross, back):
    """IAIS: each row looked up at its best match; the values found there pass a softmax, own attention does not."""
    best = cross.argmax(-1)
    return both_kl(own.log(), other[best][:, best].log_softmax(-1))


def distributed(own, other, cross, back):
    """IAIS: there and back; 1e-6 is added to the approximating distribution of each KL."""
    way = cross @ back
    forth = own * (own.log() - (way + 1e-6).log())
    return (forth + way * (way.log() - (own + 1e-6).log())).sum(-1)


def flat(own, other, cross, back):
    """The control: own attention against the uniform distribution."""
    return both_kl(own.log(), torch.full_like(own, -math.log(own.shape[-1])))


@pytest.mark.parametrize("kind", [singular, distributed])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("method", METHODS)
def test_iais_is_its_definition(small_tiles, method, direction, kind):
    query, key, *masks = sequence()
    loss = lambda q, k: iais_loss_from_query_key(q, k, *masks, direction, method, kind.__name__)
    assert_same(found(loss, query, key), found(theirs(*masks, direction=direction, compare=kind), query, key))


@pytest.mark.parametrize("heads", ["mean", "each"])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kind", [AttentionBlocks, FactoredBlocks])
def test_the_flat_control_is_its_definition(small_tiles, kind, direction, heads):
    query, key, *masks = sequence()
    loss = lambda q, k: flatness_loss(kind.from_query_key(q, k, *masks, heads=heads), direction)
    wanted = found(theirs(*masks, direction=direction, heads=heads, compare=flat), query, key)
    assert_same(found(loss, query, key), wanted)


# What learns


@pytest.mark.parametrize("needs", [(True, False), (False, True)])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("method", METHODS)
def test_queries_or_keys_may_learn_alone(method, direction, needs):
    query, key, *masks = sequence()
    loss = ours(*masks, direction=direction, method=method, detach_cross=False)
    value, *both = found(loss, query, key)
    assert_same(
        found(loss, query, key, needs), [value, *(g for g, yes in zip(both, needs, strict=True) if yes)]
    )


@pytest.mark.parametrize("on", ON)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_without_gradients_the_value_is_the_same_and_nothing_is_kept(direction, on):
    query, key, *masks = sequence()
    loss = ours(*masks, direction=direction, method="streaming", **on)
    value = found(loss, query, key)[0]
    with torch.no_grad():
        alone = loss(query.requires_grad_(), key.requires_grad_())
    assert not alone.requires_grad
    assert torch.equal(alone, value)
