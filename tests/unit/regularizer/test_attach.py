"""attach keeps its promises in everyday use: when it works, what it costs, what it says, and what it refuses."""

import copy

import pytest
import torch
from tests.unit.regularizer.test_every_architecture import gradients, run, task_loss
from torch import nn
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

from cacr import attach, cacr_loss, flatness_loss
from cacr.attention import watch
from cacr.attention.capture import BACKENDS, backend_of
from cacr.tiny_models import TINY


@pytest.fixture
def tiny():
    tiny = TINY["visual_bert"]()
    tiny.model.train()
    return tiny


@pytest.fixture
def llava():
    tiny = TINY["llava"]()
    tiny.model.train()
    return tiny


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


# Losses, weights, directions


def test_the_weight_and_the_schedule_are_in_the_field(tiny):
    reg = attach(tiny.model, weight=0.5, schedule="linear", total_steps=4)
    run(tiny.model, tiny.inputs)
    plain = reg.last["language"] + reg.last["vision"]
    for step in (0, 1, 2, 3, 4, 4):  # the end of the schedule is not passed
        assert_close(run(tiny.model, tiny.inputs).cacr_loss.detach(), plain * 0.5 * step / 4)
        reg.step()
    reg.weight = 2.0
    assert_close(run(tiny.model, tiny.inputs).cacr_loss.detach(), plain * 2)


def test_a_schedule_without_an_end_is_asked_for_it(tiny):
    attach(tiny.model, schedule="exp")
    with pytest.raises(ValueError, match="needs to know how long the run is: attach"):
        tiny.model(**tiny.inputs)
    assert not tiny.model._cacr_watch._armed


def test_a_loss_of_one_s_own(tiny):
    reg = attach(
        tiny.model, loss=lambda blocks, direction: flatness_loss(blocks, direction), direction="vision"
    )
    out = tiny.model(**tiny.inputs)
    assert_close(out.cacr_loss, flatness_loss(reg.blocks(), "vision"))


def test_blocks_alone_without_a_loss(tiny):
    reg = attach(tiny.model, loss="none")
    out = tiny.model(**tiny.inputs)
    assert not hasattr(out, "cacr_loss") and reg.blocks().ll.requires_grad
    with pytest.raises(RuntimeError, match="attached without a loss"):
        _ = reg.loss


def test_add_to_loss_reaches_trainers_that_look_at_nothing_else(tiny):
    before = run(tiny.model, tiny.inputs).loss
    attach(tiny.model, weight=3.0, add_to_loss=True)
    out = run(tiny.model, tiny.inputs)
    assert_close(out.loss, before + out.cacr_loss)
    del tiny.inputs["labels"], tiny.inputs["sentence_image_labels"]
    with pytest.raises(ValueError, match="returned no loss to add to"):
        tiny.model(**tiny.inputs)


def test_a_loss_summed_over_an_accumulation_window_needs_its_length(llava):
    attach(llava.model, add_to_loss=True)
    with pytest.raises(ValueError, match="accumulation_steps=args.gradient_accumulation_steps"):
        llava.model(**llava.inputs, num_items_in_batch=torch.tensor(10))
    llava.model._cacr_watch.detach()
    stock = llava.model(**llava.inputs, num_items_in_batch=torch.tensor(10)).loss
    attach(llava.model, add_to_loss=True, accumulation_steps=4)
    out = llava.model(**llava.inputs, num_items_in_batch=torch.tensor(10))
    assert_close(out.loss, stock + out.cacr_loss / 4)


def test_a_causal_model_has_the_language_direction_only_and_says_so(llava):
    reg = attach(llava.model)
    llava.model(**llava.inputs)
    assert reg.directions == ("language",) and "vision" not in reg.last
    assert "direction language only" in repr(reg) and "no S_VL: a causal model" in repr(reg)
    for options, what in (
        ({"direction": "both"}, "direction='both'"),
        ({"loss": "iais-distributed"}, "loss='iais"),
    ):
        with pytest.raises(ValueError, match=f"{what}.*needs attention from regions to words"):
            attach(TINY["llava"]().model, **options)


def test_causal_blocks_are_compared_on_their_triangle(llava):
    """Without the support, the projected matrix would be blamed for what the model may not see."""
    reg = attach(llava.model, loss=lambda b, d: cacr_loss(b, d, normalize="rows"))
    llava.model(**llava.inputs)
    blocks = reg.blocks()
    size = int(blocks.text_mask[0].sum())
    assert torch.equal(blocks.ll_support[0], torch.ones(size, size, dtype=torch.bool).tril())
    assert (blocks.ll[0].triu(1) == 0).all()
    assert reg.last["language"] < 5
    alone = copy.copy(blocks)
    object.__setattr__(alone, "ll_support", None)
    assert cacr_loss(alone, "language", normalize="rows") > 2 * reg.last["language"]


