"""Tokens as people read them, and where each stands in its caption."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cacr.attention.attended import BLANK
from cacr.scorers.looking.pair import Spans, Words

CONTINUES = "##"
"""What a WordPiece tokenizer writes before a piece that continues a word; people know it, so it stays."""
UNREADABLE = "\ufffd"
"""What a part of a character decodes to."""
BLANKS = frozenset("▁ĠĊĉ \n\t")
"""How tokenizers write blanks."""


def readable(tokenizer: Any, ids: Sequence[int], caption: str, spans: Spans) -> list[str]:
    """Each token without the signs by which its tokenizer writes blanks and bytes: "grass", "##y".

    A part of a character is shown as the characters of the caption that it covers; a blank alone as "␣".
    """
    shown = []
    for place, token in enumerate(tokenizer.convert_ids_to_tokens(list(ids))):
        text = token if token.startswith(CONTINUES) else tokenizer.convert_tokens_to_string([token]).strip()
        if spans is not None and (not text or UNREADABLE in text):
            text = caption[slice(*spans[place])].strip()
        shown.append(text or (BLANK if BLANKS.issuperset(token) else token))
    return shown


def special_ids(tokenizer: Any) -> Tensor:
    """Signs of a tokenizer that are no words, wherever they stand; a word that it does not know is one."""
    return torch.tensor(
        [i for i in tokenizer.all_special_ids if i != tokenizer.unk_token_id], dtype=torch.long
    )


def trimmed(text: str, begin: int, end: int) -> tuple[int, int]:
    """A span without the blanks around its characters, which some tokenizers count; whole if it is all blank."""
    part = text[begin:end]
    kept = part.strip()
    if not kept:
        return begin, end
    begin += len(part) - len(part.lstrip())
    return begin, begin + len(kept)


def origins(caption: str, clean: str) -> list[int] | None:
    """For each character of ``clean`` its place in ``caption``; None where more was done than deleting some.

    Examples:
        >>> origins("a T-shirt", "a Tshirt")
        [0, 1, 2, 4, 5, 6, 7, 8]
    """
    places, at = [], -1
    for character in clean:
        at = caption.find(character, at + 1)
        if at < 0:
            return None
        places.append(at)
    return places


def encoded_words(tokenizer: Any, caption: str, longest: int, mask: Tensor | None = None) -> Words:
    """The words of a caption that is a text of its own, cut to ``longest`` tokens.

    Args:
        tokenizer: Of the model; what it puts around a text does not count, nor do its special tokens in the text.
        caption: As it is tokenized.
        longest: Tokens that the model reads, with those around the text.
        mask: [1, token] or longer: which count, where the model's processor has a rule of its own.
    """
    options = {"return_offsets_mapping": True} if tokenizer.is_fast else {}
    out = tokenizer(caption, truncation=True, max_length=longest, return_special_tokens_mask=True, **options)
    ids = torch.tensor(out["input_ids"])
    if mask is None:
        mask = (torch.tensor([out["special_tokens_mask"]]) == 0) & ~torch.isin(ids, special_ids(tokenizer))
    own = mask[0, : len(ids)].cpu()
    spans: Spans = None
    if options:
        offsets = [one for one, counts in zip(out["offset_mapping"], own.tolist(), strict=True) if counts]
        spans = [trimmed(caption, *one) for one in offsets]
    return Words(mask, readable(tokenizer, ids[own].tolist(), caption, spans), spans)
