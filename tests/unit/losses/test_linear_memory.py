"""Streaming makes nothing as large as regions x regions, and "auto" chooses it where that would be large."""

import gc
import math
import pickle
import weakref
from dataclasses import replace

import pytest
import torch
from tests.unit.losses.test_streaming import DIRECTIONS, METHODS, sequence
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cacr import AttentionBlocks
from cacr.attention.blocks import check_query_key
from cacr.attention.factored import FactoredBlocks
from cacr.losses import LOSSES, cacr_loss_from_query_key, carrying, comparing, streaming


class Largest(TorchDispatchMode):
    """Watches the entries of the largest memory that an operation made."""

    made = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.made = max(self.made, leaf.untyped_storage().nbytes() // leaf.element_size())
        return out


def largest(regions, method, direction, heads="mean"):
    """Entries of the largest tensor made, and of the largest saved for going backward."""
    query, key = torch.randn(2, 1, 2, regions + 8, 4)
    text = (torch.arange(regions + 8) < 8)[None]
    saved = []
    keep = lambda x: saved.append(x.untyped_storage().nbytes() // x.element_size()) or x
    with Largest() as mode, torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        loss = cacr_loss_from_query_key(
            query.requires_grad_(), key.requires_grad_(), text, ~text, direction, method, heads=heads
        )
        loss.backward()
    return mode.made, max(saved)


@pytest.mark.parametrize("heads", ["mean", "each"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_no_tensor_grows_with_the_square_of_the_regions(direction, heads):
    regions = 1500
    tile = max(carrying.ROWS * carrying.COLUMNS, comparing.ELEMENTS, comparing.ROWS * regions)
    made, saved = largest(regions, "streaming", direction, heads)
    assert made <= 2 * tile < regions**2 / 4  # 2: its heads
    assert saved <= comparing.COMPARED  # the rows of a tile that are compared at a time, and let go


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_blocks_keep_a_square_of_the_regions(direction):
    made, saved = largest(700, "blocks", direction)
    assert made >= 2 * 700**2 and saved >= 2 * 700**2


@pytest.mark.parametrize(("more", "kind"), [(0, FactoredBlocks), (1, AttentionBlocks)])
def test_auto_streams_from_the_crossover_on(monkeypatch, more, kind):
    query, key, *masks = sequence()
    monkeypatch.setattr(streaming, "CROSSOVER", {"cpu": 3 * 4 * 7**2 + more})  # examples, heads, regions²
    seen, loss = [], streaming.cacr_loss
    monkeypatch.setattr(
        streaming, "cacr_loss", lambda blocks, *given: seen.append(type(blocks)) or loss(blocks, *given)
    )
    cacr_loss_from_query_key(query, key, *masks)
    assert seen == [kind]


def test_what_auto_streams_has_regions_can_be_factored_and_is_large():
    query, key, text, regions = sequence()
    small = check_query_key(query, key, text, regions, None, "probabilities", "mean")
    size = 4_000_000 // query.shape[1]
    assert streaming.CROSSOVER == {"cpu": 4_000_000}
    large = math.isqrt(size) + 1
    assert streaming.streams(small, [large], "probabilities") is True
    assert streaming.streams(small, [large - 2], "probabilities") is False
    assert streaming.streams(small, [3, large], "probabilities") is True
    assert streaming.streams(small, [], "probabilities") is False  # not known while a compiler traces
    capped = replace(small, softcap=5.0)
    assert streaming.streams(capped, [large], "scores") is False
    assert streaming.streams(capped, [large], "probabilities") is True


def test_an_unknown_method_gets_a_sentence():
    with pytest.raises(ValueError, match="unknown method 'stream'. Did you mean 'streaming'"):
        cacr_loss_from_query_key(*sequence(), method="stream")


@pytest.mark.parametrize("method", METHODS)
def test_an_unknown_variant_gets_a_sentence(method):
    with pytest.raises(ValueError, match="unknown variant 'released'. Did you mean 'release'"):
        cacr_loss_from_query_key(*sequence(), method=method, variant="released")


@pytest.mark.parametrize("space", ["probabilities", "scores"])
def test_while_a_compiler_traces_there_are_blocks(monkeypatch, space):
    query, key, *masks = sequence()
    loss = lambda: cacr_loss_from_query_key(query, key, *masks, method="streaming", space=space)
    plain = loss()
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(loss(), plain, rtol=1e-11, atol=0)


def test_what_a_backward_pass_needs_is_let_go_after_it():
    query, key = (torch.randn(1, 2, 40, 4).requires_grad_() for _ in "qk")
    text = (torch.arange(40) < 3)[None]
    made = query * 1
    seen = weakref.ref(made)
    loss = cacr_loss_from_query_key(made, key * 1, text, ~text, method="streaming", detach_cross=False)
    del made
    loss.backward()
    gc.collect()
    assert seen() is None  # though the loss is still there


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "none"])
def test_a_named_loss_can_be_sent_to_another_process(name):
    assert pickle.loads(pickle.dumps(LOSSES[name])).space == LOSSES[name].space
