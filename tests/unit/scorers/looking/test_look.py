"""`look` gives the attention of the forward pass that is evaluated, with the caption's own words, for every family."""

import pytest
import torch
from tests.unit.scorers.looking.cases import ENCODERS, REGION_PROCESSORS, SCORERS
from tests.unit.scorers.match_head_cases import match
from torch.testing import assert_close

from cacr.attention import watch
from cacr.data.pairs import Answered, Picture
from cacr.scorers.generative import LikelihoodScorer, VQAScorer
from cacr.scorers.generative.passages import Passage, of_answer
from cacr.scorers.looking import look
from cacr.scorers.looking.look import _pair
from cacr.scorers.looking.writing import _with_last
from cacr.tiny_models.chat_processors import WRITING

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
CAPTION = "a red circle is left of a blue square"
MATCH = {  # of the output of the whole model
    "blip": lambda out: match(out.itm_score),
    "blip2": lambda out: match(out.logits_per_image),
    "blip2-placeholders": lambda out: match(out.logits_per_image),
    "bridgetower": lambda out: match(out.logits),
    "flava": lambda out: match(out.itm_logits),
    "vilt": lambda out: out.logits[0, 0],
    "lxmert": lambda out: match(out.cross_relationship_score),
    "visual_bert": lambda out: -match(out.seq_relationship_logits),
}
WRITES = [name for name in SCORERS if name.endswith(("-vqascore", "-likelihood"))]


@pytest.mark.parametrize("name", SCORERS)
def test_the_tokens_are_the_words_of_the_caption_and_nothing_else(name, pictures):
    found = look(SCORERS[name].build(), CAPTION, pictures[0], layers="last", heads="mean")
    assert list(found.tokens) == CAPTION.split() == [CAPTION[a:b] for a, b in found.spans]
    assert found.caption == CAPTION
    blocks = found.at()
    assert blocks.lv.shape == (1, len(found.tokens), found.regions)
    assert_close(blocks.lv.sum(-1), torch.ones(1, len(found.tokens)))


@pytest.mark.parametrize("name", ["uniter", "lxmert", "blip", "llava-vqascore", "blip2_t5-vqascore"])
def test_the_match_is_that_of_an_evaluation(name, pictures):
    scorer = SCORERS[name].build()
    found = look(scorer, CAPTION, pictures[1], layers="last", heads="mean")
    assert found.match == float(scorer.match([CAPTION], pictures[1:2])[0])
    assert found.model == scorer.name


