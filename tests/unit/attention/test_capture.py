"""Taps see what attention modules computed from, whatever kind they are, and leave them as they were."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from cacr.attention import joint, watch
from cacr.attention.capture import backend_of, tap
from cacr.attention.capture.allowed import allowed_by, window
from cacr.attention.capture.interface import _captured
from cacr.attention.cut import Captured, Cutter
from cacr.attention.layouts import layout_for
from cacr.tiny_models import TINY

LOWEST = torch.finfo(torch.float32).min


def test_masks_of_every_kind_say_the_same():
    seen = torch.tensor([[[True, True, False], [True, True, True]]])  # [batch, query, key]
    additive = torch.zeros(1, 1, 2, 3).masked_fill(~seen[:, None], LOWEST)
    for mask in (
        seen,
        seen[:, None],
        additive,
        additive.clamp_min(-10_000),
        additive.masked_fill(additive < 0, -torch.inf),
    ):
        assert torch.equal(allowed_by(mask, 1, 2, 3)[:, 0], seen)
    assert allowed_by(None, 1, 2, 3) is None
    padding = torch.tensor([[1, 1, 0]])
    assert torch.equal(allowed_by(padding, 1, 2, 3), torch.tensor([[[[True, True, False]]]]))


def test_a_bias_is_not_a_mask():
    assert allowed_by(torch.full((1, 1, 2, 2), -30.0), 1, 2, 2).all()


def test_a_padding_mask_that_was_expanded_is_one_row():
    padding = torch.tensor([[[[True, False]]]])
    assert allowed_by(padding.expand(1, 1, 5, 2), 1, 5, 2).shape == (1, 1, 1, 2)


def test_a_mask_of_an_unknown_kind_gets_a_sentence():
    with pytest.raises(TypeError, match="the attention mask is str; expected .*another attn_implementation"):
        allowed_by("causal", 1, 2, 2)


def test_a_window_is_causal_and_of_its_width():
    assert window(3, 3, 2, torch.device("cpu"))[0, 0].long().tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]


def test_the_back_end_is_chosen_by_the_module_s_own_class():
    """GIT and BLIP claim to support other kernels, and their text layers do not."""
    for name, wanted in (
        ("visual_bert", "projection"),
        ("git", "projection"),
        ("llava", "interface"),
        ("uniter", "interface"),
    ):
        model = TINY[name]().model
        layout = layout_for(model)
        path, _ = layout.modules(model, 0)["lv"]
        assert backend_of(model.get_submodule(path)) == wanted


class Own(nn.Module):
    """Attention as it is often written outside of transformers."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)
        self.several = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x, padding):  # padding: True where nothing is
        if self.kind == "multihead":
            return self.several(x, x, x, key_padding_mask=padding, need_weights=False)[0]
        q, k, v = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        hidden = padding[:, None, None, :]
        if self.kind == "sdpa":
            out = F.scaled_dot_product_attention(q, k, v, ~hidden)
        else:
            scores = (q @ k.transpose(-1, -2) / 2).masked_fill(hidden, -torch.inf)
            out = {"function": F.softmax, "method": torch.Tensor.softmax}[self.kind](scores, dim=-1) @ v
        return self.out(out.transpose(1, 2).flatten(2))


class Model(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.blocks = nn.ModuleList(Own(kind) for _ in range(2))

    def forward(self, x, words, padding):
        for block in self.blocks:
            x = x + block(x, padding)
        return x


def masks(run):
    words, padding = run.inputs["words"], run.inputs["padding"]
    return words & ~padding, ~words & ~padding


@pytest.mark.parametrize("kind", ["sdpa", "function", "method", "multihead"])
def test_a_model_from_elsewhere_is_traced(kind):
    model = Model(kind)
    x, words, padding = (
        torch.randn(2, 6, 8),
        torch.zeros(2, 6, dtype=torch.bool),
        torch.zeros(2, 6, dtype=torch.bool),
    )
    words[:, :3] = True
    padding[1, 2], padding[1, 5] = True, True
    before = model(x, words, padding)
    with watch(model, layout=joint("mine", "blocks.{layer}", masks)) as attention:
        assert torch.equal(model(x, words, padding), before)
        assert [one.backend for one in attention.taps.values()] == ["trace"]
        blocks = attention.blocks()
    block = model.blocks[1]
    hidden = x + model.blocks[0](x, padding)
    if kind == "multihead":
        q, k = F.linear(hidden, block.several.in_proj_weight, block.several.in_proj_bias).chunk(3, -1)[:2]
    else:
        q, k = block.qkv(hidden).chunk(3, -1)[:2]
    q, k = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in (q, k))
    for example, real in ((0, [0, 1, 2]), (1, [0, 1])):
        expected = (q[example][:, real] @ k[example][:, real].transpose(-1, -2) / 2).softmax(-1).mean(0)
        assert_close(blocks.ll[example, : len(real), : len(real)], expected)
    blocks.ll.square().sum().backward()
    weight = block.several.in_proj_weight if kind == "multihead" else block.qkv.weight
    assert weight.grad[:16].abs().sum() > 0


def test_a_module_that_does_not_run_or_runs_twice_is_said():
    x, words, padding = torch.randn(1, 4, 8), torch.tensor([[1, 1, 0, 0]]).bool(), torch.zeros(1, 4).bool()
    model = Model("sdpa")
    with watch(model, layout=joint("mine", "blocks.{layer}", masks)):
        model.blocks[0].forward = model.blocks[1].forward
        model.blocks[1].forward = lambda x, padding: x
        with pytest.raises(
            RuntimeError, match=r"blocks.1 computed attention 0 times .*expected 1 \(back end trace\)"
        ):
            model(x, words, padding)
    twice = Model("sdpa")
    twice.blocks[1].register_forward_hook(lambda module, args, out: module.forward(*args))
    with (
        watch(twice, layout=joint("mine", "blocks.{layer}", masks)),
        pytest.raises(
            RuntimeError, match=r"2 times in one forward pass, expected 1.*Place\(path, call=0, calls=2"
        ),
    ):
        twice(x, words, padding)


