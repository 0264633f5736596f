"""Taps on modules that are not as usual: other maps, other devices, a kernel set by hand, a layer that does not fit."""

import pytest
import torch
from tests.unit.attention.test_capture import Own
from torch import nn
from torch.testing import assert_close

from cacr.attention import watch
from cacr.attention.capture import backend_of, tap
from cacr.attention.cut import Captured
from cacr.tiny_models import TINY


def test_maps_of_their_own_for_queries_and_keys_are_read_as_torch_does():
    """nn.MultiheadAttention across modalities of other widths."""
    several = nn.MultiheadAttention(8, 2, kdim=6, vdim=5, batch_first=True)
    nn.init.normal_(several.in_proj_bias)
    one = tap(several, "several", "trace")
    one.arm()
    words, regions = torch.randn(2, 3, 8), torch.randn(2, 4, 6)
    _, theirs = several(words, regions, torch.randn(2, 4, 5), average_attn_weights=False)
    (call,) = one.calls
    assert_close((call.query @ call.key.transpose(-1, -2) * call.scale).softmax(-1), theirs)
    one.remove()


def test_a_module_with_heads_and_no_known_pair_of_maps_is_traced():
    block = Own("sdpa")
    block.num_heads = 2
    assert backend_of(block) == "trace"
    with pytest.raises(ValueError, match=r"blocks\.0 \(Own\) has no pair of linear maps"):
        tap(block, "blocks.0", "projection")


def test_a_kernel_may_be_set_on_the_watched_module_itself():
    model = TINY["llava"]().model
    layer = model.model.language_model.layers[-1].self_attn
    own = layer.config
    with watch(model):
        layer.config._attn_implementation = "eager"
        assert (layer.config._attn_implementation, own._attn_implementation) == ("cacr|eager", "eager")
    assert layer.config is own


def test_where_one_layer_cannot_be_watched_the_others_are_left_as_they_were():
    model = TINY["llava"]().model
    layers = [layer.self_attn for layer in model.model.language_model.layers]
    own = [layer.config for layer in layers]
    del layers[-1].config
    with pytest.raises(ValueError, match="does not ask transformers' AttentionInterface"):
        watch(model, layer="all", backend="interface")
    assert all(layer.config is before for layer, before in zip(layers[:-1], own[:-1], strict=True))
    watch(model, layer=0).detach()  # nothing is attached


def test_what_lies_on_another_device_moves_as_a_whole():
    """Modules of one model may lie on several; here the other is torch's device without memory."""
    x, elsewhere = torch.randn(1, 2, 4, 3), torch.device("meta")
    call = Captured(x, x, 0.5, bias=torch.zeros(1, 2, 4, 4), allowed=torch.ones(1, 1, 4, 4).bool())
    moved = call.to(elsewhere)
    parts = (moved.query, moved.key, moved.bias, moved.allowed)
    assert {part.device for part in parts} == {elsewhere}
    assert (moved.scale, moved.logits, moved.size) == (0.5, None, call.size)
    assert Captured(logits=x).to(elsewhere).seen.device == elsewhere
    assert call.to(x.device) is call