@pytest.mark.parametrize("name", MATCH)
def test_the_forward_that_is_watched_gives_the_match_of_the_parts(name, pictures):
    scorer = SCORERS[name].build()
    with torch.inference_mode():
        out = scorer.model(**_pair(scorer, CAPTION, pictures[1]).inputs)
    assert_close(MATCH[name](out), scorer.match([CAPTION], pictures[1:2])[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", [name for name in WRITES if not name.startswith(ENCODERS)])
def test_the_row_that_is_watched_gives_the_probability_that_is_scored(name, pictures):
    scorer = SCORERS[name].build()
    scorer.writer.show(pictures[1].image)
    passage = scorer.writer.write(*scorer.passages(CAPTION)[0])
    inputs = {k: v for k, v in _pair(scorer, CAPTION, pictures[1]).inputs.items() if k != "logits_to_keep"}
    with torch.inference_mode():
        logits = scorer.model(**inputs).logits[0]
    here: Passage = _with_last(passage) if isinstance(scorer, LikelihoodScorer) else passage
    assert_close(torch.tensor(here.tokens), inputs["input_ids"][0])
    offset = len(logits) - len(here.tokens)  # GIT's picture stands before the words
    found = scorer.combine([of_answer(logits[offset:][passage.start :], passage, passage.start)])
    assert_close(found, scorer.match([CAPTION], pictures[1:2])[0], atol=1e-4, rtol=0)


def test_the_blocks_are_those_of_a_model_that_is_watched_by_hand(pictures):
    model, processor = WRITING["llava"].model().model, WRITING["llava"].processor()
    scorer = LikelihoodScorer(model, processor)
    found = look(scorer, CAPTION, pictures[0])
    text = f"{scorer.before} {CAPTION}"
    inputs = processor(text=[text], images=[pictures[0].image], return_tensors="pt")
    inputs = {name: values[:, :-1] if values.ndim == 2 else values for name, values in inputs.items()}
    with watch(model, layer="all", heads="each") as attention, torch.no_grad():
        model(**inputs)
    words = len(CAPTION.split())
    for layer in found.layers:
        whole = attention.blocks(layer)
        assert_close(found.blocks[layer].lv, whole.lv[:, :, -words:])
        assert_close(found.blocks[layer].vv, whole.vv)


@pytest.mark.parametrize("name", ["uniter", "blip", "vilt", "qwen2_vl-vqascore", "mllama-likelihood"])
def test_the_mean_over_heads_is_that_of_each(name, pictures):
    scorer = SCORERS[name].build()
    each, mean = (look(scorer, CAPTION, pictures[0], heads=heads) for heads in ("each", "mean"))
    assert each.layers == mean.layers and len(each.layers) > 1
    for layer in each.layers:
        assert_close(each.at(layer).lv, mean.at(layer).lv)
        assert each.blocks[layer].per_head and not mean.blocks[layer].per_head


def test_layers_are_those_that_are_named(pictures):
    scorer = SCORERS["uniter"].build()
    assert look(scorer, CAPTION, pictures[0]).layers == [0, 1, 2]
    assert look(scorer, CAPTION, pictures[0], layers="last").layers == [2]
    assert look(scorer, CAPTION, pictures[0], layers=-2).layers == [1]
    assert look(scorer, CAPTION, pictures[0], layers=[0, -1]).layers == [0, 2]
    with pytest.raises(ValueError, match="layer is 7; the model has 3 layers"):
        look(scorer, CAPTION, pictures[0], layers=7)
    assert look(scorer, CAPTION, pictures[0], layers="last").layers == [2], "nothing is left hooked"


@pytest.mark.parametrize("name", [*REGION_PROCESSORS, "lxmert", "visual_bert"])
def test_regions_have_their_boxes_and_names_on_the_picture_as_it_is(name, pictures):
    found = look(SCORERS[name].build(), CAPTION, pictures[1])
    assert_close(found.boxes01, pictures[1].regions.boxes01)
    assert found.region_names == ["dog", "cat", "mug"]
    assert found.image.tobytes() == pictures[1].image.tobytes()


def test_regions_without_pixels_have_boxes_and_no_picture(pictures):
    blind = Picture("blind", pictures[0].read_regions)
    found = look(SCORERS["uniter"].build(), CAPTION, blind)
    assert found.image is None and len(found.boxes01) == found.regions == 4


def test_the_regions_are_those_that_the_model_reads(pictures):
    scorer = SCORERS["uniter"].build()
    scorer.processor.max_regions = 2
    found = look(scorer, CAPTION, pictures[0])
    assert found.regions == len(found.boxes01) == len(found.region_names) == 2


def test_the_words_of_a_question_count_and_not_its_answer(pictures):
    question = Answered("is the dog left of the cat ?", "no")
    for score in (VQAScorer, LikelihoodScorer):
        scorer = score(WRITING["llava"].model().model, WRITING["llava"].processor())
        found = look(scorer, question, pictures[0], layers="last")
        assert list(found.tokens) == question.question.split()
        assert [found.caption[a:b] for a, b in found.spans] == list(found.tokens)


def test_a_caption_whose_words_the_question_repeats_is_found_at_its_own_place(pictures):
    scorer = SCORERS["llava-vqascore"].build()  # … show "answer"? Please answer yes or no.
    pair = _pair(scorer, "answer", pictures[0])
    at = pair.words.mask[0].nonzero()[:, 0].tolist()
    word = scorer.writer.tokenizer.convert_tokens_to_ids("answer")
    every = (pair.inputs["input_ids"][0] == word).nonzero()[:, 0].tolist()
    assert len(every) == 2 and at == every[:1]


def test_a_caption_that_is_cut_has_the_words_that_are_read(pictures):
    scorer = SCORERS["vilt"].build()
    caption = " ".join(["dog", "cat"] * 12)
    found = look(scorer, caption, pictures[0], layers="last")
    assert list(found.tokens) == caption.split()[: scorer.max_text_length - 2]


def test_words_that_rosita_changes_are_found_in_the_caption(pictures):
    scorer = SCORERS["rosita"].build()
    found = look(scorer, "a d-og, and a cat !", pictures[0], layers="last")
    assert list(found.tokens) == ["a", "dog", "and", "a", "cat"]
    assert [found.caption[a:b] for a, b in found.spans] == ["a", "d-og", "and", "a", "cat"]


def test_tags_that_count_as_text_have_no_place_in_the_caption(pictures):
    scorer = SCORERS["oscar"].build()
    scorer.processor.tags_are_text = True
    found = look(scorer, CAPTION, pictures[0], layers="last")
    assert list(found.tokens) == [*CAPTION.split(), "dog", "cat", "mug", "star"] and found.spans is None