# Memory and precision


@pytest.mark.parametrize("name", ["visual_bert", "llava", "blip_itm", "uniter"])
@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpointing_of_both_kinds_is_exact(name, reentrant):
    grads = {}
    for checkpointed in (False, True):
        tiny = TINY[name]()
        model = tiny.model.train()
        if checkpointed:
            enable = getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)
            enable({"use_reentrant": reentrant})
            if reentrant:
                model.enable_input_require_grads()
        attach(model)
        out = run(model, tiny.inputs)
        (task_loss(out) + 10 * out.cacr_loss).backward()
        grads[checkpointed] = gradients(model)
    assert grads[True].keys() == grads[False].keys()
    for key, value in grads[True].items():
        assert_close(value, grads[False][key], atol=1e-6, rtol=1e-5)


def test_checkpointing_is_on_again_after_the_forward_pass(tiny):
    enable = getattr(tiny.model, "activation_checkpointing_enable", tiny.model.gradient_checkpointing_enable)
    enable()
    attach(tiny.model)
    tiny.model(**tiny.inputs)
    assert all(layer.gradient_checkpointing for layer in tiny.model.visual_bert.encoder.layer)


def test_checkpoints_that_others_put_around_a_layer_are_exact(tiny):
    """torch's wrapper, as FSDP plugins put it around layers after attach, and a call written by hand."""
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    expected = with_attach(tiny)
    attach(tiny.model)
    layers = tiny.model.visual_bert.encoder.layer
    inner = layers[2].attention
    for wrapped in (checkpoint_wrapper(inner), ByHand(inner)):
        layers[2].attention = wrapped
        tiny.model.zero_grad()
        out = run(tiny.model, tiny.inputs)
        (out.loss + out.cacr_loss).backward()
        found = {key.replace("inner.", "").replace("_checkpoint_wrapped_module.", ""): grad
                 for key, grad in gradients(tiny.model).items()}  # fmt: skip
        for key, value in expected.items():
            assert_close(found[key], value, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("inner", ["attention", "attention.self"])
@pytest.mark.parametrize("reentrant", [False, True])
def test_a_wrapper_that_torch_put_around_a_layer_before_is_not_in_the_way(tiny, reentrant, inner):
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
        CheckpointImpl,
        checkpoint_wrapper,
    )

    expected = with_attach(tiny)
    layer = tiny.model.visual_bert.encoder.layer[2]
    kind = CheckpointImpl.REENTRANT if reentrant else CheckpointImpl.NO_REENTRANT
    wrapped = checkpoint_wrapper(layer.get_submodule(inner), checkpoint_impl=kind)
    layer.set_submodule(inner, wrapped)
    before = wrapped.checkpoint_fn
    found = {
        name.replace("_checkpoint_wrapped_module.", ""): grad for name, grad in with_attach(tiny).items()
    }
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert_close(found[name], value, atol=1e-6, rtol=1e-5)
    assert wrapped.checkpoint_fn is before


def with_attach(tiny):
    """Gradients of the model's own loss and the regularizer's, put on for this."""
    reg = attach(tiny.model)
    tiny.model.zero_grad()
    out = run(tiny.model, tiny.inputs)
    (out.loss + out.cacr_loss).backward()
    reg.detach()
    return gradients(tiny.model)


class ByHand(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, *args, **kwargs):
        return checkpoint(self.inner, *args, use_reentrant=False, **kwargs)


def test_a_capture_without_gradient_raises(tiny):
    """Re-entrant checkpointing by hand, and a model whose lower layers are frozen."""

    class Wrapped(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, *args, **kwargs):
            return checkpoint(lambda *a: self.inner(*a, **kwargs), *args, use_reentrant=True)

    layers = tiny.model.visual_bert.encoder.layer
    attach(tiny.model)
    whole = layers[2].attention
    layers[2].attention = Wrapped(whole)
    with pytest.raises(RuntimeError, match="carries no gradient.*re-entrant checkpointing"):
        tiny.model(**tiny.inputs)
    layers[2].attention = whole
    tiny.model.visual_bert.requires_grad_(False)
    with pytest.raises(RuntimeError, match="carries no gradient"):
        tiny.model(**tiny.inputs)


