"""A tokenizer for captions that no pretrained one was made for."""

from __future__ import annotations

from collections.abc import Iterable

from transformers import PreTrainedTokenizerFast

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def tokenizer_of_captions(captions: Iterable[str], vocab_size: int = 8_000) -> PreTrainedTokenizerFast:
    """A cased WordPiece tokenizer learned from the captions, with BERT's special tokens.

    Args:
        captions: Sentences.
        vocab_size: Most word pieces.

    Example:
        >>> tokenizer_of_captions(["a dog runs"] * 9).tokenize("a dog")
        ['a', 'dog']
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    core = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer(lowercase=False)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size, special_tokens=list(SPECIAL), show_progress=False
    )
    core.train_from_iterator(captions, trainer)
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(token, core.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, **{f"{token[1:-1].lower()}_token": token for token in SPECIAL}
    )
