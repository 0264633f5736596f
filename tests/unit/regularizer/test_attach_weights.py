"""What attach adds: which loss and direction, with what weight, at what cost in memory and precision."""

import copy

import pytest
import torch
from tests.unit.regularizer.test_every_architecture import gradients, run, task_loss
from torch import nn
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

from cacr import attach, cacr_loss, flatness_loss
from cacr.tiny_models import TINY

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
