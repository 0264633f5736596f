"""A scorer of a matching head gives the number that the model's own forward pass gives, and refuses to make one up."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import transformers as T
from torch.testing import assert_close

from cacr.data.pairs import Answered, Picture
from cacr.regions import Regions
from cacr.scorers.match_heads.blip import BlipScorer
from cacr.scorers.match_heads.blip2 import Blip2Scorer
from cacr.scorers.match_heads.bridgetower import BridgeTowerScorer
from cacr.scorers.match_heads.flava import FlavaScorer
from cacr.scorers.match_heads.lxmert import LxmertScorer
from cacr.scorers.match_heads.vilt import ViltScorer
from cacr.scorers.match_heads.visual_bert import VisualBertScorer
from cacr.tiny_models import processors, query_formers, single_stream, two_stream
from cacr.tiny_models._batches import seeded, tiny
from cacr.tiny_models.tokenizers import word_tokenizer


@seeded
def bridge_tower_contrastive():
    config = two_stream.bridge_tower().model.config
    config.contrastive_hidden_size, config.logit_scale_init_value = 16, 2.6592
    return tiny(T.BridgeTowerForContrastiveLearning(config))


def of_pixels(read, **options):
    """The plain forward pass of a pair of words and pixels, and what ``read`` takes of its output."""

    def alone(model, processor, caption, picture):
        return read(model(**processor(images=picture.image, text=caption, return_tensors="pt"), **options))

    return alone


def of_two_texts(read, **options):
    """The same for a processor that returns lists of lists."""

    def alone(model, processor, caption, picture):
        inputs = processor(images=[picture.image], text=[caption], return_tensors="pt")
        return read(model(**inputs, **options))

    return alone


def match(logits):
    """Log odds of the second of two classes."""
    return logits[0, 1] - logits[0, 0]


def bridge_tower_cosine(out):
    return (out.text_embeds @ out.image_embeds.T)[0, 0]


def lxmert(model, tokenizer, caption, picture):
    regions = picture.regions
    out = model(
        **tokenizer(caption, return_tensors="pt"),
        visual_feats=regions.features[None],
        visual_pos=regions.boxes01[None],
    )
    return match(out.cross_relationship_score)


def visual_bert(model, tokenizer, caption, picture):
    features = picture.regions.features[None]
    out = model(
        **tokenizer(caption, return_tensors="pt"),
        visual_embeds=features,
        visual_token_type_ids=torch.ones(features.shape[:2], dtype=torch.long),
    )
    return -match(out.seq_relationship_logits)


@dataclass(frozen=True)
class Case:
    """A scorer, a score of it, a tiny model, and the plain forward pass of a pair."""

    scorer: type
    score: str
    build: Callable
    processor: Callable
    alone: Callable
    head: str
    """Beginning of the names of the weights of the head."""

    def __call__(self):
        return self.scorer(self.build().model, self.processor(), score=self.score)


CASES = {
    "blip": Case(
        BlipScorer,
        "itm",
        two_stream.blip_itm,
        processors.blip,
        of_pixels(lambda out: match(out.itm_score)),
        "itm_head",
    ),
    "blip-itc": Case(
        BlipScorer,
        "itc",
        two_stream.blip_itm,
        processors.blip,
        of_pixels(lambda out: out.itm_score, use_itm_head=False),
        "text_proj",
    ),
    "blip2": Case(
        Blip2Scorer,
        "itm",
        query_formers.blip2_itm,
        processors.blip2,
        of_pixels(lambda out: match(out.logits_per_image), use_image_text_matching_head=True),
        "itm_head",
    ),
    "blip2-itc": Case(
        Blip2Scorer,
        "itc",
        query_formers.blip2_itm,
        processors.blip2,
        of_pixels(lambda out: out.logits_per_image, use_image_text_matching_head=False),
        "text_projection",
    ),
    "blip2-placeholders": Case(
        Blip2Scorer,
        "itm",
        query_formers.blip2_itm_placeholders,
        lambda: processors.blip2_placeholders(query_formers.QUERIES),
        of_two_texts(lambda out: match(out.logits_per_image), use_image_text_matching_head=True),
        "itm_head",
    ),
    "blip2-placeholders-itc": Case(
        Blip2Scorer,
        "itc",
        query_formers.blip2_itm_placeholders,
        lambda: processors.blip2_placeholders(query_formers.QUERIES),
        of_two_texts(lambda out: out.logits_per_image, use_image_text_matching_head=False),
        "text_projection",
    ),
    "vilt": Case(
        ViltScorer,
        "itm",
        single_stream.vilt,
        processors.vilt,
        of_pixels(lambda out: out.logits[0, 0]),
        "rank_output",
    ),
    "lxmert": Case(LxmertScorer, "itm", two_stream.lxmert, word_tokenizer, lxmert, "cls.seq_relationship"),
    "visual_bert": Case(
        VisualBertScorer,
        "itm",
        single_stream.visual_bert,
        word_tokenizer,
        visual_bert,
        "cls.seq_relationship",
    ),
    "bridgetower": Case(
        BridgeTowerScorer,
        "itm",
        two_stream.bridge_tower,
        processors.bridge_tower,
        of_pixels(lambda out: match(out.logits)),
        "itm_score",
    ),
    "bridgetower-itc": Case(
        BridgeTowerScorer,
        "itc",
        bridge_tower_contrastive,
        processors.bridge_tower,
        lambda model, *pair: of_pixels(bridge_tower_cosine)(model, *pair) * model.logit_scale.exp(),
        "itc_text_head",
    ),
    "flava": Case(
        FlavaScorer,
        "itm",
        single_stream.flava,
        processors.flava,
        of_pixels(lambda out: match(out.itm_logits), return_loss=False),
        "itm_head",
    ),
    "flava-itc": Case(
        FlavaScorer,
        "itc",
        single_stream.flava,
        processors.flava,
        of_pixels(lambda out: out.contrastive_logits_per_image, return_loss=False),
        "flava.text_projection",
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture(params=["lxmert", "visual_bert"])
def of_regions(request):
    return CASES[request.param]


@pytest.fixture(params=[name for name in CASES if name not in ("lxmert", "visual_bert")])
def of_pictures(request):
    return CASES[request.param]


def test_every_pair_scores_as_in_the_models_own_forward_pass(case, captions, pictures, every_pair_equals):
    scorer = case()
    every_pair_equals(
        scorer,
        lambda caption, picture: case.alone(scorer.model, scorer.processor, caption, picture),
        captions,
        pictures,
    )


def test_the_memory_given_changes_no_score(case, captions, pictures):
    plenty, little = case(), case.scorer(case.build().model, case.processor(), memory=1e-6, score=case.score)
    assert_close(little.grid(captions, pictures), plenty.grid(captions, pictures), rtol=0, atol=1e-5)


def test_a_saved_folder_scores_the_same(case, tmp_path, captions, pictures):
    scorer = case()
    scorer.model.save_pretrained(tmp_path)
    scorer.processor.save_pretrained(tmp_path)
    again = case.scorer.from_pretrained(tmp_path, device="cpu", name="mine", score=case.score)
    assert again.name == "mine" and again.score == case.score
    assert_close(again.grid(captions, pictures), scorer.grid(captions, pictures), rtol=0, atol=1e-6)


def test_a_checkpoint_without_the_head_is_refused(case, tmp_path):
    scorer = case()
    kept = {name: w for name, w in scorer.model.state_dict().items() if not name.startswith(case.head)}
    scorer.model.save_pretrained(tmp_path, state_dict=kept)
    scorer.processor.save_pretrained(tmp_path)
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match=rf"without {case.head}.*Take a checkpoint that has them, such as"):
        case.scorer.from_pretrained(tmp_path, score=case.score)
    assert torch.equal(torch.get_rng_state(), before)


def test_scoring_leaves_the_random_numbers_alone(case, captions, pictures):
    scorer, before = case(), torch.get_rng_state()
    scorer.grid(captions, pictures)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_caption_longer_than_the_model_reads_is_cut(case, pictures):
    scorer = case()
    long = " ".join(["dog"] * 600)
    room = scorer.max_text_length - 2
    assert scorer.match([long], pictures[:1]) == scorer.match([" ".join(["dog"] * room)], pictures[:1])


def test_a_record_says_what_the_number_is(case):
    about = case().describe()
    assert about["score"] == case.scorer.heads[case.score].says
    assert about["max_text_length"] in (20, 38, 40)
    assert ("region_dim" in about) != ("image_size" in about)
    assert json.loads(json.dumps(about)) == about


def test_a_pair_takes_more_memory_with_more_of_either_side(case):
    scorer = case()
    assert scorer.pair_bytes(10, 600) > 2 * scorer.pair_bytes(10, 200)
    assert scorer.pair_bytes(100, 200) > scorer.pair_bytes(10, 200)


@pytest.mark.parametrize("name", ["blip", "vilt", "lxmert", "visual_bert", "bridgetower", "flava"])
def test_the_memory_of_words_counts_what_they_look_at(name):
    scorer = CASES[name]()
    few, many = (scorer.pair_bytes(100, seen) - scorer.pair_bytes(10, seen) for seen in (200, 600))
    assert many > few


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_it_runs_in_half_precision(case, dtype, tmp_path, captions, pictures):
    scorer = case()
    scorer.model.save_pretrained(tmp_path)
    scorer.processor.save_pretrained(tmp_path)
    half = case.scorer.from_pretrained(tmp_path, device="cpu", dtype=dtype, score=case.score)
    exact = scorer.grid(captions, pictures)
    assert_close(half.grid(captions, pictures), exact, rtol=0.05, atol=0.3)


@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if case.scorer.heads[case.score].spare]
)
def test_a_checkpoint_may_lack_weights_that_the_score_does_not_read(name, tmp_path, captions, pictures):
    case = CASES[name]
    scorer = case()
    state, spare = scorer.model.state_dict(), scorer.head.spare
    kept = {name: weights for name, weights in state.items() if not name.startswith(spare)}
    assert len(kept) < len(state)
    scorer.model.save_pretrained(tmp_path, state_dict=kept)
    scorer.processor.save_pretrained(tmp_path)
    again = case.scorer.from_pretrained(tmp_path, device="cpu", score=case.score)
    assert_close(again.grid(captions, pictures), scorer.grid(captions, pictures), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "matched"),
    [("blip", 1), ("blip2", 1), ("lxmert", 1), ("visual_bert", 0), ("bridgetower", 1), ("flava", 1)],
)
def test_the_class_of_a_match_is_the_one_of_the_models_documentation(name, matched, captions, pictures):
    case = CASES[name]
    scorer = case()
    state = scorer.model.state_dict()
    bias = next(w for key, w in state.items() if key.startswith(case.head) and w.shape == (2,))
    before = scorer.grid(captions, pictures)
    bias[matched] += 3
    assert scorer.threshold == 0.0
    assert_close(scorer.grid(captions, pictures), before + 3, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["vilt", *(name for name in CASES if name.endswith("itc"))])
def test_a_score_that_is_no_log_odds_has_no_threshold(name):
    assert CASES[name]().threshold is None


def test_each_picture_goes_through_the_tower_once(of_pictures, captions, pictures):
    model, rows = of_pictures.build().model, []
    scorer = of_pictures.scorer(model, of_pictures.processor(), memory=1e-6, score=of_pictures.score)
    patches = next(module for module in model.modules() if isinstance(module, torch.nn.Conv2d))
    patches.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    scorer.match(captions * 3, [picture for picture in pictures for _ in captions])
    scorer.grid(captions, pictures)
    assert sum(rows) == 2 * len(pictures)


def test_patches_of_vilt_are_the_same_at_every_call(captions, pictures):
    scorer = CASES["vilt"]()
    torch.manual_seed(1)
    first = scorer.grid(captions, pictures)
    torch.manual_seed(2)
    assert torch.equal(scorer.grid(captions, pictures), first)


def test_features_of_another_width_are_named(of_regions, captions):
    other = Picture("wide.png", lambda: Regions(torch.zeros(2, 17), torch.rand(2, 4).sort(1).values))
    with pytest.raises(ValueError, match=r"wide\.png has features of 17 numbers.*made for 16"):
        of_regions().match(captions[:1], [other])


def test_a_picture_without_what_the_model_reads_is_named(case, captions):
    with pytest.raises(ValueError, match="picture nothing"):
        case().match(captions[:1], [Picture("nothing")])


def test_an_answered_question_is_a_caption(case, pictures):
    answered = Answered("does this figure show a red circle ?", "yes")
    scorer = case()
    assert scorer.match([answered], pictures[:1]) == scorer.match([str(answered)], pictures[:1])
