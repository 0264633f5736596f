"""Distances, losses and gradients of many heads at once are those of one at a time, by the project's own formulas."""

import math

import numpy as np
import pytest
import torch

from cacr.explore.analysis.distances import cosine, gradient, gradient_at, row_sums, through_softmax
from cacr.explore.analysis.measures import MEASURES
from cacr.explore.analysis.pairs import measure
from cacr.explore.relations import DIRECTIONS, divergence, related, relations, sides
from cacr.losses import cacr_loss, flatness_loss, iais_loss

HEADS = (None, 0, 1, 2)


def at(measured, name, layer, head):
    return measured.values[name][measured.layers.index(layer), 0 if head is None else 1 + head]


@pytest.mark.parametrize("causal", [False, True])
def test_distances_are_those_of_the_relation_maps(attended_of, causal):
    attended = attended_of(causal=causal)
    measured = measure(attended, None, "p")
    for layer in attended.layers:
        for head in HEADS:
            for way in DIRECTIONS[: 1 if causal else 2]:
                maps = relations(attended.at(layer, head), way)
                wanted = {
                    "soft": maps.soft_divergence,
                    "hard": maps.hard_divergence,
                    "flat": maps.flatness["own"],
                    "soft_flat": maps.flatness["soft"],
                    "hard_flat": maps.flatness["hard"],
                }
                for name, by_row in wanted.items():
                    assert at(measured, f"{name}_{way}", layer, head) == pytest.approx(by_row.mean().item())
    assert ("soft_vision" in measured.values) != causal
    assert ("entropy_vl" in measured.values) != causal


@pytest.mark.parametrize("causal", [False, True])
def test_losses_are_the_losses(attended_of, causal):
    attended = attended_of(causal=causal)
    measured = measure(attended, None, "p")
    for layer in attended.layers:
        for head in HEADS:
            blocks = attended.at(layer, head)
            for way in DIRECTIONS[: 1 if causal else 2]:
                wanted = {
                    "cacr_release": cacr_loss(blocks, way),
                    "soft": cacr_loss(blocks, way, normalize="rows"),
                    "iais": iais_loss(blocks, way),
                    "flat": flatness_loss(blocks, way),
                }
                if not causal:
                    wanted["iais_distributed"] = iais_loss(blocks, way, kind="distributed")
                for name, loss in wanted.items():
                    found = at(measured, f"{name}_{way}", layer, head)
                    assert found == pytest.approx(loss.item(), rel=1e-6), name


@pytest.mark.parametrize("causal", [False, True])
def test_cosines_are_of_the_gradients_that_autograd_gives(attended_of, causal):
    attended = attended_of(causal=causal, layers=(1,), heads=0)
    measured = measure(attended, None, "p")
    blocks = attended.at(1)
    own = blocks.ll.double()
    support = torch.ones(5, 5, dtype=torch.bool).tril() if causal else torch.ones(5, 5, dtype=torch.bool)
    maps = relations(blocks)

    def slope(loss):
        logits = own[0].log().masked_fill(~support, -math.inf).requires_grad_()
        return torch.autograd.grad(loss(logits.softmax(-1)), logits)[0]

    def with_(p):
        return type(blocks)(
            p[None], blocks.lv.double(), None if causal else blocks.vl.double(), blocks.vv.double(),
            blocks.text_mask, blocks.region_mask, ll_support=blocks.ll_support,
        )  # fmt: skip

    down = slope(lambda p: flatness_loss(with_(p), "language"))
    wanted = {
        "soft": slope(lambda p: divergence(p, maps.soft, support).mean()),
        "hard": slope(lambda p: divergence(p, maps.hard, support).mean()),
        "release": slope(lambda p: cacr_loss(with_(p), "language")),
        "iais": slope(lambda p: iais_loss(with_(p), "language")),
    }
    for name, one in wanted.items():
        expected = torch.nn.functional.cosine_similarity(one.flatten(), down.flatten(), dim=0).item()
        assert at(measured, f"cosine_{name}_language", 1, None) == pytest.approx(expected, abs=1e-6), name
        assert abs(expected) < 0.999  # the test could tell


def test_the_gradient_is_that_of_finite_differences():
    own, target = (torch.rand(1, 3, 3, dtype=torch.float64).softmax(-1) for _ in range(2))
    seen, logits, step = torch.ones(1, 3, 3, dtype=torch.bool), own.log(), 1e-6
    total = lambda z: divergence(z.softmax(-1), target, seen).sum()
    found = gradient(own, target, seen)
    for place in [(0, 0, 1), (0, 2, 2)]:
        moved = torch.zeros_like(logits)
        moved[place] = step
        slope = (total(logits + moved) - total(logits - moved)) / (2 * step)
        assert found[place].item() == pytest.approx(slope.item(), abs=1e-6)
    assert torch.equal(gradient_at(own, own, seen), torch.zeros_like(own))
    assert through_softmax(own, torch.ones_like(own), seen).abs().max() < 1e-12  # a shift of logits is none


def test_a_uniform_target_is_a_flatness_penalty(attended_of):
    flat = torch.full((1, 3, 4, 4), 0.25, dtype=torch.float64)
    measured = measure(attended_of(vv=flat), None, "p")
    for name in ("soft", "hard"):
        assert np.allclose(measured.values[f"{name}_language"], measured.values["flat_language"])
        assert np.allclose(measured.values[f"{name}_flat_language"], 0)
        assert np.allclose(measured.values[f"cosine_{name}_language"], 1)


