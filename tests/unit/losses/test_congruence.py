"""The CACR loss keeps its promises: the definition, its symmetries, its gradients, its errors."""

from dataclasses import replace

import pytest
import torch
from tests.conftest import random_query_key
from torch.testing import assert_close

from cacr import AttentionBlocks, cacr_loss, flatness_loss, iais_loss, soft_equivalence_loss
from cacr.losses import LOSSES, Reading, attention_loss, congruence, project, symmetric_kl
from cacr.losses.comparing import Against
from cacr.losses.comparison import Carried
from cacr.losses.divergence import kl_rows, log_softmax
from cacr.losses.iais import distributed, singular


@pytest.mark.parametrize("direction", ["language", "vision", "both"])
def test_agrees_with_the_algorithm_written_as_loops(blocks, direction):
    assert_close(cacr_loss(blocks, direction, variant="paper"), soft_equivalence_loss(blocks, direction))


def test_agrees_with_the_loops_on_the_scores_of_each_head():
    query, key, text, region = random_query_key()
    scores = AttentionBlocks.from_query_key(query * 0.3, key, text, region, space="scores", heads="each")
    assert_close(cacr_loss(scores, variant="paper"), soft_equivalence_loss(scores))


@pytest.mark.parametrize("rows", ["mean", "sum"])
@pytest.mark.parametrize("normalize", ["softmax", "rows"])
def test_each_choice_agrees_with_the_loops(blocks, normalize, rows):
    closed = cacr_loss(blocks, normalize=normalize, rows=rows)
    assert_close(closed, soft_equivalence_loss(blocks, normalize=normalize, rows=rows))


def test_is_zero_when_the_modalities_are_congruent(blocks):
    congruent = replace(blocks, ll=project(blocks.vv, blocks.lv))
    assert cacr_loss(congruent, "language") == pytest.approx(0, abs=1e-15)
    assert cacr_loss(blocks, "language") > 1e-4


@pytest.mark.parametrize(
    "loss", ["cacr", "cacr-rows", "cacr-sharp", "iais-singular", "iais-distributed", "flat"]
)
def test_ignores_the_order_of_regions(blocks, loss):
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    shuffled = replace(
        blocks,
        lv=blocks.lv[:, :, order],
        vl=blocks.vl[:, order],
        vv=blocks.vv[:, order][:, :, order],
        region_mask=blocks.region_mask[:, order],
    )
    assert_close(attention_loss(loss)(shuffled), attention_loss(loss)(blocks))


@pytest.mark.parametrize(
    "loss", ["cacr", "cacr-rows", "cacr-sharp", "iais-singular", "iais-distributed", "flat"]
)
def test_ignores_padding(blocks, loss):
    def pad(x, *sides):
        return torch.nn.functional.pad(x, sides)

    padded = AttentionBlocks(
        pad(blocks.ll, 0, 2, 0, 2),
        pad(blocks.lv, 0, 3, 0, 2),
        pad(blocks.vl, 0, 2, 0, 3),
        pad(blocks.vv, 0, 3, 0, 3),
        pad(blocks.text_mask, 0, 2),
        pad(blocks.region_mask, 0, 3),
    )
    assert_close(attention_loss(loss)(padded), attention_loss(loss)(blocks))


@pytest.mark.parametrize(
    "loss", ["cacr", "cacr-rows", "cacr-sharp", "iais-singular", "iais-distributed", "flat"]
)
def test_gradients_on_padded_examples_are_finite(loss):
    query, key, text, region = random_query_key(dtype=torch.float32)
    query.requires_grad_()
    attention_loss(loss)(AttentionBlocks.from_query_key(query, key, text, region)).backward()
    assert query.grad.isfinite().all()
    assert query.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("loss", "cross"),
    [
        (cacr_loss, False),
        (lambda b: cacr_loss(b, detach_cross=False), True),
        (lambda b: cacr_loss(b, normalize="rows", detach_cross=False), True),
        (lambda b: cacr_loss(b, normalize="rows", sharpen=3.0, detach_cross=False), True),
        (lambda b: cacr_loss(b, sharpen=0.5, detach_cross=False), True),
        (iais_loss, False),
        (lambda b: iais_loss(b, kind="distributed"), True),
        (flatness_loss, False),
    ],
)
def test_gradients_match_finite_differences(loss, cross):
    query, key, text, region = random_query_key(batch=1, heads=2, text=3, regions=3, width=2)
    frozen = AttentionBlocks.from_query_key(query, key, text, region)

    def of(ll, lv, vl, vv):
        return loss(replace(frozen, ll=ll, lv=lv, vl=vl, vv=vv))

    learns = {"ll": True, "lv": cross, "vl": cross, "vv": True}
    inputs = [getattr(frozen, name).clone().requires_grad_(yes) for name, yes in learns.items()]
    assert torch.autograd.gradcheck(of, inputs)


