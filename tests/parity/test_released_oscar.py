"""Our OSCAR computes what the released one computes, from the same checkpoint and from the same sentences."""

import json

import numpy as np
import pytest
import torch
from tests.conftest import load
from torch.testing import assert_close
from transformers import BertTokenizer

from cacr.attention import watch
from cacr.models.checkpoints import conversion
from cacr.models.oscar import OscarProcessor, convert_original_checkpoint
from cacr.regions import Regions

CLOSE = {"rtol": 0, "atol": 1e-5}
TEXT = 36


def arrays(path):
    with np.load(path, allow_pickle=False) as stored:
        return {name: torch.from_numpy(stored[name]) for name in stored.files}


def inputs(stored, rows=slice(None)):
    """Padded layout [text | regions], features joined with box numbers as in the published files."""
    batch = {
        "input_ids": stored["input_ids"],
        "attention_mask": stored["attention_mask"][:, :TEXT],
        "token_type_ids": stored["token_type_ids"],
        "region_features": stored["img_feats"],
        "region_mask": stored["attention_mask"][:, TEXT:],
    }
    return {name: value[rows] for name, value in batch.items()}


@pytest.fixture
def stored():
    return load("oscar/inputs")


@pytest.fixture
def expected():
    return load("oscar/retrieval")


@pytest.fixture
def model(data):
    return convert_original_checkpoint(data / "oscar" / "retrieval")


@pytest.fixture
def processor(data):
    return OscarProcessor(
        BertTokenizer(vocab=str(data / "oscar" / "vocab.txt")), max_text_length=TEXT, max_regions=9
    )


@pytest.fixture
def sentences(data):
    return json.loads((data / "oscar" / "text.json").read_text())


def pictures(stored, sentences):
    return [
        Regions.from_pixels(
            stored[f"features_{i}"],
            stored[f"boxes_{i}"],
            tuple(stored["image_size"][i].tolist()),
            object_names=sentences["tags"][i],
        )
        for i in range(3)
    ]


def check_scores(model, batch, expected):
    out = model(**batch)
    assert_close(out.itm_logits, expected["logits"], **CLOSE)
    assert_close(out.itm_logits.softmax(1)[:, 1], expected["match_score"], **CLOSE)
    assert_close(out.rank_scores.sigmoid()[:, 0], expected["match_score"], **CLOSE)
    assert_close(model.oscar(**batch).pooler_output, expected["pooled_output"], **CLOSE)


def check_partial_masks(model, stored, expected):
    for pair in ("CL", "CR", "LR"):
        batch = inputs(stored) | {"attention_mask": stored[f"attention_mask_{pair}"], "region_mask": None}
        assert_close(model(**batch).itm_logits, expected[f"logits_{pair}"], **CLOSE)
    words = {name: value for name, value in inputs(stored).items() if not name.startswith("region")}
    assert_close(model(**words).itm_logits, expected["logits_no_image"], **CLOSE)


def check_attention(model, stored, expected):
    """Embeddings, queries, keys and the blocks cut from them, caption alone and with tags."""
    rows = expected["dense_rows"]
    batch, seen = inputs(stored, rows), {}
    attention = model.oscar.encoder.layer[-1].attention.self
    handles = [
        model.oscar.encoder.register_forward_pre_hook(lambda m, a: seen.update(embedding_output=a[0])),
        attention.query.register_forward_hook(lambda m, a, out: seen.update(query=out)),
        attention.key.register_forward_hook(lambda m, a, out: seen.update(key=out)),
    ]
    caption, tags, regions = (stored[f"{name}_mask"][rows] for name in ("caption", "tag", "region"))
    for name, text in (("caption", caption), ("captiontags", caption | tags)):
        with watch(model, text_mask=lambda i, text=text: text[:, :TEXT]) as watched:
            model(**batch)
            blocks = watched.blocks()
        for block in ("ll", "lv", "vl", "vv"):
            masks = {"l": text, "v": regions}
            queries, keys = masks[block[0]], masks[block[1]]
            for example, whole in enumerate(expected[f"block_{name}_{block}"]):
                theirs = whole[queries[example]][:, keys[example]]
                ours = getattr(blocks, block)[example, : len(theirs), : theirs.shape[1]]
                assert_close(ours.double(), theirs.double(), **CLOSE)
    for handle in handles:
        handle.remove()
    real = stored["attention_mask"][rows].bool()
    assert_close(seen["embedding_output"][real], expected["embedding_output"][real], **CLOSE)
    heads = model.config.num_attention_heads
    for name in ("query", "key"):
        ours = seen[name].unflatten(-1, (heads, -1)).transpose(1, 2)
        assert_close(ours, expected[name], **CLOSE)