def test_congruent_attention_is_at_no_distance(attended_of):
    same = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).softmax(-1)
    eye = torch.eye(4, dtype=torch.float64).expand(1, 3, 4, 4)
    measured = measure(attended_of(words=4, ll=same, vv=same, lv=eye, vl=eye), None, "p")
    for way in DIRECTIONS:
        for name in ("soft", "hard", "cacr_release"):
            assert np.allclose(measured.values[f"{name}_{way}"], 0, atol=1e-9)
        assert np.isnan(measured.values[f"cosine_soft_{way}"]).all()  # no gradient has no direction


def test_cosine_knows_opposite_and_nothing():
    x = torch.rand(1, 3, 3, dtype=torch.float64)
    found = torch.cat([cosine(x, 2 * x), cosine(x, -x), cosine(x, torch.zeros_like(x))])
    assert found[:2].tolist() == pytest.approx([1, -1]) and found[2].isnan()
    assert cosine(1e-9 * x, 1e-9 * x).item() == pytest.approx(1)  # short gradients have a direction too


def test_sums_over_rows_are_those_of_each_row(attended_of):
    attended = attended_of(layers=(0,), heads=0)
    maps = relations(attended.at(0))
    found = row_sums(related(*sides(attended.at(0), "language")))
    x = maps.flatness["own"]
    for name, y in (("soft", maps.soft_divergence), ("hard", maps.hard_divergence)):
        wanted = [5.0, *(one.sum().item() for one in (x, y, x * x, y * y, x * y))]
        assert found[name][0].tolist() == pytest.approx(wanted)


def test_every_measure_is_defined_and_told(attended_of):
    truth = torch.zeros(5, 4, dtype=torch.bool)
    truth[1, 2] = truth[3, 0] = True
    measured = measure(attended_of(), truth, "p")
    assert measured.values.keys() == MEASURES.keys()
    assert all(value.shape == (2, 4) for value in measured.values.values())
    assert (measured.words, measured.regions, measured.named) == (5, 4, 2)


def test_the_mean_over_heads_is_measured_and_not_the_mean_of_measures(attended_of):
    attended = attended_of()
    measured = measure(attended, None, "p")
    alone = measure(attended_of(heads=0, layers=(0,), ll=attended.at(0).ll, lv=attended.at(0).lv, vl=attended.at(0).vl,
                                vv=attended.at(0).vv), None, "p")  # fmt: skip
    assert measured.values["soft_language"][0, 0] == pytest.approx(alone.values["soft_language"][0, 0])
    assert alone.values["soft_language"].shape == (1, 1)
    assert measured.values["soft_language"][0, 1:].mean() != pytest.approx(
        alone.values["soft_language"][0, 0]
    )


def test_regions_find_words_by_the_mirrored_truth(attended_of):
    truth = torch.eye(4) > 0
    shifted = torch.roll(torch.eye(4, dtype=torch.float64), 1, 0).expand(1, 3, 4, 4)
    measured = measure(
        attended_of(words=4, lv=torch.eye(4).double().expand(1, 3, 4, 4), vl=shifted), truth, "p"
    )
    assert (measured.values["argmax_lv"] == 1).all() and (measured.values["argmax_vl"] == 0).all()
    assert np.allclose(measured.values["argmax_lv_over_chance"], 0.75)
    assert np.allclose(measured.values["soft_vl_over_chance"], -0.25)
    asymmetric = torch.zeros(4, 4, dtype=torch.bool)
    asymmetric[0, 1] = True
    tall = measure(attended_of(words=4, vl=shifted), asymmetric, "p")
    assert (tall.values["argmax_vl"] == 1).all()  # region 1 looks at word 0


def test_layers_are_measured_alike_however_many_at_a_time(attended_of, monkeypatch):
    from cacr.explore.analysis import pairs

    attended = attended_of(layers=(0, 1, 2))
    together = measure(attended, None, "p")
    monkeypatch.setattr(pairs, "AT_ONCE", 1)
    apart = measure(attended, None, "p")
    for name, value in together.values.items():
        assert value.shape == (3, 4) and np.allclose(value, apart.values[name], equal_nan=True), name
    assert all(np.allclose(value, apart.sums[name]) for name, value in together.sums.items())


def test_bad_input_is_named(attended_of):
    with pytest.raises(ValueError, match=r"the truth of p is torch.bool of shape \(4, 5\)"):
        measure(attended_of(), torch.zeros(4, 5, dtype=torch.bool), "p")


def test_every_distance_of_a_pair_is_worked_out_once(attended_of, monkeypatch):
    from cacr.explore import relations as maps

    calls = {"divergence": 0, "project": 0, "looked_up": 0}
    for name in calls:
        whole = getattr(maps, name)

        def counted(*given, name=name, whole=whole):
            calls[name] += 1
            return whole(*given)

        monkeypatch.setattr(maps, name, counted)
        for room in ("distances", "pairs"):
            monkeypatch.setattr(f"cacr.explore.analysis.{room}.{name}", counted, raising=False)
    measure(attended_of(), None, "p")
    assert calls == {"divergence": 10, "project": 2, "looked_up": 2}  # 5 distances and 2 targets, both ways


def test_the_loss_by_rows_is_told_under_one_name(attended_of):
    assert not [name for name in measure(attended_of(), None, "p").values if name.startswith("cacr_rows")]
    assert 'normalize="rows"' in MEASURES["soft_language"].says
