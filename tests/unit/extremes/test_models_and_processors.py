"""Our models and their processors: captions of no word and of 10,000, 1,000 regions, masks that hide everything."""

import logging

import pytest
import torch
from torch.testing import assert_close
from transformers import BertTokenizer

from cacr.data.scenes import tokenizer
from cacr.models.oscar import OscarConfig, OscarForImageTextRetrieval, OscarProcessor
from cacr.models.rosita import RositaConfig, RositaForImageTextRetrieval, RositaProcessor
from cacr.models.sequence import hidden
from cacr.models.uniter import UniterConfig, UniterForImageTextRetrieval, UniterProcessor
from cacr.regions import Regions

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 80,
    "region_dim": 6,
    "initializer_range": 0.5,
}
KINDS = {
    "uniter": (UniterConfig, UniterForImageTextRetrieval, UniterProcessor),
    "oscar": (OscarConfig, OscarForImageTextRetrieval, OscarProcessor),
    "rosita": (RositaConfig, RositaForImageTextRetrieval, RositaProcessor),
}
WORDLESS = ["", "   ", "\n\t"]
ODD = ["!?.", "🙂🙂", "\u200b", "\x00", "語", "x" * 100_000, "[CLS] [SEP]", "a"]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def processor(kind):
    return KINDS[kind][2](tokenizer(), max_regions=None)


@pytest.fixture
def model(kind):
    config, of, _ = KINDS[kind]
    return of(config(vocab_size=len(tokenizer()), **SIZES)).eval()


def regions(count, seed=0):
    g = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=g) / 2
    return Regions(torch.randn(count, 6, generator=g), torch.cat([corner, corner + 0.3], 1))


def scores(model, inputs, **more):
    with torch.no_grad():
        return model(**inputs, **more).rank_scores[:, 0]


@pytest.mark.parametrize("first_only", [False, True])
def test_captions_of_any_length_and_signs_score_the_same_alone_and_in_a_batch(processor, model, first_only):
    captions = [*WORDLESS, *ODD, "a red circle is left of a blue square"]
    pictures = [regions(1 + i % 3, i) for i in range(len(captions))]
    together = scores(model, processor(captions, pictures), first_only=first_only)
    assert together.isfinite().all()
    for i, (caption, picture) in enumerate(zip(captions, pictures, strict=True)):
        alone = scores(model, processor([caption], [picture]), first_only=first_only)
        assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-5)


def test_only_captions_without_a_word_have_no_token_that_counts(processor):
    text = processor.encode_text([*WORDLESS, "a red star"])
    counted = processor.text_mask(text["input_ids"], text["attention_mask"]).sum(1)
    assert counted.tolist() == [0, 0, 0, 3]


def test_ten_thousand_words_are_cut_and_that_is_said_once_and_shortly(processor, caplog):
    long = "red " * 10_000
    with caplog.at_level(logging.WARNING):
        text = processor.encode_text(["a star", long])
        processor.encode_text([long])
    assert text["input_ids"].shape == (2, processor.max_text_length)
    cut = processor.encode_text([" ".join(["red"] * (processor.max_text_length - 2))])
    assert torch.equal(text["input_ids"][1:], cut["input_ids"])
    (said,) = [record.getMessage() for record in caplog.records]
    assert f"more than {processor.max_text_length} word pieces and is cut" in said and len(said) < 200


def test_a_caption_that_just_fits_is_not_said_to_be_cut(processor, caplog):
    processor.encode_text([" ".join(["red"] * (processor.max_text_length - 2))])
    assert not caplog.records


@pytest.mark.parametrize("odd", [None, 3, b"a", "a \ud83d star"])
def test_what_is_no_text_is_refused_with_its_number(processor, odd):
    with pytest.raises(ValueError, match=r"^caption 1 is .*; expected text"):
        processor.encode_text(["a star", odd])


def test_no_captions_and_no_pictures_are_refused(processor):
    with pytest.raises(ValueError, match="no captions were given"):
        processor([], [])
    with pytest.raises(ValueError, match="no pictures were given"):
        processor.encode_regions([])