@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
@torch.no_grad()
def test_scores_are_those_of_the_release(model, stored, expected, kernel):
    model.set_attn_implementation(kernel)
    check_scores(model, inputs(stored), expected)


@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
@torch.no_grad()
def test_partial_masks_give_the_scores_of_the_release(model, stored, expected, kernel):
    model.set_attn_implementation(kernel)
    check_partial_masks(model, stored, expected)


@torch.no_grad()
def test_attention_is_that_of_the_release(model, stored, expected):
    check_attention(model, stored, expected)


def test_sentences_and_tags_become_the_tokens_of_the_release(processor, stored, sentences):
    found = pictures(stored, sentences)
    for number, pair in enumerate(sentences["pairs"]):
        picture = found[pair["image"]]
        if not pair["with_tags"]:
            picture = Regions(picture.features, picture.boxes01)
        ours = processor([sentences["captions"][pair["caption"]]], [picture])
        tokens = processor.tokenizer.convert_ids_to_tokens(ours["input_ids"][0].tolist())
        theirs = pair["tokens"].split()
        assert tokens + ["[PAD]"] * (TEXT - len(tokens)) == theirs
        count = len(tokens)
        assert torch.equal(ours["token_type_ids"][0], stored["token_type_ids"][number, :count])
        assert torch.equal(ours["attention_mask"][0], stored["attention_mask"][number, :count])
        for name, tags in (("caption_mask", False), ("either", True)):
            mask = processor.text_mask(ours["input_ids"], ours["attention_mask"], tags=tags)[0]
            either = stored["caption_mask"] | stored["tag_mask"]
            assert torch.equal(mask, (stored | {"either": either})[name][number, :count])


@torch.no_grad()
def test_from_sentences_boxes_and_features_to_the_scores_of_the_release(
    model, processor, stored, sentences, expected
):
    pairs, found = sentences["pairs"][:15], pictures(stored, sentences)
    batch = processor(
        [sentences["captions"][pair["caption"]] for pair in pairs], [found[pair["image"]] for pair in pairs]
    )
    assert_close(model(**batch).itm_logits, expected["logits"][:15], **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("name", ["oscar_tiny_retrieval", "oscar_tiny_no_layernorm"])
@pytest.mark.parametrize("form", ["folder", "bin", "safetensors"])
def test_every_fine_tuned_checkpoint_in_every_form(reference_data, stored, name, form):
    folder = reference_data / "golden" / "oscar"
    path = {
        "folder": folder / name,
        "bin": folder / name / "pytorch_model.bin",
        "safetensors": folder / f"{name}.safetensors",
    }[form]
    config = folder / name / "config.json" if form == "safetensors" else None
    model, expected = convert_original_checkpoint(path, config), arrays(folder / f"{name}.npz")
    assert model.config.use_region_layer_norm == (name == "oscar_tiny_retrieval")
    check_scores(model, inputs(stored), expected)
    check_partial_masks(model, stored, expected)
    if "query" in expected:
        check_attention(model, stored, expected)
    out = model.oscar(**inputs(stored, expected["dense_rows"])).last_hidden_state
    real = stored["attention_mask"][expected["dense_rows"]].bool()
    assert_close(out[real], expected["sequence_output"][real], **CLOSE)


@torch.no_grad()
def test_the_pretraining_heads_are_those_of_the_release(reference_data, stored):
    folder = reference_data / "golden" / "oscar"
    done = conversion(folder / "oscar_tiny_pretraining")
    expected = arrays(folder / "oscar_tiny_pretraining.npz")
    assert (done.kind, done.head, done.left_out) == ("oscar", "pretraining", ())
    assert done.model.config.region_layer_norm_eps == 1e-5
    out = done.model(**inputs(stored))
    assert_close(out.itm_logits, expected["seq_relationship"], **CLOSE)
    assert_close(out.itm_logits.softmax(1)[:, 0], expected["match_score_class0"], **CLOSE)
    assert_close(out.prediction_logits[0, :8], expected["mlm_logits_caption0"], **CLOSE)
    first, last = expected["seq_relationship"][:, :1], expected["seq_relationship"][:, -1:]
    assert_close(out.rank_scores, first - last, **CLOSE)
    start = convert_original_checkpoint(folder / "oscar_tiny_pretraining", head="retrieval")
    assert_close(start(**inputs(stored)).rank_scores, first - last, **CLOSE)
