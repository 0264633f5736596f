"""attach keeps its promises on every architecture: nothing changes, gradients arrive, blocks are the model's own."""

import copy
import inspect
import re
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from cacr import attach, cacr_loss
from cacr.attention import watch
from cacr.attention.layouts import LAYOUTS, layout_for
from cacr.tiny_models import DUAL_ENCODERS, TINY

LEARNED_CROSS = lambda blocks, direction: cacr_loss(blocks, direction, detach_cross=False)


def run(model, inputs):
    torch.manual_seed(0)  # ViLT draws the order of its patches
    return model(**inputs)


def task_loss(out):
    if getattr(out, "loss", None) is not None:
        return out.loss
    return sum(x.float().square().mean() for x in floats(out))


def floats(out):
    fields = {key: value for key, value in out.items() if key != "cacr_loss"}
    return [x for x in flatten(fields) if torch.is_tensor(x) and x.is_floating_point()]


def flatten(x):
    if isinstance(x, dict):
        x = list(x.values())
    if isinstance(x, list | tuple):
        return [leaf for part in x for leaf in flatten(part)]
    return [x]


def gradients(model):
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", TINY)
def test_attach_changes_neither_outputs_nor_task_gradients(name):
    tiny = TINY[name]()
    model = tiny.model.train()
    before, keys = run(model, tiny.inputs), set(model.state_dict())
    task_loss(before).backward()
    stock = copy.deepcopy(gradients(model))
    model.zero_grad()

    reg = attach(model, weight=0.0)
    after = run(model, tiny.inputs)
    assert reg.last["language"] > 0
    assert all(torch.equal(a, b) for a, b in zip(floats(before), floats(after), strict=True))
    assert set(model.state_dict()) == keys
    (task_loss(after) + after.cacr_loss).backward()
    assert gradients(model).keys() >= stock.keys()
    assert all(torch.equal(gradients(model)[key], value) for key, value in stock.items())


@pytest.mark.parametrize("name", TINY)
def test_its_gradient_reaches_queries_keys_and_the_layers_below(name):
    tiny = TINY[name]()
    reg = attach(tiny.model.train(), loss=LEARNED_CROSS)
    run(tiny.model, tiny.inputs).cacr_loss.backward()
    reached = {key for key, grad in gradients(tiny.model).items() if grad.abs().sum() > 0}
    for path, one in reg.taps.items():
        inside = [key for key in reached if key.startswith(path + ".")]
        weights = [key for key, _ in one.module.named_parameters() if "weight" in key]
        wanted = [
            key
            for key in weights
            if key.split(".")[0] in ("query", "key", "q_proj", "k_proj", "q", "k", "qkv")
        ]
        assert wanted
        assert all(f"{path}.{key}" in inside for key in wanted), (path, wanted, inside)
        bottom = re.sub(r"\.(layers?|block|x_layers|cross_modal_\w+_layers)\.\d+\..*", r".\1.0.", path)
        assert any(key.startswith(bottom) for key in reached), bottom