def test_the_cross_attention_learns_only_when_it_is_not_detached(blocks):
    lv = blocks.lv.clone().requires_grad_()
    cacr_loss(replace(blocks, lv=lv), "language", detach_cross=False).backward()
    assert lv.grad.abs().sum() > 0
    ll = blocks.ll.clone().requires_grad_()
    lv.grad = None
    cacr_loss(replace(blocks, ll=ll, lv=lv), "language").backward()
    assert lv.grad is None
    assert ll.grad.abs().sum() > 0


def test_both_directions_are_the_sum(blocks):
    assert_close(cacr_loss(blocks), cacr_loss(blocks, "language") + cacr_loss(blocks, "vision"))


def test_autocast_cannot_change_the_loss():
    blocks = AttentionBlocks.from_query_key(*random_query_key(dtype=torch.float32))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = cacr_loss(blocks)
    assert inside == cacr_loss(blocks)


def test_a_causal_model_has_the_language_direction_only(blocks):
    causal = replace(blocks, vl=None)
    assert_close(cacr_loss(causal, "language"), cacr_loss(blocks, "language"))
    for loss in (cacr_loss, iais_loss, flatness_loss):
        with pytest.raises(ValueError, match='no(ne|) .*causal model.*Use direction="language"'):
            loss(causal)
    with pytest.raises(ValueError, match='kind="distributed" multiplies S_LV with S_VL'):
        iais_loss(causal, "language", kind="distributed")


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"direction": "langauge"}, "unknown direction 'langauge'. Did you mean 'language'"),
        ({"variant": "released"}, "unknown variant 'released'. Did you mean 'release'"),
        ({"normalize": "row"}, "unknown normalize 'row'. Did you mean 'rows'"),
        ({"rows": "average"}, "unknown rows 'average'. Known: mean, sum"),
        ({"sharpen": 0.0}, "sharpen is 0.0; expected an exponent above 0"),
        ({"sharpen": float("nan")}, "sharpen is nan; expected an exponent above 0"),
        ({"sharpen": float("inf")}, "sharpen is inf; expected an exponent above 0"),
        ({"detach": True}, "unknown choice 'detach'. Did you mean 'detach_cross'"),
    ],
)
def test_a_mistyped_choice_gets_a_sentence(blocks, choices, message):
    with pytest.raises(ValueError, match=message):
        cacr_loss(blocks, **choices)


def test_rows_of_scores_are_refused(scores):
    with pytest.raises(ValueError, match="needs probabilities"):
        cacr_loss(scores, normalize="rows")


@pytest.mark.parametrize("loss", [iais_loss, flatness_loss])
def test_scores_are_refused_where_a_loss_needs_probabilities(scores, loss):
    with pytest.raises(ValueError, match=f"{loss.__name__} needs probabilities and the blocks hold scores"):
        loss(scores)
    with pytest.raises(ValueError, match="iais_loss needs probabilities and the blocks hold scores"):
        iais_loss(scores, kind="distributed")


def test_each_named_loss_says_what_blocks_it_is_defined_on():
    found = {k: (v.space, v.heads, v.special_tokens) for k, v in LOSSES.items() if v is not None}
    usual, each = ("probabilities", "mean", False), ("probabilities", "each", False)
    assert found == {
        **dict.fromkeys(
            ["iais-singular", "iais-distributed", "cacr", "cacr-rows", "cacr-sharp", "flat"], usual
        ),
        **dict.fromkeys(["cacr-rows-heads", "flat-heads"], each),
        "cacr-paper": ("scores", "each", True),
    }
    assert LOSSES["none"] is None and attention_loss("none") is None


def test_named_losses_have_the_choices_of_their_names(blocks, scores):
    for name, function in {
        "cacr": cacr_loss,
        "cacr-rows": lambda b: cacr_loss(b, normalize="rows"),
        "cacr-rows-heads": lambda b: cacr_loss(b, normalize="rows"),
        "cacr-sharp": lambda b: cacr_loss(b, normalize="rows", sharpen=4.0),
        "iais-singular": iais_loss,
        "iais-distributed": lambda b: iais_loss(b, kind="distributed"),
        "flat": flatness_loss,
        "flat-heads": flatness_loss,
    }.items():
        assert_close(attention_loss(name)(blocks), function(blocks), rtol=1e-12, atol=0)
        both = attention_loss(name).by_direction(blocks, ["vision", "language"])
        assert list(both) == ["vision", "language"]
        for direction, value in both.items():
            assert_close(value, attention_loss(name)(blocks, direction), rtol=1e-12, atol=0)
    assert_close(attention_loss("cacr-paper")(scores), cacr_loss(scores, variant="paper"), rtol=1e-12, atol=0)


