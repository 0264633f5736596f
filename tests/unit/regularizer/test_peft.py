"""LoRA and attach in either order: the loss is that of the adapted attention, and it teaches the adapter."""

import pytest
import torch
from torch.testing import assert_close

from cacr import attach
from cacr.tiny_models import TINY

peft = pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings(
    "ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"  # peft 0.21 asks transformers by the old name
)

QUERIES_KEYS_VALUES, QUERIES_KEYS = ("query", "key", "value"), ("q_proj", "k_proj")
CASES = {
    "projection": ("visual_bert", QUERIES_KEYS_VALUES, "auto"),
    "interface": ("llava", QUERIES_KEYS, "auto"),
    "trace": ("visual_bert", QUERIES_KEYS_VALUES, "trace"),
}


def with_lora(model, targets, **options):
    """Both matrices of every adapter are random: PEFT's own B starts at 0, and its product would be 0 too."""
    torch.manual_seed(1)
    config = peft.LoraConfig(r=4, target_modules=list(targets), init_lora_weights=False, **options)
    return peft.get_peft_model(model, config).train()


def adapted(case, order, on):
    """The model, its inputs, its regularizer and PEFT's wrapper, put on ``before`` or ``after`` attach."""
    name, targets, backend = CASES[case]
    tiny = TINY[name]()
    if order == "before":
        wrapped = with_lora(tiny.model, targets)
        reg = attach(wrapped if on == "PeftModel" else tiny.model, backend=backend)
    else:
        reg = attach(tiny.model, backend=backend)
        wrapped = with_lora(tiny.model, targets)
    return tiny, reg, wrapped


def step(model, inputs):
    loss = model(**inputs).cacr_loss
    loss.backward()
    return loss.detach()


def gradients(model):
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("called", ["PeftModel", "base model"])
@pytest.mark.parametrize("case", CASES)
def test_lora_before_and_after_attach_are_exactly_the_same(case, called):
    seen = []
    for order in ("before", "after"):
        tiny, reg, wrapped = adapted(case, order, on=called)
        loss = step(wrapped if called == "PeftModel" else tiny.model, tiny.inputs)
        assert [one.backend for one in reg.taps.values()] == [case]
        seen.append((loss, gradients(tiny.model)))
    (before, grads_before), (after, grads_after) = seen
    assert torch.equal(before, after)
    assert grads_before.keys() == grads_after.keys()
    assert all(torch.equal(grads_before[name], grads_after[name]) for name in grads_before)


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("case", CASES)
def test_the_loss_is_that_of_the_adapted_attention(case, order):
    """Against the same weights merged into a plain model, where there is no adapter to miss."""
    name, targets, backend = CASES[case]
    tiny, _, wrapped = adapted(case, order, on="PeftModel")
    loss = wrapped(**tiny.inputs).cacr_loss.detach()

    merged = with_lora(TINY[name]().model, targets).merge_and_unload().requires_grad_(True)
    attach(merged, backend=backend)
    assert_close(loss, merged(**tiny.inputs).cacr_loss.detach())

    plain = TINY[name]().model.train()
    attach(plain, backend=backend)
    assert abs(loss - plain(**tiny.inputs).cacr_loss.detach()) > 1e-3


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("case", CASES)
def test_every_adapter_that_the_loss_depends_on_learns_and_nothing_else(case, order):
    tiny, reg, wrapped = adapted(case, order, on="PeftModel")
    step(wrapped, tiny.inputs)
    path = next(iter(reg.taps))
    beyond = f"{path}.value."  # values of the watched layer come after its attention
    adapters = {name for name, _ in tiny.model.named_parameters() if "lora_" in name}
    learning = {name for name, gradient in gradients(tiny.model).items() if gradient.abs().sum() > 0}
    assert learning == {name for name in adapters if not name.startswith(beyond)}
    assert any(path in name for name in learning)


@pytest.mark.parametrize("case", CASES)
def test_after_merging_the_regularizer_goes_on_with_the_merged_weights(case):
    tiny, reg, wrapped = adapted(case, "after", on="PeftModel")
    loss = step(wrapped, tiny.inputs)
    merged = wrapped.merge_and_unload()
    assert merged is tiny.model
    with reg.recording():
        assert_close(merged(**tiny.inputs).cacr_loss.detach(), loss)

    with pytest.raises(RuntimeError, match="carries no gradient"):  # PEFT leaves the merged weights frozen
        merged(**tiny.inputs)
    merged.requires_grad_(True)
    assert_close(step(merged, tiny.inputs), loss)
    weights = [name for name in gradients(merged) if name.endswith((".query.weight", ".q_proj.weight"))]
    assert any(name.startswith(next(iter(reg.taps))) for name in weights)


def test_detach_after_lora_leaves_no_hook_behind():
    tiny, reg, wrapped = adapted("projection", "after", on="PeftModel")
    wrapped(**tiny.inputs)
    reg.detach()
    hooks = ("_forward_hooks", "_forward_pre_hooks")
    assert not [path for path, module in wrapped.named_modules() if any(getattr(module, h) for h in hooks)]
    assert "cacr_loss" not in wrapped(**tiny.inputs)


@pytest.mark.parametrize("target", ["query", "key"])
def test_an_adapter_on_one_map_of_the_watched_layer_can_learn(target):
    tiny = TINY["visual_bert"]()
    wrapped = with_lora(tiny.model, [target], layers_to_transform=[2], layers_pattern="layer")
    attach(wrapped)
    step(wrapped, tiny.inputs)
    assert len(gradients(wrapped)) == 2


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("llava", r".*language_model.*(q_proj|k_proj)"),
        ("mllama", r".*language_model.*(q_proj|k_proj)"),
        ("blip_itm", r"text_encoder.*(query|key)"),
    ],
)
def test_an_adapter_beside_a_frozen_vision_tower_can_learn(name, targets):
    tiny = TINY[name]()
    config = peft.LoraConfig(r=4, target_modules=targets, init_lora_weights=False)
    wrapped = peft.get_peft_model(tiny.model, config).train()
    attach(wrapped)
    step(wrapped, tiny.inputs)
    assert gradients(wrapped)


def test_an_adapter_that_the_loss_cannot_teach_is_refused():
    tiny = TINY["visual_bert"]()
    wrapped = with_lora(tiny.model, ["value"], layers_to_transform=[2], layers_pattern="layer")
    attach(wrapped)
    with pytest.raises(RuntimeError, match="carries no gradient.*the layer and all below it are frozen"):
        wrapped(**tiny.inputs)
