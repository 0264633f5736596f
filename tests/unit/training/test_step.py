"""The training step computes what a straightforward loop does, with less: equal negatives, equal gradients."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from cacr import attach
from cacr.data import Picture
from cacr.losses import attention_loss, hardest_negatives, ranking_loss
from cacr.models.oscar import OscarConfig, OscarForImageTextRetrieval, OscarProcessor
from cacr.models.pairs import EncodedPairs, Lengths, paired
from cacr.models.rosita import RositaConfig, RositaForImageTextRetrieval, RositaProcessor
from cacr.models.uniter import UniterConfig, UniterForImageTextRetrieval, UniterProcessor
from cacr.regions import Regions
from cacr.training import GroupCollator, GroupDataset, TrainConfig, precision, trainer
from cacr.training.run import arguments
from cacr.training.tokenizers import tokenizer_of_captions
from cacr.training.trainer import RetrievalTrainer

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "region_dim": 6,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "initializer_range": 0.3,
}
FAMILIES = {
    "uniter": (UniterConfig, UniterForImageTextRetrieval, UniterProcessor),
    "oscar": (OscarConfig, OscarForImageTextRetrieval, OscarProcessor),
    "rosita": (RositaConfig, RositaForImageTextRetrieval, RositaProcessor),
}
WORDS = (
    "a",
    "dog",
    "and",
    "the",
    "old",
    "green",
    "street",
    "near",
    "some",
    "small",
    "cats",
    "with",
    "one",
    "red",
)


class Pairs:
    """Sixteen pictures of different numbers of regions and tags, with captions of different lengths."""

    def __init__(self):
        g = torch.Generator().manual_seed(1)
        self.image_ids = [f"{i}.jpg" for i in range(16)]
        self.captions = [" ".join((WORDS * 2)[i : i + 2 + 5 * i % 11]) for i in range(16)]
        self.image_of_caption = list(range(16))
        self._regions = []
        for i in range(16):
            corner = torch.rand(2 + i % 5, 2, generator=g) / 2
            boxes, names = torch.cat([corner, corner + 0.4], 1), (WORDS[1:] * 2)[i : i + 2 + i % 5]
            self._regions.append(
                Regions(torch.randn(len(boxes), 6, generator=g), boxes, object_names=names if i % 3 else None)
            )

    def picture(self, image):
        return Picture(self.image_ids[image], lambda: self._regions[image])

    def describes(self, caption, image):
        return caption == image

    def alike(self, image):
        return []


def double(inputs):
    return {
        name: values.double() if values.is_floating_point() else values for name, values in inputs.items()
    }


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Makes a trainer whose parts hold eight pairs, a batch in float64, and the items that it is of."""
    monkeypatch.setitem(trainer.AT_ONCE, "cpu", 8)

    def make(family, dtype=torch.float64, **changed):
        pairs = Pairs()
        config, model, processor = FAMILIES[family]
        processor = processor(tokenizer_of_captions(pairs.captions), max_text_length=24)
        model = model(config(vocab_size=len(processor.tokenizer), **SIZES)).to(dtype).train()
        recipe = TrainConfig(batch=2, candidates=11, negatives=7, steps=4, out=tmp_path, weight=3.0)
        recipe = replace(recipe, **changed)
        items = GroupDataset(pairs, 4, recipe.candidates)
        one = RetrievalTrainer(
            recipe=recipe, processor=processor, model=model, args=arguments(recipe), train_dataset=items
        )
        one.state.global_step = 4
        batch = GroupCollator(pairs, processor)([items[0], items[1]])
        if dtype == torch.float64:
            batch["regions"] = double(batch["regions"])
        return one, batch, [items[0], items[1]]

    return make


