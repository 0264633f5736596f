"""attach watches when it should, through any kernel, the layers, examples and positions that are asked for."""

import pytest
import torch
from tests.unit.regularizer.test_every_architecture import run
from torch import nn
from torch.testing import assert_close

from cacr import attach
from cacr.attention import watch
from cacr.attention.capture import BACKENDS, backend_of
from cacr.tiny_models import TINY

# When it works


@pytest.mark.parametrize("how", ["eval", "no_grad", "paused"])
def test_evaluation_and_mining_pay_nothing(tiny, how):
    reg = attach(tiny.model)
    seen = []
    for one in reg.taps.values():
        one.heard = lambda: seen.append(1)
    if how == "eval":
        out = tiny.model.eval()(**tiny.inputs)
    elif how == "no_grad":
        with torch.no_grad():
            out = tiny.model(**tiny.inputs)
    else:
        with reg.paused():
            out = tiny.model(**tiny.inputs)
    assert not hasattr(out, "cacr_loss") and not seen
    assert all(not one.calls and not one.armed for one in reg.taps.values())


def test_recording_watches_in_eval_mode_and_without_gradients(tiny):
    reg = attach(tiny.model.eval())
    with reg.recording(), torch.no_grad():
        tiny.model(**tiny.inputs)
    assert reg.blocks().lv.shape == (2, 7, 4)
    with pytest.raises(RuntimeError, match="no forward pass was watched yet"):
        attach(TINY["visual_bert"]().model).blocks()


def test_generation_is_unchanged_and_keeps_nothing(llava):
    llava.model.eval()
    prompt = {k: v[:1] for k, v in llava.inputs.items() if k != "labels"}
    before = llava.model.generate(**prompt, max_new_tokens=3, do_sample=False)
    reg = attach(llava.model)
    assert torch.equal(llava.model.generate(**prompt, max_new_tokens=3, do_sample=False), before)
    assert not reg._blocks


def test_the_watched_layer_pays_and_no_other(llava):
    """The other layers keep their kernel: only one module has another attention function."""
    attach(llava.model)
    kinds = [layer.self_attn.config._attn_implementation for layer in llava.model.model.language_model.layers]
    assert kinds == ["sdpa", "sdpa", "cacr|sdpa"]


# Kernels and back ends


def blocks_with(name, kernel):
    tiny = TINY[name]()
    tiny.model.set_attn_implementation(kernel)
    with watch(tiny.model.eval()) as attention, torch.no_grad():
        tiny.model(**tiny.inputs)
        return attention.blocks()


FLEX = pytest.param("flex_attention", marks=pytest.mark.slow)
FLEX_WARNS = "ignore:_compile flag on create_block_mask:DeprecationWarning"  # about transformers' own call


@pytest.mark.filterwarnings(FLEX_WARNS)
@pytest.mark.parametrize("name", ["uniter", "llava", "paligemma", "florence2"])
@pytest.mark.parametrize("kernel", ["eager", "padding_only", FLEX])
def test_every_kernel_gives_the_same_blocks(name, kernel):
    if kernel == "padding_only" and name in ("paligemma", "florence2"):
        pytest.skip(
            "a flash kernel cannot express PaliGemma's mask; Florence-2 has no such path in its vision tower"
        )
    register_padding_only()
    torch._dynamo.reset()  # flex attention compiles anew for every model, up to a limit
    ours, theirs = blocks_with(name, kernel), blocks_with(name, "sdpa")
    for field in ("ll", "lv", "vv"):
        assert_close(getattr(ours, field), getattr(theirs, field), atol=1e-5, rtol=0)
    if name == "llava":
        real = theirs.text_mask[:, :, None]
        assert torch.equal(ours.ll_support & real, theirs.ll_support & real)