def test_texts_longer_than_the_position_table_are_refused(model, processor):
    processor.max_text_length = 81
    inputs = processor(["red " * 100], [regions(2)])
    with pytest.raises(ValueError, match="texts of 81 tokens; the model has 80 positions"):
        model(**inputs)


def test_a_thousand_regions_beside_one_score_as_alone(model, processor):
    pictures = [regions(1000), regions(1)]
    together = scores(model, processor(["a star"] * 2, pictures))
    for i, picture in enumerate(pictures):
        assert_close(
            together[i : i + 1], scores(model, processor(["a star"], [picture])), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
@pytest.mark.parametrize("first_only", [False, True])
def test_a_pair_of_which_nothing_is_real_leaves_the_others_as_they_are(
    model, processor, kernel, dtype, first_only
):
    model.set_attn_implementation(kernel)
    model = model.to(dtype)
    inputs = processor(["a red star", "a star"], [regions(3), regions(2)])
    inputs = {k: v.to(dtype) if v.is_floating_point() else v for k, v in inputs.items()}
    before = model(**inputs, first_only=first_only).rank_scores
    inputs["attention_mask"][1] = inputs["region_mask"][1] = 0
    after = model(**inputs, first_only=first_only).rank_scores
    assert after.isfinite().all()
    assert_close(after[0], before[0])
    if dtype != torch.float16:  # mixed precision keeps weights in float32: the test below
        after[0].sum().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_mixed_precision_gives_finite_gradients_beside_padding_and_a_pair_of_which_nothing_is_real(
    model, processor, dtype
):
    inputs = processor(["a red star", "a star", "a"], [regions(3), regions(2), regions(1)])
    inputs["attention_mask"][1] = inputs["region_mask"][1] = 0
    with torch.autocast("cpu", dtype):
        model(**inputs).rank_scores[::2].float().sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
def test_a_full_mask_hides_as_an_absent_position_does_and_rows_that_see_nothing_are_finite(
    model, processor, kernel, dtype
):
    model.set_attn_implementation(kernel)
    model = model.to(dtype)
    inputs = processor(["a red star"], [regions(3)])
    inputs = {k: v.to(dtype) if v.is_floating_point() else v for k, v in inputs.items()}
    total = inputs["input_ids"].shape[1] + 3
    full = torch.ones(1, total, total, dtype=torch.long)
    full[:, :, -1] = 0
    full[:, -1] = 0
    hiding = scores(model, inputs | {"attention_mask": full})
    shorter = {k: v[:, :2] if k.startswith("region") else v for k, v in inputs.items()}
    rounding = {torch.float32: 1e-5, torch.float16: 2e-2, torch.bfloat16: 2e-1}[dtype]
    assert hiding.isfinite().all()
    assert_close(hiding, scores(model, shorter), rtol=rounding, atol=rounding)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("score", [-3e4, 0.0, 3e4])
def test_scores_of_tens_of_thousands_do_not_outweigh_the_mask_or_overflow_with_it(dtype, score):
    seen = torch.tensor([score, score], dtype=dtype)
    beside = seen + torch.tensor([0.0, hidden(dtype)], dtype=dtype)
    assert beside.isfinite().all() and (beside.softmax(-1) == torch.tensor([1.0, 0.0], dtype=dtype)).all()


def test_punctuation_alone_is_no_word_for_rosita():
    text = (processor := RositaProcessor(tokenizer())).encode_text(["!?.", "🙂", "a star"])
    assert processor.text_mask(text["input_ids"], text["attention_mask"]).sum(1).tolist() == [0, 0, 2]


def test_tags_are_cut_to_what_fits_however_many(data):
    words = BertTokenizer(vocab=str(data / "oscar" / "vocab.txt"))
    many = regions(1000)
    many = Regions(many.features, many.boxes01, object_names=["dog"] * 1000)
    inputs = OscarProcessor(words, max_regions=None)(["a cat", ""], [many, many])
    assert inputs["input_ids"].shape == (2, 70) and inputs["region_features"].shape[1] == 1000