def loop(one, items, model):
    """Negatives and gradients, a group at a time: all padded, eager attention, what is shared repeated."""
    model.set_attn_implementation("eager")
    pairs, named = Pairs(), attention_loss(one.recipe.loss)
    everything = EncodedPairs(one.processor, pairs.captions, [pairs.picture(i).regions for i in range(16)])
    mined = []
    image_groups = [(list(item.captions), [item.image] * len(item.captions)) for item in items]
    text_groups = [([item.caption] * len(item.images), list(item.images)) for item in items]
    for direction, groups in (("vision", image_groups), ("language", text_groups)):
        for captions, images in groups:
            batch = double(everything.inputs(torch.tensor(captions), torch.tensor(images)))
            model.eval()
            with torch.no_grad():
                match = model(**batch).rank_scores.view(1, -1)
            mined.append(hardest_negatives(match, one.recipe.negatives))
            rows = torch.cat([torch.zeros(1, dtype=torch.long), mined[-1][0]])
            model.train()
            options = {
                "layer": one.recipe.layer,
                "loss": lambda blocks, which, wanted=direction: named(blocks, wanted) * (which == wanted),
                "text_mask": lambda inputs: one.processor.text_mask(
                    inputs["input_ids"],
                    inputs["attention_mask"],
                    token_type_ids=inputs.get("token_type_ids"),
                ),
            }
            with attach(model, select=slice(0, 1), weight=one.recipe.weight, **options):
                out = model(**{name: values[rows] for name, values in batch.items()})
            loss = ranking_loss(out.rank_scores.view(1, -1), one.recipe.margin) + out.cacr_loss
            (loss / (2 * len(items))).backward()
    return torch.cat(mined), {name: weights.grad for name, weights in model.named_parameters()}


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("layer", [-1, 0])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_step_has_the_negatives_and_gradients_of_a_straightforward_loop(
    made, family, layer, checkpointing
):
    one, batch, items = made(family, layer=layer)
    mined, theirs = loop(one, items, copy_of(one.model))
    assert torch.equal(hardest_negatives(one._mine(one.model, batch), 7).sort().values, mined.sort().values)
    if checkpointing:
        one.model.activation_checkpointing_enable()
    one.compute_loss(one.model, batch).backward()
    for name, weights in one.model.named_parameters():
        other = theirs[name]
        assert (weights.grad is None) == (other is None), name
        if other is not None:
            assert_close(weights.grad, other, rtol=1e-8, atol=1e-11, msg=name)
    assert max(float(values.abs().max()) for values in theirs.values() if values is not None) > 1e-3


def copy_of(model):
    """The same model, unwatched."""
    other = type(model)(copy.deepcopy(model.config)).to(model.dtype)
    other.load_state_dict(model.state_dict())
    return other


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_layer_for_the_first_position_gives_the_same_match_and_gradients(made, family, attention):
    one, batch, _ = made(family)
    model = copy_of(one.model).train()
    model.set_attn_implementation(attention)
    inputs = paired(one.processor, batch["text"], batch["regions"], batch["captions"][0], batch["images"][2])
    found = []
    for first_only in (False, True):
        out = model(**inputs, first_only=first_only)
        out.rank_scores.square().sum().backward()
        found.append((out.rank_scores, [weights.grad for weights in model.parameters()]))
        model.zero_grad()
    assert_close(found[0], found[1], rtol=1e-9, atol=1e-12)


class Adapted(torch.nn.Linear):
    """A map that does more than its weight says, as an adapter's does."""

    def forward(self, x):
        return super().forward(x) + 0.1 * x


def test_maps_of_keys_and_values_with_adapters_are_kept_whole(made):
    one, batch, _ = made("uniter")
    model = copy_of(one.model)
    last = model.uniter.encoder.layer[-1].attention.self
    for name in ("key", "value"):
        getattr(last, name).__class__ = Adapted
    inputs = paired(one.processor, batch["text"], batch["regions"], batch["captions"][0], batch["images"][2])
    assert_close(model(**inputs, first_only=True).rank_scores, model(**inputs).rank_scores)


class Doubled(ModelHook):
    def post_forward(self, module, output):
        return 2 * output


def test_maps_of_keys_and_values_with_a_hook_of_accelerate_are_kept_whole(made):
    one, batch, _ = made("uniter")
    model = copy_of(one.model)
    last = model.uniter.encoder.layer[-1].attention.self
    for name in ("key", "value"):
        add_hook_to_module(getattr(last, name), Doubled())
    inputs = paired(one.processor, batch["text"], batch["regions"], batch["captions"][0], batch["images"][2])
    assert_close(model(**inputs, first_only=True).rank_scores, model(**inputs).rank_scores)


def test_the_first_position_has_the_dropout_of_attention(made):
    one, batch, _ = made("uniter")
    model = copy_of(one.model).train()
    inputs = paired(one.processor, batch["text"], batch["regions"], batch["captions"][0], batch["images"][2])
    last = model.uniter.encoder.layer[-1].attention.self
    sure = model(**inputs, first_only=True).rank_scores
    last.dropout.p = 0.4
    drawn = torch.stack([model(**inputs, first_only=True).rank_scores for _ in range(2)])
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], sure)
    last.dropout.p = 1.0  # nothing is left of what it attends to
    blind = model(**inputs, first_only=True).rank_scores
    full = model(**inputs).rank_scores
    assert_close(blind, full)


class Asked(TorchDispatchMode):
    """Counts numbers read from a device, and shapes that depend on values. Copies are not counted."""

    WAITING = ("_local_scalar_dense", "nonzero", "_unique2", "unique_dim", "masked_select")

    def __init__(self):
        super().__init__()
        self.asked = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.__name__.split(".")[0] in self.WAITING:
            self.asked.append(func.__name__)
        return func(*args, **(kwargs or {}))