def test_a_path_that_leads_nowhere_names_the_layout():
    with pytest.raises(ValueError, match="Model has no module at layers; expected one. Give the full path"):
        watch(Model("sdpa"), layout=joint("mine", "layers.{layer}.attention", masks))


def test_a_mask_of_the_wrong_length_is_said():
    wrong = joint("mine", "blocks.{layer}", lambda run: tuple(mask[:, :3] for mask in masks(run)))
    model = Model("sdpa")
    with (
        watch(model, layout=wrong),
        pytest.raises(ValueError, match=r"mask of shape \(1, 3\) for the text, and S_LL"),
    ):
        model(torch.randn(1, 4, 8), torch.tensor([[1, 1, 0, 0]]).bool(), torch.zeros(1, 4).bool())


def test_a_tap_alone_keeps_queries_and_keys_of_grouped_heads():
    tiny = TINY["llava"]()
    one = tap(tiny.model.model.language_model.layers[0].self_attn, "layer 0")
    one.arm()
    tiny.model(**tiny.inputs)
    (call,) = one.calls
    assert call.query.shape[1] == 2 * call.key.shape[1]
    one.disarm()
    tiny.model(**tiny.inputs)
    assert not one.calls


class Biased(Own):
    """Attention with a learned bias, passed as a floating-point mask."""

    def __init__(self, kind):
        super().__init__(kind)
        self.bias = nn.Parameter(torch.randn(1, 2, 6, 6))

    def forward(self, x, padding):
        if self.kind == "multihead":
            bias = self.bias[0].repeat(len(x), 1, 1)
            return self.several(x, x, x, attn_mask=bias, need_weights=False)[0]
        q, k, v = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        if self.kind == "sdpa":
            out = F.scaled_dot_product_attention(q, k, v, self.bias)
        else:
            out = (q @ k.transpose(-1, -2) / 2 + self.bias).softmax(-1) @ v
        return self.out(out.transpose(1, 2).flatten(2))


def test_a_bias_in_a_floating_point_mask_is_part_of_the_scores():
    seen = {}
    words = torch.tensor([[True, True, True, False, False, False]])
    for kind in ("sdpa", "written out", "multihead"):
        torch.manual_seed(0)
        model = Model(kind)
        model.blocks = nn.ModuleList([Biased(kind)])
        with torch.no_grad():  # the same queries and keys, however they are projected
            model.blocks[0].several.in_proj_weight.copy_(model.blocks[0].qkv.weight)
            model.blocks[0].several.in_proj_bias.copy_(model.blocks[0].qkv.bias)
        with watch(model, layout=joint("mine", "blocks.{layer}", masks)) as attention:
            model(torch.ones(1, 6, 8).cumsum(1), words, torch.zeros(1, 6).bool())
            seen[kind] = attention.blocks()
    for blocks in seen.values():
        assert_close(blocks.ll, seen["written out"].ll)
    seen["sdpa"].ll.square().sum().backward()


def test_scores_are_capped_where_the_model_caps_them():
    query, key = torch.randn(1, 1, 4, 3) * 5, torch.randn(1, 1, 4, 3) * 5
    everything = torch.ones(1, 4, dtype=torch.bool)
    scores = Cutter(everything, everything).scores(Captured(query, key, 1.0, softcap=2.0), "l", "v")
    assert_close(scores, 2 * (query @ key.transpose(-1, -2) / 2).tanh())


def test_a_kernel_without_a_mask_is_causal_within_the_window_it_is_told():
    module, x = nn.Identity(), torch.randn(1, 1, 5, 4)
    call = _captured(module, x, x, None, "flash_attention_2", {"sliding_window": 2})
    assert torch.equal(call.allowed, window(5, 5, 2, x.device))
    call = _captured(module, x, x, None, "sdpa", {})
    assert call.causal and call.allowed is None
    assert not _captured(module, x, x, None, "eager", {}).causal


@pytest.mark.parametrize(
    "told", [{"cu_seq_lens_q": torch.tensor([0, 2, 5])}, {"position_ids": torch.tensor([[0, 1, 0, 1, 2]])}]
)
def test_packed_examples_are_refused(told):
    x = torch.randn(1, 1, 5, 4)
    with pytest.raises(ValueError, match="several examples are packed into one row"):
        _captured(nn.Identity(), x, x, None, "flash_attention_2", told)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_interrupted_forward_pass_leaves_no_mode_and_no_old_masks(error):
    model, x = Model("sdpa"), torch.randn(1, 4, 8)
    words, padding = torch.tensor([[True, True, False, False]]), torch.zeros(1, 4).bool()
    with watch(model, layout=joint("mine", "blocks.{layer}", masks)) as attention:
        with pytest.raises(error):
            model.blocks[1].out.register_forward_hook(lambda *a: (_ for _ in ()).throw(error()))
            model(x, words, padding)
        model.blocks[1].out._forward_hooks.clear()
        model(x, ~words, padding)
        first = attention.blocks()
        model(x, ~words, padding)
        assert torch.equal(first.ll, attention.blocks().ll)
    assert torch._C._len_torch_function_stack() == 0