@pytest.mark.parametrize("name", TINY)
def test_blocks_are_those_of_eager_attention(name):
    tiny = TINY[name]()
    model = tiny.model.eval()
    eager(model)
    seen = {}
    layout = layout_for(model)

    def spy(run):
        seen["masks"] = layout.masks(run)
        return seen["masks"]

    attention = watch(model, layout=replace(layout, masks=spy))
    returned = {path: [] for path in attention.taps}
    for path, one in attention.taps.items():
        one.module.register_forward_pre_hook(ask_for_attention, with_kwargs=True)
        one.module.register_forward_hook(
            lambda m, a, out, path=path: returned[path].append(probabilities(out))
        )
    with torch.no_grad():
        torch.manual_seed(0)
        model(**tiny.inputs, output_attentions=True)
    blocks = attention.blocks()
    text, regions = seen["masks"]
    masks = {"l": text, "v": regions}
    for block, (path, place) in attention.places[attention.layers[0]].items():
        whole = returned[path][place.call]
        if name == "mllama" and block == "vv":
            whole = without_tile_padding(whole, tiles=2, patches=masks["v"].shape[1] // 2)
        for example in range(2):
            rows, columns = masks[block[0]][example], masks[block[1]][example]
            part = whole[example][:, rows][:, :, columns].double()
            expected = (part / part.sum(-1, keepdim=True)).mean(0)
            ours = getattr(blocks, block)[example, : rows.sum(), : columns.sum()]
            assert_close(ours.double(), expected, atol=1e-5, rtol=0)


def ask_for_attention(module, args, kwargs):
    """LXMERT and FLAVA do not ask all their modules, even with output_attentions=True."""
    names = list(inspect.signature(module.forward).parameters)
    if "output_attentions" in names:
        return args[: names.index("output_attentions")], kwargs | {"output_attentions": True}
    return args, kwargs


def eager(model):
    try:
        model.set_attn_implementation("eager")
    except ValueError:
        assert "attn_implementation" in str(model.config)


def probabilities(out):
    found = [x for x in flatten(out) if torch.is_tensor(x) and x.ndim == 4 and x.shape[-1] > 1]
    found = [x for x in found if torch.allclose(x.float().sum(-1), torch.ones(()), atol=1e-4)]
    assert len(found) == 1, "the module returned no attention"
    return found[0]


def without_tile_padding(x, tiles, patches):
    x = x.unflatten(3, (tiles, -1)).unflatten(2, (tiles, -1))
    return x[:, :, :, :patches][..., :patches].flatten(4, 5).flatten(2, 3)


@pytest.mark.parametrize("name", TINY)
def test_detach_leaves_nothing_behind(name):
    tiny = TINY[name]()
    model = tiny.model.train()
    run(model, tiny.inputs)  # transformers puts hooks of its own on some models in their first call
    before = {path: dict(module.__dict__) for path, module in model.named_modules()}
    hooks = {path: hook_count(module) for path, module in model.named_modules()}
    reg = attach(model, layer="last" if name == "gemma3" else "all")
    run(model, tiny.inputs)
    reg.detach()
    for path, module in model.named_modules():
        assert module.__dict__.keys() == before[path].keys()
        kept = {
            key: value for key, value in before[path].items() if key != "rope_deltas"
        }  # Qwen's, of each batch
        assert all(module.__dict__[key] is value for key, value in kept.items())
        assert hook_count(module) == hooks[path]


def hook_count(module):
    return sum(len(v) for k, v in module.__dict__.items() if k.endswith("_hooks"))


@pytest.mark.parametrize("name", DUAL_ENCODERS)
def test_a_dual_encoder_is_refused_with_the_reason(name):
    with pytest.raises(ValueError, match="dual encoder.*never attend to each other"):
        attach(DUAL_ENCODERS[name]().model)


def test_every_layout_has_a_tiny_model():
    used = {layout_for(build().model).name for build in TINY.values()}
    variants = {"paligemma-suffix", "instructblip-llm"}  # by name only, below
    assert {one.name for family in LAYOUTS.values() for one in family} - used <= variants


@pytest.mark.parametrize(
    ("name", "layout", "words"),
    [("paligemma", "paligemma-suffix", [3, 3]), ("instructblip", "instructblip-llm", [7, 5])],
)
def test_a_model_may_be_regularized_in_another_place_by_name(name, layout, words):
    tiny = TINY[name]()
    reg = attach(tiny.model.train(), layout=layout)
    run(tiny.model, tiny.inputs).cacr_loss.backward()
    blocks = reg.blocks()
    assert blocks.vl is None and blocks.text_mask.sum(1).tolist() == words
    assert torch.equal(blocks.ll_support[0], torch.ones(words[0], words[0], dtype=torch.bool).tril())


POSITIONS = {
    "uniter": ([7, 5], [4, 3]),
    "visual_bert": ([7, 5], [4, 3]),
    "lxmert": ([7, 5], [4, 3]),
    "vilt": ([7, 5], [16, 16]),
    "vilt_padded_image": ([7, 5], [16, 6]),
    "flava": ([7, 5], [16, 16]),
    "git": ([7, 5], [16, 16]),
    "bridgetower": ([7, 5], [16, 16]),
    "blip_itm": ([7, 5], [16, 16]),
    "mllama": ([8, 6], [18, 9]),
    "llava": ([7, 5], [16, 16]),
    "qwen2_vl": ([7, 5], [6, 4]),
    "glm4v": ([7, 5], [6, 4]),
    "gemma3": ([7, 5], [16, 16]),
    "paligemma": ([6, 4], [16, 16]),
    "kosmos2": ([7, 5], [4, 4]),
}
"""Words and regions of the two examples; [CLS] of an image, start and end of an image are neither."""


@pytest.mark.parametrize("name", POSITIONS)
def test_what_counts_as_a_word_and_as_a_region(name):
    tiny = TINY[name]()
    reg = attach(tiny.model.train())
    run(tiny.model, tiny.inputs)
    blocks = reg.blocks()
    assert (blocks.text_mask.sum(1).tolist(), blocks.region_mask.sum(1).tolist()) == POSITIONS[name]
