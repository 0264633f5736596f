"""A tokenizer of a hundred words for tiny models: the words of the scenes, each its own token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cacr.tiny_models._batches import VOCABULARY

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_WORDS = (
    "a red green blue yellow orange purple black white circle square triangle star heart diamond cross pentagon "
    "is are left right of above below bigger smaller than and the to in on dog cat mug grass sits runs small large "
    "does this figure show please answer yes no question user assistant image picture photo ? . , : ! \" '"
)
WORDS = tuple(_WORDS.split())
FIRST_WORD = 10


def word_tokenizer(
    pad: int = 0,
    begin: int = 1,
    end: int = 2,
    unknown: int = 3,
    mask: int = 4,
    others: Mapping[str, int] | None = None,
    around: bool = True,
) -> PreTrainedTokenizerFast:
    """A fast tokenizer of 99 entries, in lower case, words split at spaces and punctuation.

    Args:
        pad: Id of ``[PAD]``.
        begin: Id of ``[CLS]``, which is also the beginning of a sequence.
        end: Id of ``[SEP]``, which is also the end of a sequence.
        unknown: Id of ``[UNK]``.
        mask: Id of ``[MASK]``.
        others: Further special tokens and their ids, such as ``{"<image>": 98}``.
        around: Whether a text is put between ``[CLS]`` and ``[SEP]``.
    """
    from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    special = {"[PAD]": pad, "[CLS]": begin, "[SEP]": end, "[UNK]": unknown, "[MASK]": mask, **(others or {})}
    free = (index for index in range(FIRST_WORD, VOCABULARY) if index not in special.values())
    vocabulary = {**special, **dict(zip(WORDS, free, strict=False))}
    taken = set(vocabulary.values())
    vocabulary |= {f"[unused{index}]": index for index in range(VOCABULARY) if index not in taken}
    inner = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    if around:
        inner.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", begin), ("[SEP]", end)],
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        mask_token="[MASK]",
        bos_token="[CLS]",
        eos_token="[SEP]",
        extra_special_tokens=list(others or {}),
    )
