"""Our ROSITA computes what the released one computes, from the same checkpoint and from the same sentences."""

import json

import numpy as np
import pytest
import torch
from tests.conftest import load
from torch.testing import assert_close
from transformers import BertTokenizer

from cacr.attention import watch
from cacr.models.checkpoints import conversion
from cacr.models.rosita import RositaProcessor, convert_original_checkpoint, without_punctuation
from cacr.regions import Regions

CLOSE = {"rtol": 0, "atol": 1e-5}
TEXT, REGIONS = 16, 9


def inputs(stored, rows=slice(None)):
    batch = {
        "input_ids": stored["input_ids"],
        "attention_mask": stored["text_mask"],
        "region_features": stored["img_feats"],
        "region_positions": stored["box_features"],
        "region_mask": stored["region_mask"],
    }
    return {name: value[rows] for name, value in batch.items()}


@pytest.fixture
def stored():
    return load("rosita/inputs")


@pytest.fixture
def expected():
    return load("rosita/rosita_tiny")


@pytest.fixture
def model(data):
    folder = data / "rosita"
    return convert_original_checkpoint(folder / "rosita_tiny.safetensors", folder / "rosita_tiny.json")


@pytest.fixture
def processor(data):
    tokenizer = BertTokenizer(vocab=str(data / "rosita" / "vocab.txt"))
    return RositaProcessor(tokenizer, max_text_length=TEXT, max_regions=REGIONS)


@pytest.fixture
def sentences(data):
    return json.loads((data / "rosita" / "text.json").read_text())


def check(model, stored, expected):
    batch = inputs(stored)
    out = model(**batch)
    assert_close(out.itm_logits, expected["logits"], **CLOSE)
    assert_close(out.rank_scores.sigmoid()[:, 0], expected["match_score"], **CLOSE)
    assert_close(model.rosita(**batch).pooler_output, expected["pooled_output"], **CLOSE)
    rows = expected["dense_rows"]
    batch, seen = inputs(stored, rows), {}
    attention = model.rosita.encoder.layer[-1].attention.self
    handles = [
        model.rosita.encoder.register_forward_pre_hook(lambda m, a: seen.update(embedding_output=a[0])),
        attention.query.register_forward_hook(lambda m, a, out: seen.update(query=out)),
        attention.key.register_forward_hook(lambda m, a, out: seen.update(key=out)),
    ]
    text, regions = stored["caption_mask"][rows], stored["region_positions"][rows]
    with watch(model, text_mask=lambda i: text[:, :TEXT]) as watched:
        model(**batch)
        blocks = watched.blocks()
    for handle in handles:
        handle.remove()
    masks = {"l": text, "v": regions}
    for block in ("ll", "lv", "vl", "vv"):
        queries, keys = masks[block[0]], masks[block[1]]
        for example, whole in enumerate(expected[f"block_{block}"]):
            theirs = whole[queries[example]][:, keys[example]]
            ours = getattr(blocks, block)[example, : len(theirs), : theirs.shape[1]]
            assert_close(ours.double(), theirs.double(), **CLOSE)
    real = torch.cat([batch["attention_mask"], batch["region_mask"]], 1).bool()
    assert_close(seen["embedding_output"][real], expected["embedding_output"][real], **CLOSE)
    for name in ("query", "key"):
        ours = seen[name].unflatten(-1, (model.config.num_attention_heads, -1)).transpose(1, 2)
        assert_close(ours, expected[name], **CLOSE)


@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
@torch.no_grad()
def test_scores_and_attention_are_those_of_the_release(model, stored, expected, kernel):
    model.set_attn_implementation(kernel)
    check(model, stored, expected)


def test_sentences_become_the_tokens_of_the_release(processor, sentences):
    assert [without_punctuation(caption) for caption in sentences["captions"]] == sentences["cleaned"]
    text = processor.encode_text(sentences["captions"])
    for ids, theirs in zip(text["input_ids"], sentences["tokens"], strict=True):
        assert processor.tokenizer.convert_ids_to_tokens(ids.tolist()) == theirs.split()


@torch.no_grad()
def test_from_sentences_boxes_and_features_to_the_scores_of_the_release(
    model, processor, stored, sentences, expected
):
    pictures = [
        Regions.from_pixels(
            stored[f"features_{i}"], stored[f"boxes_{i}"], tuple(stored["image_size"][i].tolist())
        )
        for i in range(3)
    ]
    batch = processor(
        [sentences["captions"][i] for i in stored["caption_index"]],
        [pictures[i] for i in stored["image_index"]],
    )
    assert batch["region_features"].shape[1] == REGIONS  # the third picture has 12
    assert_close(batch["region_positions"], stored["box_features"], **CLOSE)
    assert_close(model(**batch).itm_logits, expected["logits"], **CLOSE)


@torch.no_grad()
def test_the_checkpoint_as_the_release_saves_it(reference_data, stored):
    folder = reference_data / "golden" / "rosita"
    done = conversion(folder / "rosita_tiny.pkl", folder / "rosita_tiny.json")
    assert (done.kind, done.head, done.left_out) == ("rosita", "retrieval", ("epoch", "net_optim"))
    with np.load(folder / "rosita_tiny.npz", allow_pickle=False) as arrays:
        expected = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    check(done.model, stored, expected)
    out = done.model.rosita(**inputs(stored, expected["dense_rows"])).last_hidden_state
    real = torch.cat([stored["text_mask"], stored["region_mask"]], 1)[expected["dense_rows"]].bool()
    assert_close(out[real], expected["sequence_output"][real], **CLOSE)
