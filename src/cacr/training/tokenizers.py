"""A tokenizer for captions that no pretrained one was made for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from transformers import PreTrainedTokenizerFast

from cacr.models.tokenizers import SPECIAL


def tokenizer_of_captions(captions: Iterable[str], vocab_size: int = 8_000) -> PreTrainedTokenizerFast:
    """A cased WordPiece tokenizer that knows the captions' words whole, and spells others.

    The same captions give the same tokenizer in every process: a resumed run and its other processes must agree on it,
    which trained vocabularies do not (they break ties by chance).

    Args:
        captions: Sentences.
        vocab_size: Most word pieces: the characters, then the most frequent words.

    Examples:
        >>> tokenizer_of_captions(["a dog runs"] * 9).tokenize("a dog sang")
        ['a', 'dog', 's', '##a', '##n', '##g']
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    normalizer = normalizers.BertNormalizer(lowercase=False)
    splitter = pre_tokenizers.BertPreTokenizer()
    words: Counter[str] = Counter()
    for text, count in Counter(word for caption in captions for word in caption.split()).items():
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)):
            words[word] += count
    characters = sorted({character for word in words for character in word})
    pieces = [*SPECIAL, *characters, *(f"##{character}" for character in characters)]
    frequent = sorted(words, key=lambda word: (-words[word], word))
    vocabulary = list(dict.fromkeys([*pieces, *frequent]))[: max(vocab_size, len(pieces))]
    core = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(vocabulary)}, unk_token="[UNK]"))
    core.normalizer, core.pre_tokenizer = normalizer, splitter
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(token, core.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, **{f"{token[1:-1].lower()}_token": token for token in SPECIAL}
    )