@pytest.mark.parametrize("name", ["visual_bert", "llava"])
def test_under_bfloat16_autocast_blocks_are_float32(name):
    tiny = TINY[name]()
    reg = attach(tiny.model.train())
    exact = run(tiny.model, tiny.inputs).cacr_loss.item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = run(tiny.model, tiny.inputs)
    assert out.cacr_loss.dtype == reg.blocks().ll.dtype == torch.float32
    assert_close(out.cacr_loss.item(), exact, rtol=0.05, atol=1e-3)
    assert_close(
        reg.blocks().ll.sum(-1)[0], torch.ones_like(reg.blocks().ll[0, 0])
    )  # bfloat16 would be 4e-3 off
    out.cacr_loss.backward()


# Copies, files, wrappers


def test_a_deep_copy_has_a_regularizer_of_its_own(tiny):
    reg = attach(tiny.model)
    first = tiny.model(**tiny.inputs)  # something is captured, which could not be copied
    twin = copy.deepcopy(tiny.model)
    assert twin._cacr_watch is not reg
    kept = reg.loss
    out = twin(**tiny.inputs)
    assert_close(out.cacr_loss, first.cacr_loss)
    assert reg.loss is kept
    twin._cacr_watch.detach()
    assert not hook_total(twin)
    assert hasattr(tiny.model(**tiny.inputs), "cacr_loss")


@pytest.mark.parametrize("name", ["visual_bert", "llava"])
def test_saved_files_are_the_same(name, tmp_path):
    tiny = TINY[name]()
    tiny.model.save_pretrained(tmp_path / "before")
    attach(tiny.model)
    tiny.model.save_pretrained(tmp_path / "after")
    files = sorted(path.name for path in (tmp_path / "before").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "after").iterdir())
    assert all((tmp_path / "before" / n).read_bytes() == (tmp_path / "after" / n).read_bytes() for n in files)


def test_the_field_survives_being_taken_apart(tiny):
    """DistributedDataParallel flattens outputs with pytree and builds them anew."""
    from torch.utils._pytree import tree_flatten, tree_unflatten

    attach(tiny.model)
    out = tiny.model(**tiny.inputs)
    again = tree_unflatten(*tree_flatten(out))
    assert torch.equal(again.cacr_loss, out.cacr_loss) and again.keys() == out.keys()
    assert isinstance(again, type(TINY["visual_bert"]().model.eval()(**tiny.inputs)))


def test_tuples_are_returned_as_they_are_and_the_loss_is_at_hand(tiny):
    reg = attach(tiny.model)
    out = tiny.model(**tiny.inputs, return_dict=False)
    assert isinstance(out, tuple)
    assert reg.loss > 0


def test_inputs_may_be_given_by_position(tiny):
    names = ["input_ids", "attention_mask"]
    reg = attach(tiny.model)
    tiny.model(*(tiny.inputs[n] for n in names), **{k: v for k, v in tiny.inputs.items() if k not in names})
    assert torch.equal(reg.blocks().text_mask.sum(1), tiny.inputs["attention_mask"].sum(1))


def test_as_a_context_it_detaches_even_after_an_error(tiny):
    with pytest.raises(ZeroDivisionError), attach(tiny.model):
        raise ZeroDivisionError
    assert not hook_total(tiny.model) and not hasattr(tiny.model, "_cacr_watch")


# What is refused


def test_attaching_twice_is_refused(tiny):
    attach(tiny.model)
    with pytest.raises(ValueError, match="is attached already; call detach"):
        attach(tiny.model)


