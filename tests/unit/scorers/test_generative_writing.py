"""Passages hold the tokens that the processor gives: spliced or not, after special tokens, up to the model's limit."""

import pytest
import torch
import transformers as T
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from cacr.data.pairs import Answered, Picture
from cacr.data.scenes import scene
from cacr.scorers.generative.likelihood import LikelihoodScorer
from cacr.scorers.generative.limits import position_limits
from cacr.scorers.generative.passage_writing import PassageWriter
from cacr.scorers.generative.text_only import TextOnlyScorer
from cacr.scorers.generative.vqascore import VQAScorer
from cacr.tiny_models.chat_processors import WRITING
from cacr.tiny_models.tokenizers import word_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
QUESTION = Answered("Is the dog left of the cat?", "No")


def equal(one, other):
    assert (one.tokens, one.start, one.answer, one.along) == (
        other.tokens,
        other.start,
        other.answer,
        other.along,
    )
    assert set(one.inputs) == set(other.inputs)
    assert all(torch.equal(one.inputs[name], other.inputs[name]) for name in one.inputs)


@pytest.mark.parametrize("family", ["llava", "qwen2_vl"])
def test_a_text_of_one_s_own_is_what_a_caption_follows(family, pictures):
    """Before the wording of the family, and before the processor's chat template."""
    model, processor = WRITING[family].model().model, WRITING[family].processor()
    own = f"{processor.image_token} a dog runs :"
    scorer = LikelihoodScorer(model, processor, before=own)
    assert scorer.passages("a cat")[0] == (own, "a cat") and scorer.describe()["before"] == own
    before = LikelihoodScorer(model, processor).match(["a cat"], pictures[:1])
    assert scorer.match(["a cat"], pictures[:1]) != before


@pytest.mark.parametrize("score", [VQAScorer, LikelihoodScorer])
@pytest.mark.parametrize("family", WRITING)
def test_what_is_spliced_is_what_the_processor_writes(family, score, captions, pictures):
    model, processor = WRITING[family].model().model, WRITING[family].processor()
    scorer, calls = score(model, processor), []
    asked = [scorer.passages(caption)[0] for caption in (*captions, QUESTION)]
    read = scorer.writer._read
    scorer.writer._read = lambda *args, **kwargs: calls.append(args) or read(*args, **kwargs)
    for number, picture in enumerate([*pictures, pictures[0]]):
        calls.clear()
        scorer.writer.show(picture.image)
        for each in asked:
            fresh = score(model, processor).writer
            fresh.show(picture.image)
            equal(scorer.writer.write(*each), fresh.write(*each))
        assert number == 0 or len(calls) <= 2, (
            "the processor writes one pair of a picture: its prompt and all of it"
        )


def test_a_picture_that_changes_the_text_is_written_by_the_processor(captions, pictures):
    model, processor = WRITING["llava"].model().model, WRITING["llava"].processor()
    size = lambda image: "large" if image.width > 64 else "small"

    class Tells(type(processor)):
        def __call__(self, text, images, **kwargs):
            return super().__call__(text=[f"{size(images[0])} {text[0]}"], images=images, **kwargs)

    processor.__class__ = Tells
    scorer = VQAScorer(model, processor)
    words = processor.tokenizer.convert_tokens_to_ids(["large", "small"])
    for picture in pictures:
        scorer.writer.show(picture.image)
        for caption in captions:
            passage = scorer.writer.write(*scorer.passages(caption)[0])
            assert passage.tokens[1] == words[size(picture.image) == "small"]


def test_special_tokens_of_a_text_beside_the_picture_stay_its_own(pictures):
    writer = PassageWriter(WRITING["llava"].processor(), WRITING["llava"].model().model.config)
    prompts = ["<image> is", "<image>[MASK] is", "<image>[MASK][MASK] is"]
    for picture in (*pictures, *pictures):
        writer.show(picture.image)
        for count, prompt in enumerate(prompts):
            assert writer.write(prompt, "red").tokens.count(4) == count


@pytest.mark.parametrize("family", ["git", "blip2_t5"])
def test_an_end_of_a_text_that_also_stands_for_unknown_words_is_no_word(family, pictures):
    usual, shared = (WRITING[family].processor() for _ in range(2))
    shared.tokenizer.unk_token = shared.tokenizer.eos_token  # as in GPT-2 and OPT
    model = WRITING[family].model().model
    begins = 0 if family == "blip2_t5" else None
    passages = []
    for processor in (usual, shared):
        writer = PassageWriter(processor, model.config, begins)
        writer.show(pictures[0].image)
        passages.append(writer.write("a photo of", "a red circle"))
    equal(*passages)
    assert len(passages[0].answer) == 3


