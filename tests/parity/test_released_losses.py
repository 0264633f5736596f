"""Our losses, their gradients, the mining and the schedules equal what the released code computed."""

import json

import pytest
import torch
from tests.conftest import load
from torch.testing import assert_close

from cacr import AttentionBlocks, cacr_loss, iais_loss
from cacr.losses import hardest_negatives, ranking_loss, schedule_weight

DIRECTIONS = {"L": "language", "V": "vision"}
LOSSES = {
    "soft": cacr_loss,
    "singular": iais_loss,
    "distributed": lambda blocks, direction: iais_loss(blocks, direction, kind="distributed"),
}


def from_last_layer(released, weights):
    """The blocks as a function of the last layer's query and key matrices and its input."""
    hidden = released["last_layer_input"].clone().requires_grad_()
    prefix = "uniter.encoder.layer.2.attention.self."
    matrices = [weights[f"{prefix}{name}.weight"].double().requires_grad_() for name in ("query", "key")]
    query, key = (
        (hidden @ matrix.T + weights[f"{prefix}{name}.bias"].double()).unflatten(-1, (4, -1)).transpose(1, 2)
        for name, matrix in zip(("query", "key"), matrices, strict=True)
    )
    masks = (released[f"{side}_mask"].bool() for side in ("text", "region"))
    return AttentionBlocks.from_query_key(query, key, *masks), matrices, (query, key)


@pytest.fixture
def weights(data):
    from safetensors.torch import load_file

    return load_file(data / "uniter_tiny.safetensors")


def test_the_blocks_are_those_of_the_release(released):
    masks = (released[f"{side}_mask"].bool() for side in ("text", "region"))
    blocks = AttentionBlocks.from_query_key(released["query"], released["key"], *masks)
    for name in ("ll", "lv", "vl", "vv"):
        for example in range(2):
            sizes = {
                "l": int(released["text_lengths"][example]),
                "v": int(released["region_counts"][example]),
            }
            rows, columns = sizes[name[0]], sizes[name[1]]
            ours = getattr(blocks, name)[example, :rows, :columns]
            assert_close(ours, released[f"block_{name}"][example, :rows, :columns], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("side", ["L", "V"])
@pytest.mark.parametrize("kind", ["soft", "singular", "distributed"])
def test_values_and_gradients_are_those_of_the_release(released, weights, kind, side):
    blocks, (query_matrix, key_matrix), (query, _) = from_last_layer(released, weights)
    assert_close(query, released["query"], rtol=1e-9, atol=1e-12)
    loss = LOSSES[kind](blocks, DIRECTIONS[side])
    assert_close(loss.detach(), released[f"loss_{side}_{kind}"], rtol=1e-12, atol=0)
    loss.backward()
    for name, matrix in (("query", query_matrix), ("key", key_matrix)):
        stored = released[f"grad_{name}_{side}_{kind}"]
        assert_close(matrix.grad, stored, rtol=1e-9, atol=1e-9 * float(stored.abs().max()))


def test_the_mined_negatives_and_their_loss_are_those_of_the_release():
    stored = load("hard_negatives")
    match = stored["scores"].T
    hard = hardest_negatives(match, int(stored["hard_size"]))
    assert hard[0].tolist() == stored["hard_indices"].tolist()
    group = torch.cat([match[:, :1], match.gather(1, hard)], 1)
    ours = ranking_loss(group, float(stored["margin"]), reduce="none")
    assert_close(ours, stored["rank_loss"].sort(descending=True).values)  # the release leaves them unsorted


@pytest.mark.parametrize("kind", ["exp", "linear", "log"])
def test_the_schedules_are_those_of_the_release(data, kind):
    stored = json.loads((data / "schedules.json").read_text())
    # The release computes them in float32.
    ours = [schedule_weight(step, stored["total"], kind) for step in stored["steps"]]
    assert ours == pytest.approx(stored[f"{kind}_schedule"], abs=2e-7)