def test_a_model_that_never_joins_text_and_image_is_refused():
    from transformers import BertConfig, BertModel, BlipConfig, BlipModel

    bert = BertModel(
        BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    )
    with pytest.raises(
        ValueError, match=r"no layout is known for BertModel \(model type 'bert'\).*docs/attach.md"
    ):
        attach(bert)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    blip = BlipModel(BlipConfig(text_config=sizes, vision_config=sizes | {"image_size": 8, "patch_size": 4}))
    with pytest.raises(
        ValueError, match=r"BlipModel \(blip\) has no text-image attention.*ForImageTextRetrieval"
    ):
        attach(blip)
    with pytest.raises(ValueError, match="no layout is known for Linear .not a transformers model"):
        attach(nn.Linear(2, 2))
    with pytest.raises(TypeError, match="expected a torch module, got str"):
        attach("llava")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"layer": 7}, "layer is 7; the model has 3 layers"),
        ({"layer": "first"}, 'layer is \'first\'; expected "last", "all"'),
        ({"layer": []}, "expected .*or several"),
        ({"loss": "carc"}, "unknown loss 'carc'. Did you mean 'cacr'"),
        ({"direction": "visual"}, "unknown direction 'visual'"),
        ({"schedule": "expo"}, "unknown schedule 'expo'. Did you mean 'exp'"),
        ({"layout": "visualbert"}, "unknown layout 'visualbert'. Did you mean 'visual_bert'"),
        ({"total_steps": 0}, "total_steps is 0; expected 1 or more"),
        ({"space": "logits"}, "unknown space 'logits'"),
        ({"heads": "all"}, "unknown heads 'all'"),
        ({"select": "pairs"}, "select is 'pairs'; expected"),
    ],
)
def test_bad_options_are_named_at_once(tiny, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        attach(tiny.model, **options)
    assert not hook_total(tiny.model)


def test_a_model_called_without_what_tells_text_from_regions_is_told(llava):
    attach(llava.model)
    embedded = llava.model.get_input_embeddings()(llava.inputs["input_ids"]).detach()
    with pytest.raises(ValueError, match="was called without input_ids, which tells text from regions"):
        llava.model(inputs_embeds=embedded, attention_mask=llava.inputs["attention_mask"])
    llava.model._cacr_watch.detach()
    reg = attach(llava.model)
    llava.model(**llava.inputs)
    known = reg.blocks()
    reg.detach()
    image = llava.inputs["input_ids"] == llava.model.config.image_token_id
    text = llava.inputs["attention_mask"].bool() & (image.cumsum(1) == image.sum(1, keepdim=True)) & ~image
    attach(llava.model, text_mask=lambda inputs: text, region_mask=lambda inputs: image)
    llava.model(inputs_embeds=embedded, attention_mask=llava.inputs["attention_mask"])
    assert llava.model._cacr_watch.blocks().ll.shape == known.ll.shape


@pytest.mark.parametrize(
    ("select", "sentence"),
    [
        (torch.tensor([0, 1, 1]), "an example more than once: labels of 0 and 1"),
        ([5], "indices from 5 to 5; expected a boolean"),
        (torch.tensor([True]), r"torch.bool of shape \(1,\) for a batch of 2"),
        (torch.tensor([0.0, 1.0]), "select gave torch.float32"),
        (["first"], "select gave .'first'.; expected a boolean"),
    ],
)
def test_a_selection_that_does_not_fit_gets_a_sentence(tiny, select, sentence):
    attach(tiny.model, select=select)
    with pytest.raises(ValueError, match=sentence):
        tiny.model(**tiny.inputs)


@pytest.mark.parametrize("nothing", [[], lambda inputs: [], torch.zeros(2, dtype=torch.bool)])
def test_a_selection_of_nothing_adds_nothing(tiny, nothing):
    attach(tiny.model, select=nothing)
    assert tiny.model(**tiny.inputs).cacr_loss == 0


def test_the_weight_may_change_before_the_backward_pass(tiny):
    with torch.inference_mode():
        reg = attach(tiny.model)
    out = tiny.model(**tiny.inputs)
    reg.weight = 0.5
    out.cacr_loss.backward()


def test_what_is_no_loss_is_refused(tiny):
    with pytest.raises(TypeError, match="loss is 0.5; expected a name"):
        attach(tiny.model, "last", 0.5)
    with pytest.raises(ValueError, match="add_to_loss=True without a loss"):
        attach(tiny.model, loss=None, add_to_loss=True)


def test_a_full_mask_that_does_not_say_what_is_real_gets_a_sentence(llava):
    attach(llava.model)
    size = llava.inputs["input_ids"].shape[1]
    llava.inputs["attention_mask"] = torch.ones(2, 1, size, size, dtype=torch.bool).tril()
    with pytest.raises(ValueError, match="attention_mask has 4 axes; expected .batch, position."):
        llava.model(**llava.inputs)


def test_fields_that_others_put_into_the_output_stay(tiny):
    def add(module, args, out):
        out["extra"] = torch.ones(())
        return out

    tiny.model.register_forward_hook(add)
    attach(tiny.model)
    assert tiny.model(**tiny.inputs)["extra"] == 1


def test_a_detached_regularizer_has_no_loss(tiny):
    reg = attach(tiny.model)
    tiny.model(**tiny.inputs)
    reg.detach()
    with pytest.raises(RuntimeError, match="no forward pass was watched"):
        _ = reg.loss
