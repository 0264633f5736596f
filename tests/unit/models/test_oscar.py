"""OSCAR as a transformers citizen, its texts of captions and tags, and sentences for what is wrong."""

import pytest
import torch
from torch.testing import assert_close
from transformers import AutoConfig, AutoModel, AutoModelForPreTraining, AutoProcessor, BertTokenizer

from cacr.models.loading import load_model, load_processor
from cacr.models.oscar import (
    OscarConfig,
    OscarForImageTextRetrieval,
    OscarForPreTraining,
    OscarProcessor,
    position_features,
)
from cacr.models.pairs import EncodedPairs
from cacr.regions import Regions

SIZES = {
    "vocab_size": 200,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "region_dim": 6,
}
CAPTIONS = ["a mug in some grass", "grass", "the dog sits near the old street next to three trees", "a cat"]
TAGS = [["dog", "green street", "dog"], None, ["cat", "beach"], ["water"] * 5]


@pytest.fixture
def config():
    return OscarConfig(**SIZES)


@pytest.fixture
def processor(data):
    return OscarProcessor(BertTokenizer(vocab=str(data / "oscar" / "vocab.txt")), max_text_length=12)


@pytest.fixture
def pictures():
    g = torch.Generator().manual_seed(0)
    found = []
    for tags in TAGS:
        corner = torch.rand(len(tags or [0]), 2, generator=g) / 2
        boxes = torch.cat([corner, corner + 0.3], 1)
        found.append(Regions(torch.randn(len(boxes), 6, generator=g), boxes, object_names=tags))
    return found


@pytest.fixture
def batch(processor, pictures):
    return dict(processor(CAPTIONS, pictures))


def words(processor, inputs, row):
    real = inputs["attention_mask"][row].bool()
    return " ".join(processor.tokenizer.convert_ids_to_tokens(inputs["input_ids"][row][real].tolist()))


def test_tags_follow_the_caption_in_their_order_with_repeats(processor, pictures):
    inputs = processor(CAPTIONS[:2], pictures[:1] * 2)
    assert words(processor, inputs, 0) == "[CLS] a mug in some grass [SEP] dog green street dog [SEP]"
    assert words(processor, inputs, 1) == "[CLS] grass [SEP] dog green street dog [SEP]"
    assert inputs["token_type_ids"][1].tolist() == [0] * 3 + [1] * 5 + [0] * 4
    assert inputs["attention_mask"].shape == (2, 12)


@pytest.mark.parametrize(
    ("caption", "kept"),
    [
        (6, "dog green street [SEP]"),
        (7, "dog green [SEP]"),
        (8, "dog [SEP]"),
        (9, "[SEP]"),
        (10, ""),
        (11, ""),
    ],
)
def test_the_tags_are_cut_to_what_the_caption_leaves(processor, pictures, caption, kept):
    inputs = processor([" ".join(["grass"] * caption)], pictures[:1])
    grass = " ".join(["grass"] * min(caption, 10))
    assert words(processor, inputs, 0) == f"[CLS] {grass} [SEP] {kept}".strip()
    assert inputs["input_ids"].shape[1] <= 12


def test_a_picture_without_names_has_no_tags(processor, pictures):
    inputs = processor(CAPTIONS[:1], pictures[1:2])
    assert words(processor, inputs, 0) == "[CLS] a mug in some grass [SEP]"
    assert not inputs["token_type_ids"].any()


def test_joining_is_encoding_pair_by_pair(processor, pictures, config):
    model = OscarForImageTextRetrieval(config).eval()
    pairs = EncodedPairs(processor, CAPTIONS, pictures)
    captions, images = torch.cartesian_prod(torch.arange(4), torch.arange(4)).unbind(1)
    joined = pairs.inputs(captions, images)
    with torch.no_grad():
        scores = model(**joined).rank_scores
        for row, (caption, image) in enumerate(zip(captions, images, strict=True)):
            alone = processor([CAPTIONS[caption]], [pictures[image]])
            assert words(processor, joined, row) == words(processor, alone, 0)
            real = joined["attention_mask"][row].bool()
            types = alone["token_type_ids"][0][alone["attention_mask"][0].bool()]
            assert torch.equal(joined["token_type_ids"][row][real], types)
            assert_close(model(**alone).rank_scores[0], scores[row], rtol=0, atol=1e-6)


