"""The blind baseline scores a caption as its language model does, and pictures alike."""

import pytest
import torch
import transformers as T
from torch.testing import assert_close

from cacr.data.pairs import Answered, Picture
from cacr.scorers.generative.text_only import TextOnlyScorer
from cacr.tiny_models.tokenizers import word_tokenizer

BEGIN = 1
BLIND = [Picture("without pixels"), Picture("without regions")]


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng(devices=()):
        torch.random.default_generator.manual_seed(0)
        config = T.LlamaConfig(
            vocab_size=99,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            initializer_range=0.3,
        )
        return T.LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def tokenizer():
    return word_tokenizer(around=False)


def alone(model, tokenizer, before, words):
    """Log P of each word after the beginning and what stands before."""
    prompt = [BEGIN, *(tokenizer(before).input_ids if before else [])]
    ids = torch.tensor([[*prompt, *tokenizer(words).input_ids]])
    with torch.no_grad():
        logits = model(ids).logits[0].log_softmax(-1)
    return torch.stack([logits[i - 1, ids[0, i]] for i in range(len(prompt), ids.shape[1])])


@pytest.mark.parametrize("pool", ["mean", "sum"])
def test_a_caption_scores_as_in_the_plain_forward_pass(model, tokenizer, captions, pool):
    scorer = TextOnlyScorer(model, tokenizer, pool=pool)
    plain = [getattr(alone(model, tokenizer, "", caption), pool)() for caption in captions]
    assert_close(scorer.match(captions, BLIND[:1] * 4), torch.stack(plain), rtol=0, atol=1e-5)
    one_by_one = TextOnlyScorer(model, tokenizer, pool=pool, memory=1e-9).match(captions, BLIND[:1] * 4)
    assert_close(one_by_one, torch.stack(plain), rtol=0, atol=1e-5)


def test_pictures_score_alike_and_are_never_read(model, tokenizer, captions):
    grid = TextOnlyScorer(model, tokenizer).grid(captions, BLIND)
    assert grid.shape == (4, 2)
    assert torch.equal(grid[:, 0], grid[:, 1])
    assert len(grid[:, 0].unique()) == 4


def test_a_caption_is_scored_once_however_many_pictures_are_asked(model, tokenizer, captions):
    scorer = TextOnlyScorer(model, tokenizer)
    rows = []
    hook = model.register_forward_pre_hook(
        lambda module, args, inputs: rows.append(len(inputs["input_ids"])), with_kwargs=True
    )
    scorer.match(captions * 3, BLIND * 6)
    scorer.grid(captions, BLIND[:1])
    scorer.grid(captions, BLIND[1:])
    hook.remove()
    assert sum(rows) == len(captions)


def test_of_a_question_the_answer_is_scored(model, tokenizer):
    asked = [Answered("is the dog left of the cat ?", answer) for answer in ("yes please", "no")]
    match = TextOnlyScorer(model, tokenizer, pool="sum").match(asked, BLIND)
    plain = [alone(model, tokenizer, each.question, each.answer).sum() for each in asked]
    assert_close(match, torch.stack(plain), rtol=0, atol=1e-5)


def test_a_tokenizer_without_a_beginning_takes_the_end_of_a_text(model, captions):
    tokenizer = word_tokenizer(around=False)
    tokenizer.bos_token = None
    scorer = TextOnlyScorer(model, tokenizer)
    assert scorer.describe()["begins_with"] == "[SEP]"
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match="neither bos_token nor eos_token"):
        TextOnlyScorer(model, tokenizer)


def test_it_opens_a_saved_model(model, tokenizer, captions, tmp_path):
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    opened = TextOnlyScorer.from_pretrained(tmp_path, device="cpu")
    expected = TextOnlyScorer(model, tokenizer).grid(captions, BLIND)
    assert_close(opened.grid(captions, BLIND), expected, rtol=0, atol=1e-5)
    assert opened.describe()["sees_pictures"] is False


def test_bad_input_is_named(model, tokenizer):
    with pytest.raises(ValueError, match="'' has no token to score"):
        TextOnlyScorer(model, tokenizer).match([""], BLIND[:1])
    with pytest.raises(ValueError, match="unknown pool 'max'"):
        TextOnlyScorer(model, tokenizer, pool="max")
    with pytest.raises(ValueError, match="memory is -1 GiB"):
        TextOnlyScorer(model, tokenizer, memory=-1)


TINY = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 32,
}


@pytest.mark.parametrize("kind", ["Bert", "Roberta"])
@pytest.mark.filterwarnings("ignore")
def test_a_model_whose_words_see_what_follows_is_refused(kind, tokenizer, captions):
    with torch.random.fork_rng(devices=()):
        torch.random.default_generator.manual_seed(0)
        masked, causal = (
            T.AutoModelForCausalLM.from_config(
                getattr(T, f"{kind}Config")(**TINY, is_decoder=decoder, initializer_range=0.3)
            )
            for decoder in (False, True)
        )
    for dtype in (torch.float32, torch.bfloat16):
        with pytest.raises(ValueError, match="sees the words that follow .* give a causal language model"):
            TextOnlyScorer(masked.to(dtype), tokenizer)
    assert TextOnlyScorer(causal, tokenizer).match(captions, BLIND[:1] * 4).isfinite().all()