@pytest.fixture(scope="module")
def byte_level():
    """LLaVA's processor with a byte-level tokenizer: "Yes" is one token, and " Yes" is another."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["Ye", "Yes", "ĠYes"]
    special = ["<s>", "</s>", "<pad>", "<image>", "[INST]", "[/INST]"]
    vocabulary = {token: i for i, token in enumerate([*letters, *words])}
    merges = [("Y", "e"), ("Ye", "s"), ("Ġ", "Yes")]
    inner = Tokenizer(models.BPE(vocabulary, merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken(token, special=True) for token in special])
    processor = WRITING["llava"].processor()
    processor.tokenizer = T.PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    processor.image_token_id = processor.tokenizer.convert_tokens_to_ids("<image>")
    return processor


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("[INST]<image>Is it?[/INST]", "Yes"),
        ("<s>[INST]<image>", "Yes"),
        ("<image> assistant:", "ĠYes"),
        ("<image> assistant:\n", "Yes"),
    ],
)
def test_no_space_comes_between_a_special_token_and_an_answer(prompt, said, byte_level, pictures):
    writer = PassageWriter(byte_level, WRITING["llava"].model().model.config)
    writer.show(pictures[0].image)
    passage = writer.write(prompt, "Yes")
    assert byte_level.tokenizer.convert_ids_to_tokens(list(passage.answer)) == [said]


@pytest.mark.parametrize(
    ("family", "limit"), [("git", None), ("blip", 40), ("blip2_opt", None), ("florence2", None)]
)
def test_a_caption_beyond_the_positions_of_a_model_is_named_with_the_limit(family, limit, pictures):
    model, processor = WRITING[family].model().model, WRITING[family].processor()
    places = position_limits(model)["input_ids"]
    assert limit in (None, places)
    long = " ".join(["dog"] * (places + 5))
    for score in (VQAScorer, LikelihoodScorer):
        with pytest.raises(
            ValueError, match=rf"dog dog.* takes \d+ tokens .*has positions for {places}; shorten"
        ):
            score(model, processor).match([long], pictures[:1])


@pytest.mark.parametrize("family", ["git", "blip"])
def test_a_caption_that_just_fits_is_scored(family, pictures):
    model, processor = WRITING[family].model().model, WRITING[family].processor()
    places = position_limits(model)["input_ids"]
    scorer = LikelihoodScorer(model, processor)  # the last word is not read, and a token begins the text
    assert scorer.match([" ".join(["dog"] * places)], pictures[:1]).isfinite().all()
    with pytest.raises(ValueError, match=f"positions for {places}"):
        scorer.match([" ".join(["dog"] * (places + 1))], pictures[:1])


def test_an_instruction_beyond_the_positions_of_a_q_former_is_named(pictures):
    model, processor = WRITING["instruct_blip"].model().model, WRITING["instruct_blip"].processor()
    places = position_limits(model)["qformer_input_ids"]
    long = " ".join(["dog"] * (places + 1))
    with pytest.raises(ValueError, match=f"qformer_input_ids.* positions for {places}"):
        VQAScorer(model, processor).match([long], pictures[:1])


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "paligemma", "blip2_t5"])
def test_rotary_and_relative_positions_have_no_limit(family):
    assert "input_ids" not in position_limits(WRITING[family].model().model)


SMALL = {"vocab_size": 99, "n_embd": 32, "n_layer": 1, "n_head": 4, "n_positions": 20}
OPT = {"vocab_size": 99, "hidden_size": 32, "word_embed_proj_dim": 32, "num_hidden_layers": 1, "ffn_dim": 32}


@pytest.mark.parametrize(
    "model",
    [
        lambda: T.GPT2LMHeadModel(T.GPT2Config(**SMALL)),
        lambda: T.OPTForCausalLM(T.OPTConfig(**OPT, num_attention_heads=4, max_position_embeddings=20)),
    ],
)
def test_a_language_model_s_limit_is_named_as_well(model):
    scorer, blind = TextOnlyScorer(model(), word_tokenizer(around=False)), [Picture("without pixels")]
    assert scorer.match([" ".join(["dog"] * 20)], blind).isfinite().all()
    with pytest.raises(ValueError, match="takes 21 tokens .*has positions for 20"):
        scorer.match([" ".join(["dog"] * 21)], blind)


def test_pictures_of_the_scenes_differ_in_their_tokens_alone():
    writer = PassageWriter(WRITING["qwen2_vl"].processor(), WRITING["qwen2_vl"].model().model.config)
    lengths = set()
    for size in ((64, 64), (96, 48), (48, 112)):
        writer.show(scene(0, 0).image.resize(size))
        passage = writer.write("<|image_pad|> is it red ?", "Yes")
        lengths.add(len(passage.tokens))
        assert passage.start == len(passage.tokens) - 1
    assert len(lengths) > 1