def test_joining_waits_for_no_device(processor, pictures):
    pairs = EncodedPairs(processor, CAPTIONS, pictures)
    text, regions = (
        {name: value.to("meta") for name, value in part.items()} for part in (pairs.text, pairs.regions)
    )
    assert processor.join(text, regions)["input_ids"].shape == (4, 12)  # a look at a value would raise


def test_padding_holds_nothing(config, batch):
    model = OscarForImageTextRetrieval(config).eval()
    clean = model(**batch).rank_scores
    text, regions = batch["attention_mask"].bool(), batch["region_mask"].bool()
    batch["input_ids"] = torch.where(text, batch["input_ids"], 7)
    batch["token_type_ids"] = torch.where(text, batch["token_type_ids"], 1)
    batch["region_features"] = torch.where(regions[..., None], batch["region_features"], 1e4)
    assert_close(model(**batch).rank_scores, clean)
    wider = {name: torch.nn.functional.pad(batch[name], (0, 3)) for name in ("input_ids", "attention_mask")}
    wider["token_type_ids"] = torch.nn.functional.pad(batch["token_type_ids"], (0, 3))
    assert_close(model(**(batch | wider)).rank_scores, clean)


def test_tags_count_as_text_where_asked_for(processor, batch):
    ids, mask, types = (batch[name] for name in ("input_ids", "attention_mask", "token_type_ids"))
    counts = lambda **options: processor.text_mask(ids, mask, **options).sum(1).tolist()
    assert counts() == counts(token_type_ids=types) == [5, 1, 10, 2]
    assert counts(tags=True) == [9, 1, 10, 7]
    assert counts(special_tokens=True) == counts(special_tokens=True, token_type_ids=types) == [7, 3, 12, 4]
    processor.tags_are_text = True
    assert counts() == [9, 1, 10, 7]


def test_a_saved_model_and_its_processor_load_with_the_same_scores(
    config, batch, processor, pictures, tmp_path
):
    model = OscarForImageTextRetrieval(config).eval()
    model.save_pretrained(tmp_path)
    processor.tags_are_text = True
    processor.save_pretrained(tmp_path)
    again, loaded = load_processor(tmp_path), load_model(tmp_path)
    assert (again.max_text_length, again.max_regions, again.tags_are_text) == (12, 70, True)
    assert torch.equal(loaded(**again(CAPTIONS, pictures)).rank_scores, model(**batch).rank_scores)
    assert isinstance(AutoProcessor.from_pretrained(tmp_path), OscarProcessor)


@pytest.mark.parametrize(
    "options", [{"num_labels": 1}, {"classifier": "mlp"}, {"use_region_layer_norm": False}]
)
def test_every_form_of_the_head_is_saved_and_loaded(options, batch, tmp_path):
    model = OscarForImageTextRetrieval(OscarConfig(**SIZES, **options)).eval()
    model.save_pretrained(tmp_path)
    assert torch.equal(load_model(tmp_path)(**batch).rank_scores, model(**batch).rank_scores)


def test_the_auto_classes_know_it(config, batch, tmp_path):
    model = OscarForPreTraining(config).eval()
    model.save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).region_dim == 6
    assert type(AutoModel.from_config(config)).__name__ == "OscarModel"
    assert isinstance(AutoModelForPreTraining.from_pretrained(tmp_path), OscarForPreTraining)
    assert torch.equal(load_model(tmp_path)(**batch).rank_scores, model(**batch).rank_scores)


