"""ROSITA as a transformers citizen, its texts, and sentences for what is wrong."""

import pytest
import torch
from torch.testing import assert_close
from transformers import AutoConfig, AutoModel, AutoProcessor, BertTokenizer

from cacr.models.loading import load_model, load_processor
from cacr.models.pairs import EncodedPairs
from cacr.models.rosita import (
    RositaConfig,
    RositaForImageTextRetrieval,
    RositaProcessor,
    position_features,
    without_punctuation,
)
from cacr.regions import Regions

CAPTIONS = ["a mug, in some grass!", "grass", "the dog's near an old_street"]


@pytest.fixture
def config():
    return RositaConfig(
        vocab_size=200,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        region_dim=6,
    )


@pytest.fixture
def processor(data):
    tokenizer = BertTokenizer(vocab=str(data / "rosita" / "vocab.txt"))
    return RositaProcessor(tokenizer, max_text_length=12, max_regions=3)


@pytest.fixture
def pictures():
    g = torch.Generator().manual_seed(0)
    found = []
    for count in (2, 5, 1):
        corner = torch.rand(count, 2, generator=g) / 2
        boxes = torch.cat([corner, corner + 0.3], 1)
        found.append(Regions(torch.randn(count, 6, generator=g), boxes, object_names=["dog"] * count))
    return found


@pytest.fixture
def batch(processor, pictures):
    return dict(processor(CAPTIONS, pictures))


def test_punctuation_is_deleted_and_letters_of_any_script_are_kept():
    assert without_punctuation("A man's T-shirt, on a small_table!") == "A mans Tshirt on a smalltable"
    assert without_punctuation("café 猫 4") == "café 猫 4"


def test_no_more_regions_than_fit(batch):
    assert batch["region_mask"].sum(1).tolist() == [2, 3, 1]
    assert sorted(batch) == [
        "attention_mask",
        "input_ids",
        "region_features",
        "region_mask",
        "region_positions",
    ]


def test_joining_is_encoding_pair_by_pair(processor, pictures, config):
    model = RositaForImageTextRetrieval(config).eval()
    captions, images = torch.cartesian_prod(torch.arange(3), torch.arange(3)).unbind(1)
    with torch.no_grad():
        scores = model(**EncodedPairs(processor, CAPTIONS, pictures).inputs(captions, images)).rank_scores
        for row, (caption, image) in enumerate(zip(captions, images, strict=True)):
            alone = processor([CAPTIONS[caption]], [pictures[image]])
            assert_close(model(**alone).rank_scores[0], scores[row], rtol=0, atol=1e-6)


def test_padding_holds_nothing(config, batch):
    model = RositaForImageTextRetrieval(config).eval()
    clean = model(**batch).rank_scores
    batch["input_ids"] = torch.where(batch["attention_mask"].bool(), batch["input_ids"], 7)
    batch["region_features"] = torch.where(
        batch["region_mask"].bool()[..., None], batch["region_features"], 1e4
    )
    assert_close(model(**batch).rank_scores, clean)


def test_a_saved_model_and_its_processor_load_with_the_same_scores(
    config, batch, processor, pictures, tmp_path
):
    model = RositaForImageTextRetrieval(config).eval()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again = load_processor(tmp_path)
    assert (again.max_text_length, again.max_regions) == (12, 3)
    out = load_model(tmp_path)(**again(CAPTIONS, pictures))
    assert torch.equal(out.rank_scores, model(**batch).rank_scores)
    assert isinstance(AutoProcessor.from_pretrained(tmp_path), RositaProcessor)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), RositaConfig)
    assert type(AutoModel.from_config(config)).__name__ == "RositaModel"


def test_the_match_is_class_one_minus_class_zero(config, batch):
    labels = torch.tensor([0, 1, 1])
    out = RositaForImageTextRetrieval(config).eval()(**batch, labels=labels)
    assert_close(out.rank_scores[:, 0], out.itm_logits[:, 1] - out.itm_logits[:, 0])
    assert_close(out.loss, torch.nn.functional.cross_entropy(out.itm_logits, labels))


def test_eager_attentions_are_recorded(config, batch):
    model = RositaForImageTextRetrieval(config).eval()
    model.set_attn_implementation("eager")
    length = batch["input_ids"].shape[1] + batch["region_mask"].shape[1]
    attentions = model(**batch, output_attentions=True).attentions
    assert [a.shape for a in attentions] == [(3, 2, length, length)] * 2


def test_regions_without_boxes_are_refused(config, batch):
    with pytest.raises(ValueError, match="without region_positions"):
        RositaForImageTextRetrieval(config)(**batch | {"region_positions": None})


def test_box_numbers_are_the_five_of_rosita():
    boxes = torch.tensor([[0.1, 0.2, 0.5, 0.8]])
    assert_close(position_features(boxes), torch.tensor([[0.1, 0.2, 0.5, 0.8, 0.24]]))


def test_a_window_without_room_is_refused(processor):
    with pytest.raises(ValueError, match="max_text_length is 2"):
        RositaProcessor(processor.tokenizer, max_text_length=2)
