"""Tokens are shown as people read them, and their spans are the characters that they stand for."""

import pytest
import transformers as T
from tests.unit.scorers.looking.cases import SCORERS
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from cacr.explore.words import words_of_tokens
from cacr.scorers.generative import LikelihoodScorer, VQAScorer
from cacr.scorers.looking import look
from cacr.scorers.looking.words import encoded_words, origins, readable, trimmed
from cacr.tiny_models.chat_processors import WRITING
from cacr.tiny_models.tokenizers import word_tokenizer


def byte_level(trim=True):
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "r"), ("Ġr", "e"), ("Ġre", "d"), ("c", "a"), ("ca", "t")]
    words = ["".join(pair) for pair in merges]
    inner = Tokenizer(models.BPE({token: i for i, token in enumerate([*letters, *words])}, merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=trim)
    inner.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", "<pad>", "<image>"]
    inner.add_special_tokens([AddedToken(token, special=True) for token in special])
    return T.PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


def sentence_pieces():
    pieces = [("<unk>", 0.0), ("▁a", -1.0), ("▁red", -1.0), ("▁", -3.0), ("c", -3.0), ("at", -2.0)]
    inner = Tokenizer(models.Unigram(pieces, unk_id=0))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    return T.PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")


def word_pieces():
    vocabulary = {token: i for i, token in enumerate(["[UNK]", "[CLS]", "[SEP]", "fluff", "##y", "cat"])}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    return T.PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


@pytest.mark.parametrize(
    ("tokenizer", "caption", "tokens"),
    [
        (byte_level(), "cat red", ["cat", "red"]),
        (byte_level(), "é red", ["é", "é", "red"]),
        (sentence_pieces(), "a red cat", ["a", "red", "␣", "c", "at"]),
        (word_pieces(), "fluffy cat zebra", ["fluff", "##y", "cat", "[UNK]"]),
    ],
    ids=["byte level", "bytes of a letter", "sentence pieces", "word pieces"],
)
def test_a_token_is_shown_without_the_signs_of_its_tokenizer(tokenizer, caption, tokens):
    assert list(encoded_words(tokenizer, caption, 32).tokens) == tokens


@pytest.mark.parametrize("trim", [True, False])
def test_a_span_holds_no_blank_before_its_word(trim):
    words = encoded_words(byte_level(trim), "cat red", 32)
    assert words.spans == [(0, 3), (4, 7)]


def test_what_a_tokenizer_puts_around_a_caption_is_not_text():
    words = encoded_words(word_tokenizer(), "a zebra runs", 32)
    assert list(words.tokens) == ["a", "[UNK]", "runs"]
    assert words.mask.tolist() == [[False, True, True, True, False]]


def test_a_tokenizer_that_cannot_tell_gives_no_spans():
    tokenizer = word_tokenizer()
    assert readable(tokenizer, tokenizer("a dog").input_ids[1:3], "a dog", None) == ["a", "dog"]


def words_of(tokenizer, caption):
    found = encoded_words(tokenizer, caption, 32)
    return words_of_tokens(found.tokens, caption, found.spans)


@pytest.mark.parametrize("trim", [True, False])
@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("café", ["café"]),
        ("a naïve señor", ["a", "naïve", "señor"]),
        ("山 🐕 red", ["山", "🐕", "red"]),
        ("cat  red ", ["cat", "red"]),
        ("cafe\u0301", ["cafe\u0301"]),
    ],
)
def test_several_tokens_of_one_character_are_one_word_and_blanks_are_none(trim, caption, words):
    assert words_of(byte_level(trim), caption)[0] == words


def test_a_blank_of_sentence_pieces_is_no_word():
    assert words_of(sentence_pieces(), "a red cat") == (["a", "red", "cat"], [[0], [1], [3, 4]])


def test_a_special_token_that_a_caption_names_is_no_word():
    found = encoded_words(word_pieces(), "[SEP] cat [CLS] zebra", 32)
    assert list(found.tokens) == ["cat", "[UNK]"]
    assert [a for a, _ in found.spans] == [6, 16]


@pytest.mark.parametrize("name", ["uniter", "lxmert", "llava-vqascore", "llava-likelihood"])
def test_no_family_takes_a_special_token_for_a_word(name, pictures):
    scorer = SCORERS[name].build()
    tokenizer = scorer.writer.tokenizer if "llava" in name else getattr(scorer, "tokenizer", None)
    tokenizer = tokenizer or scorer.processor.tokenizer
    sign = tokenizer.pad_token
    found = look(scorer, f"a {sign} circle", pictures[0], layers="last", heads="mean")
    assert list(found.tokens) == ["a", "circle"]
    assert found.at().ll.shape[-1] == 2


def test_a_blank_span_stays_as_it_is():
    assert trimmed("a  b", 1, 3) == (1, 3) and trimmed("a  b", 1, 4) == (3, 4)


def test_a_rewritten_caption_has_no_origins():
    assert origins("a dog", "a cat") is None


@pytest.mark.parametrize("score", [VQAScorer, LikelihoodScorer])
@pytest.mark.parametrize("trim", [True, False])
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_caption_of_bytes_is_found_in_a_prompt(score, trim, pictures):
    processor = WRITING["llava"].processor()
    processor.tokenizer = byte_level(trim)
    model = WRITING["llava"].model().model
    model.resize_token_embeddings(len(processor.tokenizer), mean_resizing=False)
    model.config.image_token_id = processor.image_token_id = processor.tokenizer.convert_tokens_to_ids(
        "<image>"
    )
    model.model.config.image_token_id = model.config.image_token_id
    found = look(score(model, processor), "cat red é", pictures[0], layers="last", heads="mean")
    assert list(found.tokens)[:2] == ["cat", "red"] and set(found.tokens[2:]) <= {"é", "␣"}
    assert [found.caption[a:b].strip() for a, b in found.spans][:2] == ["cat", "red"]