def test_the_models_part_of_a_step_asks_the_device_nothing(made):
    one, batch, _ = made("uniter", loss="none")
    (captions, images), lengths = batch["pairs"], batch["lengths"]
    some = [one._pairs(batch, captions[part], images[part]) for part in lengths.buckets(captions, images, 8)]
    assert {inputs["padded"] for inputs in some} == {True}
    with Asked() as seen:
        for inputs in some:
            one.model(**inputs, first_only=True).rank_scores.sum().backward()
    assert seen.asked == []
    with Asked() as seen:  # what is not told is asked
        one.model(**{name: values for name, values in some[0].items() if name != "padded"})
    assert seen.asked


def test_pairs_are_cut_to_the_longest_of_their_part(made):
    one, batch, _ = made("uniter")
    (captions, images), lengths = batch["pairs"], batch["lengths"]
    parts = lengths.buckets(captions, images, 8)
    assert sorted(np.concatenate(parts)) == list(range(len(captions)))
    assert len(parts) == -(-len(captions) // 8)
    assert max(map(len, parts)) <= 8
    held = real = 0
    for part in parts:
        inputs = one._pairs(batch, captions[part], images[part])
        assert inputs["attention_mask"].any(0).all() and inputs["region_mask"].any(0).all()
        held += inputs["attention_mask"].numel() + inputs["region_mask"].numel()
        real += int(inputs["attention_mask"].sum() + inputs["region_mask"].sum())
    everything = paired(one.processor, batch["text"], batch["regions"], *torch.from_numpy(batch["pairs"]))
    padded = everything["attention_mask"].numel() + everything["region_mask"].numel()
    assert held - real < 0.6 * (padded - real)


def test_a_part_without_padding_needs_no_mask():
    lengths = Lengths(np.array([4, 4, 5]), {"region": np.array([3, 3])})
    assert not lengths.padded(np.array([0, 1]), np.array([0, 1]))
    assert lengths.padded(np.array([0, 2]), np.array([0, 1]))


def test_a_step_reads_no_scalar_and_has_no_shape_that_depends_on_values(made):
    one, batch, _ = made("uniter", loss="none")  # the watch asks for itself
    with Asked() as seen:
        one.compute_loss(one.model, batch).backward()
    assert seen.asked == []


def test_few_pairs_are_learned_from_as_they_are(made, monkeypatch):
    monkeypatch.setitem(trainer.AT_ONCE, "cpu", 32)  # as many as the batch has
    one, batch, _ = made("uniter")
    calls = []
    one.model.register_forward_pre_hook(
        lambda model, args, kwargs: calls.append(kwargs) if model.training else None, with_kwargs=True
    )
    one.compute_loss(one.model, batch)
    (only,) = calls
    assert only["input_ids"].shape == (32, batch["text"]["input_ids"].shape[1])
    assert "first_only" not in only


def test_mining_in_bfloat16_leaves_the_rest_in_float32(made, monkeypatch):
    monkeypatch.setattr(precision, "fast_bfloat16", lambda device: True)
    one, batch, _ = made("uniter", dtype=torch.float32, mining_precision="bf16")
    same, _, _ = made("uniter", dtype=torch.float32)
    same.model.load_state_dict(one.model.state_dict())
    near, exact = one._mine(one.model, batch), same._mine(same.model, batch)
    assert near.dtype == torch.float32
    assert 0 < (near - exact).abs().max() < 0.1
    one.compute_loss(one.model, batch).backward()
    with torch.no_grad():
        assert torch.equal(
            one.match(*asked(batch)), same.match(*asked(batch))
        )  # what is measured is not mined


def asked(batch):
    return batch["text"], batch["regions"], *torch.from_numpy(batch["pairs"])


def test_a_device_without_bfloat16_mines_as_it_learns_and_says_so(made, monkeypatch, caplog):
    monkeypatch.setattr(precision, "fast_bfloat16", lambda device: False)
    with caplog.at_level("INFO", logger="cacr"):
        one, batch, _ = made("uniter", dtype=torch.float32, mining_precision="bf16")
    assert "which this cpu does not compute fast; same is used" in caplog.text
    assert torch.equal(one._mine(one.model, batch), one.match(*asked(batch))[batch["pair_of"]])


@pytest.mark.parametrize("changed", [{}, {"precision": "bf16", "mining_precision": "bf16"}])
def test_mining_is_as_precise_as_learning_unless_told_otherwise(made, monkeypatch, changed):
    monkeypatch.setattr(precision, "fast_bfloat16", lambda device: True)
    one, _, _ = made("uniter", dtype=torch.float32, **changed)
    assert not one._bfloat16


def test_an_unknown_precision_of_mining_is_named():
    with pytest.raises(ValueError, match="unknown mining_precision 'fp8'"):
        TrainConfig(mining_precision="fp8")