def test_the_match_is_class_one_minus_class_zero_or_the_number(config, batch):
    out = OscarForImageTextRetrieval(config).eval()(**batch)
    assert_close(out.rank_scores[:, 0], out.itm_logits[:, 1] - out.itm_logits[:, 0])
    single = OscarForImageTextRetrieval(OscarConfig(**SIZES, num_labels=1)).eval()(**batch)
    assert torch.equal(single.rank_scores, single.itm_logits)


def test_the_pretraining_match_is_class_zero_minus_the_last(batch):
    model = OscarForPreTraining(OscarConfig(**SIZES, num_contrast_classes=3)).eval()
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    contrast = torch.tensor([0, 1, 2, 0])
    out = model(**batch, labels=labels, itm_labels=contrast)
    assert_close(out.rank_scores[:, 0], out.itm_logits[:, 0] - out.itm_logits[:, 2])
    parts = model(**batch, labels=labels).loss + model(**batch, itm_labels=contrast).loss
    assert_close(out.loss, parts)


def test_labels_give_the_match_loss(config, batch):
    labels = torch.tensor([0, 1, 1, 0])
    out = OscarForImageTextRetrieval(config).eval()(**batch, labels=labels)
    assert_close(out.loss, torch.nn.functional.cross_entropy(out.itm_logits, labels))
    out = OscarForImageTextRetrieval(OscarConfig(**SIZES, num_labels=1)).eval()(**batch, labels=labels)
    assert_close(out.loss, (out.itm_logits[:, 0] - labels).square().mean())


def test_box_numbers_may_be_joined_to_the_features(config, batch):
    model = OscarForImageTextRetrieval(config).eval()
    joined = torch.cat([batch["region_features"], batch["region_positions"]], 2)
    split = model(**batch).rank_scores
    assert torch.equal(
        model(**batch | {"region_features": joined, "region_positions": None}).rank_scores, split
    )
    with pytest.raises(ValueError, match="have 6 numbers a region; expected 6 and region_positions of 6"):
        model(**batch | {"region_positions": None})


def test_a_full_mask_of_real_keys_is_the_padding_mask(config, batch):
    model = OscarForImageTextRetrieval(config).eval()
    real = torch.cat([batch["attention_mask"], batch["region_mask"]], 1)
    full = real[:, None].expand(-1, real.shape[1], -1)
    assert_close(
        model(**batch | {"attention_mask": full, "region_mask": None}).rank_scores, model(**batch).rank_scores
    )
    with pytest.raises(
        ValueError, match=r"attention_mask has shape \(4, 3, 3\); expected \[batch, text\], or"
    ):
        model(**batch | {"attention_mask": full[:, :3, :3]})


def test_activation_checkpointing_gives_the_same_gradients(batch):
    model = OscarForImageTextRetrieval(
        OscarConfig(**SIZES, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    ).train()
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            model.activation_checkpointing_enable()
        model.zero_grad()
        model(**batch).rank_scores.sum().backward()
        gradients.append(model.oscar.embeddings.word_embeddings.weight.grad.clone())
    assert_close(*gradients)


def test_masks_of_another_shape_are_named(config, batch):
    with pytest.raises(ValueError, match=r"region_mask has shape \(4, 2\); expected \(4, 5\)"):
        OscarForImageTextRetrieval(config)(**batch | {"region_mask": torch.ones(4, 2)})


def test_a_head_of_another_task_is_named():
    with pytest.raises(ValueError, match="num_labels is 5; a match head has 2 classes"):
        OscarForImageTextRetrieval(OscarConfig(**SIZES, num_labels=5))


def test_box_numbers_are_the_six_of_oscar():
    boxes, stated = torch.tensor([[0.1, 0.2, 0.5, 0.8]]), torch.tensor([[0.41, 0.59]])
    assert_close(position_features(boxes), torch.tensor([[0.1, 0.2, 0.5, 0.8, 0.4, 0.6]]))
    assert_close(position_features(boxes, stated), torch.tensor([[0.1, 0.2, 0.5, 0.8, 0.41, 0.59]]))