def test_losses_of_single_matrices_are_those_of_the_blocks(blocks):
    text, regions = blocks.text_mask, blocks.region_mask
    there = distributed(blocks.ll, blocks.lv, blocks.vl, text)
    assert there.shape == (2,)
    assert_close(there.mean(), iais_loss(blocks, "language", kind="distributed"))
    assert_close(
        distributed(blocks.vv, blocks.vl, blocks.lv, regions).mean(),
        iais_loss(blocks, "vision", kind="distributed"),
    )
    assert_close(singular(blocks.ll, blocks.vv, blocks.lv, text).mean(), iais_loss(blocks, "language"))
    assert_close(congruence(blocks.vv, blocks.ll, blocks.vl, regions).mean(), cacr_loss(blocks, "vision"))
    by_rows = congruence(blocks.vv, blocks.ll, blocks.vl, regions, reading=Reading(normalize="rows"))
    assert_close(by_rows.mean(), cacr_loss(blocks, "vision", normalize="rows"))


def test_single_matrices_are_compared_on_their_support_alone(blocks):
    triangle = torch.ones(5, 5, dtype=torch.bool).tril().expand(2, 5, 5)
    other = blocks.ll.masked_fill(~triangle, 0.3)
    for loss in (
        lambda own: distributed(own, blocks.lv, blocks.vl, blocks.text_mask, triangle),
        lambda own: singular(own, blocks.vv, blocks.lv, blocks.text_mask, triangle),
        lambda own: congruence(own, blocks.vv, blocks.lv, blocks.text_mask, triangle),
    ):
        assert_close(loss(other), loss(blocks.ll))
        assert (loss(blocks.ll.flip(-2)) - loss(blocks.ll)).abs().min() > 1e-6


def test_what_is_carried_is_the_detached_cross_attention_if_nothing_else_is_said(blocks):
    plain = Carried(kl_rows)
    assert (plain.rows, plain.on_scores, plain.centered, plain.fades, plain.hard) == (
        "mean",
        None,
        *[False] * 3,
    )
    assert plain.name == "this loss"
    assert Against(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2), kl_rows).rows == "mean"
    left, right = plain.ends(blocks.lv.clone().requires_grad_(), blocks.text_mask)
    assert left is right and torch.equal(left, blocks.lv) and not left.requires_grad


def test_the_symmetric_kl_is_pooled_over_the_rows_that_count(blocks):
    log_p, log_q = (x.clamp_min(1e-9).log() for x in (blocks.ll, project(blocks.vv, blocks.lv)))
    mask, triangle = blocks.text_mask, torch.ones(5, 5, dtype=torch.bool).tril()
    for support in (None, triangle.expand(2, 5, 5)):
        rows = torch.zeros(2, 5, dtype=torch.float64)
        for b in range(2):
            for i in range(5):
                for j in range(5):
                    if mask[b, i] and mask[b, j] and (support is None or j <= i):
                        p, q = log_p[b, i, j], log_q[b, i, j]
                        rows[b, i] += (p.exp() - q.exp()) * (p - q)
        assert_close(symmetric_kl(log_p, log_q, mask, "sum", support), rows.sum(-1))
        assert_close(symmetric_kl(log_p, log_q, mask, support=support), rows.sum(-1) / mask.sum(-1))


def test_a_log_softmax_is_over_the_columns_that_count(blocks):
    scores, mask = torch.randn(2, 5, 5, dtype=torch.float64), blocks.text_mask
    support = torch.ones(5, 5, dtype=torch.bool).tril().expand(2, 5, 5)
    plain, limited = log_softmax(scores, mask), log_softmax(scores, mask, support)
    for b, length in enumerate(mask.sum(-1).tolist()):
        for i in range(length):
            assert_close(plain[b, i, :length], scores[b, i, :length].log_softmax(-1))
            assert_close(limited[b, i, : i + 1], scores[b, i, : i + 1].log_softmax(-1))
    beyond = log_softmax(scores, mask, None)[1, 4]  # a row of padding has its columns all the same
    assert_close(beyond[:4].exp().sum(), torch.tensor(1.0, dtype=torch.float64))


def test_the_loops_take_no_typing_mistakes(blocks):
    with pytest.raises(ValueError, match="unknown rows 'avg'"):
        soft_equivalence_loss(blocks, rows="avg")


def test_a_mistyped_loss_gets_a_sentence():
    with pytest.raises(ValueError, match="unknown loss 'carc'. Did you mean 'cacr'"):
        attention_loss("carc")


def test_an_unknown_kind_of_iais_gets_a_sentence(blocks):
    with pytest.raises(ValueError, match="unknown kind 'distribute'. Did you mean 'distributed'"):
        iais_loss(blocks, kind="distribute")


def test_flatness_looks_at_own_attention_only(blocks):
    other = replace(blocks, lv=blocks.lv.flip(-1), vl=blocks.vl.flip(-1))
    assert flatness_loss(other) == flatness_loss(blocks)
    assert cacr_loss(other) != cacr_loss(blocks)
