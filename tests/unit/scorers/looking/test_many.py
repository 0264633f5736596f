"""Many pairs are looked at as one by one, and what cannot be looked at says why."""

import pytest
import torch
import transformers as T
from tests.unit.scorers.looking.cases import REGION_PROCESSORS, SCORERS
from tests.unit.scorers.match_head_cases import CASES
from torch.testing import assert_close

from cacr.scorers import ConstantScorer
from cacr.scorers.contrastive import DualEncoderScorer
from cacr.scorers.generative import LikelihoodScorer, TextOnlyScorer
from cacr.scorers.looking import can_look, look, look_many
from cacr.tiny_models import DUAL_ENCODERS
from cacr.tiny_models.chat_processors import WRITING
from cacr.tiny_models.tokenizers import word_tokenizer


def same(one, other):
    assert one.tokens == other.tokens and one.spans == other.spans and one.layers == other.layers
    assert one.region_names == other.region_names and one.grid == other.grid
    assert one.match == pytest.approx(other.match, abs=1e-5)
    assert_close(one.boxes01, other.boxes01)
    for layer in one.layers:
        for block in ("ll", "lv", "vl", "vv"):
            a, b = getattr(one.blocks[layer], block), getattr(other.blocks[layer], block)
            assert (a is None) == (b is None)
            if a is not None:
                assert_close(a, b, atol=1e-9, rtol=0)


@pytest.mark.parametrize("heads", ["each", "mean"])
@pytest.mark.parametrize("name", [*REGION_PROCESSORS, "lxmert", "llava-likelihood"])
def test_many_pairs_are_looked_at_as_one_by_one(name, heads, captions, pictures):
    scorer = SCORERS[name].build()
    scorer.model.double()  # so that a batch rounds as a single pair
    pairs = [(caption, pictures[i % 3]) for i, caption in enumerate(captions)]
    many = list(look_many(scorer, *zip(*pairs, strict=True), heads=heads))
    assert len(many) == len(pairs)
    for (caption, picture), found in zip(pairs, many, strict=True):
        same(found, look(scorer, caption, picture, heads=heads))


def test_regions_run_in_batches_that_fit_the_memory(captions, pictures):
    scorer, sizes = SCORERS["uniter"].build(), []
    handle = scorer.model.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    pairs = [captions[0]] * 8, [pictures[0]] * 8
    list(look_many(scorer, *pairs))
    assert max(sizes) == 8
    sizes.clear()
    scorer.memory = 1e-9
    list(look_many(scorer, *pairs))
    assert max(sizes) == 1
    handle.remove()


@pytest.mark.parametrize("name", ["uniter", "lxmert", "llava-likelihood"])
def test_without_the_match_the_model_runs_once_and_the_match_is_not_known(name, captions, pictures):
    scorer, runs = SCORERS[name].build(), []
    handle = scorer.model.register_forward_hook(lambda *given: runs.append(1))
    scorer.match = lambda *given: pytest.fail("the match was asked for")
    (many,) = look_many(scorer, captions[:1], pictures[:1], match=False)
    assert many.match is None and len(runs) == 1
    one = look(scorer, captions[0], pictures[0], match=False)
    assert one.match is None and len(runs) == 2
    assert_close(one.at().lv, many.at().lv)
    handle.remove()


def test_a_picture_for_every_caption_is_asked_for(captions, pictures):
    with pytest.raises(ValueError, match="4 captions and 3 pictures"):
        look_many(SCORERS["uniter"].build(), captions, pictures)


def text_only():
    config = T.LlamaConfig(
        vocab_size=99, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64
    )
    return TextOnlyScorer(T.LlamaForCausalLM(config), word_tokenizer())


def dual_encoder():
    size = {"height": 32, "width": 32}
    pixels = T.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=size)
    return DualEncoderScorer(DUAL_ENCODERS["clip"]().model, T.CLIPProcessor(pixels, word_tokenizer()))


def likelihood_of_a_decoder():
    return LikelihoodScorer(WRITING["florence2"].model().model, WRITING["florence2"].processor())


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (ConstantScorer, "looks at no picture"),
        (text_only, "looks at no picture"),
        (dual_encoder, "a dual encoder: text and image never attend to each other"),
        (CASES["blip-itc"], 'Open it with score="itm"'),
        (likelihood_of_a_decoder, 'Open it with score="vqascore"'),
    ],
)
def test_what_cannot_be_looked_at_says_why(build, sentence, captions, pictures):
    scorer = build()
    assert sentence in can_look(scorer)
    with pytest.raises(ValueError, match=sentence.replace("(", r"\(")):
        look(scorer, captions[0], pictures[0])
    with pytest.raises(ValueError, match=sentence):
        look_many(scorer, captions[:1], pictures[:1])


def test_what_can_be_looked_at_has_nothing_to_say():
    assert can_look(SCORERS["uniter"].build()) is None
    assert can_look(SCORERS["florence2-vqascore"].build()) is None


def test_a_caption_without_a_word_is_refused(pictures):
    with pytest.raises(ValueError, match="the caption '' has no word"):
        look(SCORERS["uniter"].build(), "", pictures[0])


@pytest.mark.parametrize("name", ["uniter", "lxmert", "blip", "llava-vqascore", "llava-likelihood"])
@pytest.mark.parametrize("caption", ["", "  "])
def test_an_empty_caption_is_refused_before_a_model_s_own_processor_reads_it(name, caption, pictures):
    scorer = SCORERS[name].build()
    with pytest.raises(ValueError, match=f"the caption '{caption}' has no word to look at"):
        look(scorer, caption, pictures[0])
    with pytest.raises(ValueError, match="has no word to look at"):
        list(look_many(scorer, [caption], pictures[:1]))


def test_blocks_can_be_used_where_gradients_are_on(captions, pictures):
    found = look(SCORERS["uniter"].build(), captions[0], pictures[0], layers="last", heads="mean")
    factor = torch.ones((), requires_grad=True)
    (found.at().lv * factor).sum().backward()
    assert factor.grad is not None
