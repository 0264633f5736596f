"""How passages are grouped: within the memory, each looked at once, with a prefix only where that saves something."""

import pytest
import torch
from torch.testing import assert_close

from cacr.data.pairs import Picture
from cacr.data.scenes import scene
from cacr.scorers.generative import filling
from cacr.scorers.generative.filling import Filling
from cacr.scorers.generative.passages import Passage, passage_bytes
from cacr.scorers.generative.prefixes import Prefix, common_places, kept_bytes
from cacr.scorers.generative.vqascore import VQAScorer
from cacr.tiny_models.chat_processors import WRITING


@pytest.fixture(scope="module")
def model():
    return WRITING["llava"].model().model


def passage(length, start=None, width=1):
    row = torch.zeros(1, length, dtype=torch.long)
    start = length - 1 if start is None else start
    return Passage(
        {"input_ids": row, "pixels": torch.zeros(1, width)},
        frozenset(["input_ids"]),
        (0,) * length,
        start,
        (1,),
    )


def filled(model, memory, passages, kept=0):
    """Lengths of the passages, batch by batch; memory in bytes."""
    found = Filling(model, memory / 2**30, kept)
    batches = [batch for pair, one in enumerate(passages) for batch in found.add(pair, one)]
    batches += found.rest()
    assert [pair for batch in batches for pair, _ in batch] == list(range(len(passages)))
    return [[len(one.tokens) for _, one in batch] for batch in batches]


def test_a_batch_holds_as_many_of_its_longest_passage_as_the_memory_does(model):
    each = passage_bytes(model, passage(10))
    assert filled(model, 3.5 * each, [passage(n) for n in (10, 10, 9, 8, 10)]) == [[10, 10, 9], [8, 10]]
    assert filled(model, 3.5 * each, [passage(n) for n in (5, 5, 5, 5, 20)]) == [[5, 5, 5, 5], [20]]
    long = 3.5 * passage_bytes(model, passage(20, start=2))
    assert filled(model, long, [passage(n, start=2) for n in (20, 5, 5, 5)]) == [[20, 5, 5], [5]], "padded"
    assert filled(model, 0.1 * each, [passage(n) for n in (5, 6)]) == [[5], [6]], "one at least"
    assert list(Filling(model, 1.0).rest()) == []


def test_keys_and_values_of_a_prefix_count_toward_the_memory(model):
    each = passage_bytes(model, passage(10))
    assert filled(model, 4.1 * each, [passage(10)] * 4) == [[10] * 4]
    assert filled(model, 4.1 * each, [passage(10)] * 4, kept=each) == [[10] * 2] * 2


def test_logits_that_others_in_the_batch_need_count_toward_the_memory(model):
    each = passage_bytes(model, passage(50))
    late, early = passage(50), passage(50, start=5)
    assert passage_bytes(model, early) > 1.3 * each
    assert filled(model, 3.2 * each, [late, late, late]) == [[50] * 3]
    for some in ([late, late, early], [early, late, late]):
        assert filled(model, 3.2 * each, some) == [[50] * 2, [50]]
    short = passage(10, start=5)
    assert filled(model, 2.9 * passage_bytes(model, early), [early, short, short]) == [[50, 10], [10]]


def test_passages_of_other_shapes_do_not_share_a_batch(model):
    assert filled(model, 1e9, [passage(5), passage(5, width=2), passage(5, width=2)]) == [[5], [5, 5]]


def test_each_passage_is_looked_at_a_fixed_number_of_times(model, monkeypatch):
    looked = []
    inner = filling.read_bytes
    monkeypatch.setattr(filling, "read_bytes", lambda *args: looked.append(1) or inner(*args))
    filled(model, 1e9, [passage(5)] * 200)
    assert len(looked) <= 2 * 200


@torch.no_grad()
@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "qwen3_vl", "internvl", "gemma3"])
def test_what_a_prefix_takes_is_what_its_keys_and_values_take(family, captions, pictures):
    model, processor = WRITING[family].model().model, WRITING[family].processor()
    scorer = VQAScorer(model, processor)
    scorer.writer.show(pictures[0].image)
    passages = [scorer.writer.write(*scorer.passages(caption)[0]) for caption in captions]
    places = common_places(passages, scorer.trial.image_token)
    layers = Prefix(model, passages, places)._kept.layers
    taken = sum(kept.numel() * kept.element_size() for one in layers for kept in (one.keys, one.values))
    assert taken <= kept_bytes(model, places), "a sliding window keeps less"
    assert family == "gemma3" or taken == kept_bytes(model, places)


def forward_passes(scorer, captions, pictures):
    passes = []
    hook = scorer.model.register_forward_pre_hook(lambda *args: passes.append(1))
    match = scorer.grid(captions, pictures)
    hook.remove()
    return len(passes), match


@pytest.mark.parametrize("family", ["llava", "qwen2_vl"])
def test_few_captions_of_many_pictures_are_read_together(family, captions):
    model, processor = WRITING[family].model().model, WRITING[family].processor()
    many = [Picture(f"{i}", None, lambda i=i: scene(0, i).image.resize((64, 64))) for i in range(8)]
    scorer = VQAScorer(model, processor)
    few = captions[:3]
    passes, match = forward_passes(scorer, few, many)
    assert passes == 1 and not scorer.prefix_kept
    assert_close(match, VQAScorer(model, processor, memory=1e-6).grid(few, many), rtol=0, atol=1e-5)
    passes, _ = forward_passes(scorer, captions[:4], many[:1])
    assert passes > 1 and scorer.prefix_kept


def test_a_kept_prefix_leaves_room_for_fewer_passages(model, pictures):
    captions = [f"a {color} circle is left of a dog" for color in ("red", "blue", "green", "black")]
    scorer, whole = (
        VQAScorer(model, WRITING["llava"].processor(), keep_prefix=keep) for keep in (True, False)
    )
    scorer.writer.show(pictures[0].image)
    each = passage_bytes(model, scorer.writer.write(*scorer.passages(captions[0])[0]))
    rows = []
    hook = model.register_forward_pre_hook(
        lambda module, args, inputs: rows.append(len(inputs["input_ids"])), with_kwargs=True
    )
    most = []
    for one in (whole, scorer):
        rows.clear()
        one.memory = 4.01 * each / 2**30
        one.grid(captions, pictures[:1])
        most.append(max(rows))
    hook.remove()
    assert most == [4, 3] and scorer.prefix_kept
