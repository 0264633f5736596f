"""Scorers on values at the edge: the match is that of the pair alone, or the pair is named; never a silent number."""

import pytest
import torch
from PIL import Image
from tests.unit.scorers.match_head_cases import CASES
from tests.unit.scorers.test_dual import clip
from torch.testing import assert_close

from cacr.data.pairs import Picture
from cacr.data.scenes import tokenizer
from cacr.models.uniter import UniterConfig, UniterForImageTextRetrieval, UniterProcessor
from cacr.regions import Regions
from cacr.scorers.contrastive.scorer import DualEncoderScorer
from cacr.scorers.regions import RegionScorer

CAPTIONS = ["", " ", "🙂", "a", "a red star", "red " * 10_000]


def picture(name, count=3, feature=None, width=6):
    g = torch.Generator().manual_seed(count)
    corner = torch.rand(count, 2, generator=g) / 2
    features = torch.randn(count, width, generator=g)
    if feature is not None:
        features[0, 0] = feature
    image = Image.new("RGB", (32, 32), (count % 256, 60, 200))
    regions = lambda: Regions(features, torch.cat([corner, corner + 0.3], 1))
    return Picture(name, regions, lambda: image)


@pytest.fixture
def scorer():
    config = UniterConfig(
        vocab_size=len(tokenizer()),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=80,
        region_dim=6,
        initializer_range=0.5,
    )
    return RegionScorer(UniterForImageTextRetrieval(config), UniterProcessor(tokenizer()), "tiny")


def alone(scorer, captions, pictures):
    return torch.stack([torch.cat([scorer.match([c], [p]) for p in pictures]) for c in captions])


def test_captions_and_pictures_of_any_size_score_as_alone(scorer):
    pictures = [picture("one", 1), picture("few", 3), picture("many", 1000)]
    assert_close(scorer.grid(CAPTIONS, pictures), alone(scorer, CAPTIONS, pictures), rtol=1e-4, atol=1e-5)


def test_features_that_half_precision_does_not_hold_name_the_pair_and_are_exact_in_float32(scorer):
    pictures = [picture("fine.jpg"), picture("wild.jpg", 2, feature=1e5)]
    assert scorer.grid(["a star"], pictures).isfinite().all()
    scorer.model.half()
    with pytest.raises(
        ValueError, match=r"no number for 1 of 2 pairs.*'a star'.*picture wild\.jpg.*use float32"
    ):
        scorer.grid(["a star"], pictures)


def test_an_infinite_match_names_the_pair(scorer):
    with torch.no_grad():
        scorer.model.rank_output.bias.fill_(float("inf"))
    with pytest.raises(ValueError, match=r"gives no number for 1 of 1 pairs.*picture fine\.jpg \(inf\)"):
        scorer.match(["a star"], [picture("fine.jpg")])


def test_a_picture_of_another_width_is_named_wherever_it_stands(scorer):
    with pytest.raises(ValueError, match=r"picture odd\.jpg has features of 7 numbers.*made for 6"):
        scorer.grid(["a star"], [picture("fine.jpg"), picture("odd.jpg", width=7)])


def test_a_broken_picture_is_not_scored(scorer):
    with pytest.raises(ValueError, match="features hold NaN"):
        scorer.grid(["a star"], [picture("fine.jpg"), picture("wild.jpg", feature=float("nan"))])


def test_the_sentence_about_a_pair_is_short_however_long_the_caption(scorer):
    with torch.no_grad():
        scorer.model.rank_output.bias.fill_(float("nan"))
    with pytest.raises(ValueError, match="gives no number") as error:
        scorer.match(["red " * 10_000], [picture("fine.jpg")])
    assert len(str(error.value)) < 300


def test_no_captions_or_pictures_give_an_empty_grid(scorer):
    assert scorer.grid([], [picture("a")]).shape == (0, 1) and scorer.grid(["a"], []).shape == (1, 0)
    assert scorer.match([], []).shape == (0,)


def test_captions_of_any_length_score_as_alone_in_a_dual_encoder():
    model, processor, _ = clip()
    dual, pictures = DualEncoderScorer(model, processor), [picture("one", 1), picture("two", 2)]
    assert_close(dual.grid(CAPTIONS, pictures), alone(dual, CAPTIONS, pictures), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", ["blip", "vilt"])
def test_captions_of_any_length_score_as_alone_in_a_match_head(case):
    head, pictures = CASES[case](), [picture("one", 1), picture("two", 2)]
    assert_close(head.grid(CAPTIONS, pictures), alone(head, CAPTIONS, pictures), rtol=1e-3, atol=1e-4)


def test_weights_that_are_not_finite_name_what_they_embed():
    model, processor, _ = clip()
    with torch.no_grad():
        model.text_projection.weight[0, 0] = float("nan")
    with pytest.raises(
        ValueError, match="embeds the caption 'a red star' as something infinite or no number"
    ):
        DualEncoderScorer(model, processor, "tiny").grid(["a red star"], [picture("one")])