def register_padding_only():
    """What a flash kernel gets: no full mask, padding as [batch, key] or None, causality from the module."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import flash_attention_mask

    def padding_only(module, query, key, value, attention_mask, scaling=None, **kwargs):
        assert attention_mask is None or attention_mask.ndim == 2
        groups = query.shape[1] // key.shape[1]
        key, value = (x.repeat_interleave(groups, 1) for x in (key, value))
        mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool)
        mask = mask.tril() if module.is_causal else mask
        if attention_mask is not None:
            mask = mask & attention_mask.bool()[:, None, None, :]
            mask = mask | ~mask.any(-1, keepdim=True)
        out = nn.functional.scaled_dot_product_attention(query, key, value, mask, scale=scaling)
        return out.transpose(1, 2).contiguous(), None

    AttentionInterface.register("padding_only", padding_only)
    AttentionMaskInterface.register("padding_only", flash_attention_mask)


@pytest.mark.parametrize("name", ["visual_bert", "uniter", "llava", "blip_itm", "gemma3", "blip2_t5"])
def test_the_trace_back_end_sees_what_the_others_see(name):
    losses = {}
    for backend in ("auto", "trace"):
        tiny = TINY[name]()
        if name == "blip2_t5":  # adds position biases, which only its own eager attention shows
            tiny.model.set_attn_implementation("eager")
        reg = attach(tiny.model.train(), backend=backend)
        losses[backend] = run(tiny.model, tiny.inputs).cacr_loss
        wanted = {backend} if backend == "trace" else {backend_of(one.module) for one in reg.taps.values()}
        assert {one.backend for one in reg.taps.values()} == wanted
    assert_close(losses["auto"], losses["trace"])


def test_the_kernel_may_be_changed_after_attaching(llava):
    reg = attach(llava.model)
    before = run(llava.model, llava.inputs)
    llava.model.set_attn_implementation("eager")
    after = run(llava.model, llava.inputs)
    assert_close(after.loss, before.loss)
    assert_close(after.cacr_loss, before.cacr_loss)
    reg.detach()
    assert llava.model.model.language_model.layers[-1].self_attn.config._attn_implementation == "eager"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_back_end_that_does_not_fit_is_refused(tiny, backend):
    if backend == "interface":
        with pytest.raises(ValueError, match="does not ask transformers' AttentionInterface"):
            attach(tiny.model, backend=backend)
    assert not hook_total(tiny.model)
    with pytest.raises(ValueError, match="unknown backend 'tracing'. Did you mean 'trace'"):
        attach(tiny.model, backend="tracing")


def hook_total(model):
    return sum(len(v) for m in model.modules() for k, v in m.__dict__.items() if k.endswith("_hooks"))


# Layers, examples, positions


def test_several_layers_are_averaged_and_told_apart(tiny):
    reg = attach(tiny.model, layer=[-1, -2])
    out = tiny.model(**tiny.inputs)
    parts = [reg.last[f"layer_{n}/language"] + reg.last[f"layer_{n}/vision"] for n in (1, 2)]
    assert_close(out.cacr_loss.detach(), torch.stack(parts).mean())
    assert reg.blocks(layer=-1).ll.shape == reg.blocks(layer=1).ll.shape
    assert not torch.equal(reg.blocks(layer=2).ll, reg.blocks(layer=1).ll)
    with pytest.raises(ValueError, match=r"layers \[1, 2\] are watched; say which"):
        reg.blocks()
    with pytest.raises(ValueError, match="layer 0 is not watched"):
        reg.blocks(layer=0)
    reg.detach()
    assert attach(tiny.model, layer="all").layers == [0, 1, 2]


def test_the_last_layer_is_the_last_that_sees_the_whole_image():
    """Gemma 3 ends in a sliding-window layer; Mllama looks at the image at few layers."""
    gemma = attach(TINY["gemma3"]().model)
    assert gemma.layers == [1] and "layer 1: S_LL" in repr(gemma)
    mllama = TINY["mllama"]().model
    assert attach(mllama, layer="all").layers == [1, 3]
    with pytest.raises(ValueError, match=r"layer 2 has no text-image attention; layers with it: \[1, 3\]"):
        attach(TINY["mllama"]().model, layer=2)


def test_a_sliding_window_that_hides_regions_is_refused_not_averaged_away():
    tiny = TINY["gemma3"]()
    attach(tiny.model.train(), layer=-1)
    with pytest.raises(ValueError, match="hides .*% of the regions from the words, so S_LV is incomplete"):
        tiny.model(**tiny.inputs)
    attach_state = [m for m in tiny.model.modules() if getattr(getattr(m, "_cacr_tap", None), "armed", False)]
    assert not attach_state  # an error leaves nothing armed


@pytest.mark.parametrize(
    "select", [slice(0, 1), [0], torch.tensor([True, False]), lambda inputs: inputs["attention_mask"].all(1)]
)
def test_select_takes_some_examples_only(tiny, select):
    reg = attach(tiny.model, select=select)
    chosen = tiny.model(**tiny.inputs).cacr_loss
    assert len(reg.blocks()) == 1
    reg.detach()
    attach(tiny.model)
    alone = tiny.model(**{key: value[:1] for key, value in tiny.inputs.items()}).cacr_loss
    assert_close(chosen, alone)


def test_examples_without_a_picture_are_refused_or_left_out_as_asked(llava):
    llava.inputs["input_ids"][1] = 5  # no picture token
    llava.inputs["pixel_values"] = llava.inputs["pixel_values"][:1]
    reg = attach(llava.model)
    with pytest.raises(ValueError, match='no region in example 1.*select="paired"'):
        llava.model(**llava.inputs)
    reg.detach()
    reg = attach(llava.model, select="paired")
    assert llava.model(**llava.inputs).cacr_loss > 0
    assert len(reg.blocks()) == 1
    reg.detach()
    attach(llava.model)
    llava.inputs["input_ids"] = TINY["llava"]().inputs["input_ids"][:1]
    alone = {"input_ids": llava.inputs["input_ids"], "pixel_values": llava.inputs["pixel_values"]}
    assert_close(reg.last["language"], llava.model(**alone).cacr_loss.detach())


def test_a_batch_without_any_pair_adds_nothing_when_pairs_are_asked_for(llava):
    attach(llava.model, select="paired")
    text = {"input_ids": torch.randint(5, 50, (2, 6)), "labels": torch.randint(5, 50, (2, 6))}
    out = llava.model(**text)
    assert out.cacr_loss == 0
    (out.loss + out.cacr_loss).backward()


def test_special_tokens_can_be_left_out(tiny):
    special = tiny.inputs["input_ids"][0, 0].item()
    reg = attach(tiny.model, special_ids=[special])
    tiny.model(**tiny.inputs)
    expected = (tiny.inputs["attention_mask"].bool() & (tiny.inputs["input_ids"] != special)).sum(1)
    assert torch.equal(reg.blocks().text_mask.sum(1), expected)


def test_masks_of_the_caller_replace_the_layout_s(llava):
    def last_word(inputs):
        real = inputs["attention_mask"]
        return (real.cumsum(1) == real.sum(1, keepdim=True)) & real.bool()

    reg = attach(llava.model, text_mask=last_word)
    llava.model(**llava.inputs)
    assert torch.equal(reg.blocks().text_mask.sum(1), torch.ones(2, dtype=torch.long))
    reg.detach()
    reg = attach(llava.model, text_mask=lambda inputs: inputs["labels"] != -100)
    with pytest.raises(
        ValueError, match="hides 12% of the regions from the words"
    ):  # one word before the picture
        llava.model(**llava.inputs)
    reg.detach()
    attach(llava.model, text_mask=lambda inputs: inputs["labels"])
    with pytest.raises(ValueError, match=r"text_mask gave torch.int64 of shape .*expected a boolean tensor"):
        llava.model(**llava.inputs)


def test_padding_on_the_left_or_right_does_not_matter(llava):
    reg = attach(llava.model)
    llava.model(**llava.inputs)
    right = reg.last["language"]
    rolled = {}
    for name, value in llava.inputs.items():
        rolled[name] = value.clone()
        if value.ndim == 2:
            rolled[name][1] = value[1].roll(2)
    rolled["position_ids"] = (rolled["attention_mask"].cumsum(1) - 1).clamp_min(0)
    llava.model(**rolled)
    assert_close(reg.last["language"], right)
