"""Which words look at which regions: a model's tokens put together into the words that people read."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cacr._messages import unknown
from cacr.attention import Attended
from cacr.attention.attended import BLANK

CROSSES = ("lv", "vl")
HIGH = 0.5
"""A region counts as high from this fraction of the highest attention on."""
MOST_HIGH = 4
EQUAL = 1e-6
"""Attention that differs by less than this over all regions has no highest one."""
JOINER = "\u200d"
"""Between the parts of one emoji."""


@dataclass(frozen=True, eq=False)
class WordAttention:
    """Attention between the words of a caption and the regions of a picture, in one layer.

    Args:
        words: The caption's words; the second "the" is called "the (2)".
        values: [word, region]. For "lv" how much of a word's attention goes to a region; for "vl" how much of a
            region's attention goes to a word. The mean over a word's tokens.
        cross: "lv" or "vl".
        place: Layer and head as a person reads them.
    """

    words: list[str]
    values: Tensor
    cross: str
    place: str

    def find(self, words: Sequence[str] | None = None) -> list[int]:
        """Indices of chosen words, in their order; of all if None.

        Raises:
            ValueError: A word that the caption does not have.
        """
        for word in words or ():
            if word not in self.words:
                raise ValueError(unknown("word", word, self.words))
        return [self.words.index(word) for word in words] if words else list(range(len(self.words)))


def word_attention(
    attended: Attended, layer: int = -1, head: int | None = None, cross: str = "lv"
) -> WordAttention:
    """What the words of a pair look at, or are looked at by.

    Args:
        attended: A pair.
        layer: A layer that was watched; below 0: from the last.
        head: From 0; None for the mean over heads.
        cross: "lv": where words look; "vl": which regions look at a word.

    Raises:
        ValueError: No such layer or head, another cross, a caption without a word, or "vl" where regions do not
            attend to words.
    """
    if cross not in CROSSES:
        raise ValueError(unknown("cross", cross, CROSSES))
    blocks = attended.at(layer, head)
    if cross == "vl" and blocks.vl is None:
        raise ValueError(
            f"{attended.model} has no attention from regions to words (S_VL), as in every causal model; "
            'use cross="lv"'
        )
    values = blocks.lv[0] if cross == "lv" else blocks.vl[0].transpose(-1, -2)  # type: ignore[index]
    values = values.detach().float().cpu()
    words, pieces = words_of_tokens(attended.tokens, attended.caption, attended.spans)
    if not words:
        raise ValueError(f"the caption {attended.caption!r} has no word to look at; expected one or more")
    return WordAttention(
        _told_apart(words),
        torch.stack([values[ids].mean(0) for ids in pieces]),
        cross,
        place_of(attended, layer, head),
    )


def place_of(attended: Attended, layer: int, head: int | None) -> str:
    """Layer and head in words: "layer 3, head 0" or "layer 3, mean over heads"."""
    number = attended.layers[layer] if layer < 0 else layer
    return f"layer {number}, " + ("mean over heads" if head is None else f"head {head}")


def words_of_tokens(
    tokens: Sequence[str], caption: str = "", spans: Sequence[tuple[int, int]] | None = None
) -> tuple[list[str], list[list[int]]]:
    """Words and the tokens that each is made of; tokens that are a blank and nothing else are of none.

    Args:
        tokens: Tokens; "##" at the start marks the continuation of a word.
        caption: The sentence.
        spans: First and last character (exclusive) of each token in the sentence. Tokens of letters and digits that
            touch are one word, and so are tokens that share a character; then "##" is not needed, and a word is
            written as the sentence writes it.

    Examples:
        >>> words_of_tokens(["a", "wind", "##mill"])
        (['a', 'windmill'], [[0], [1, 2]])
        >>> words_of_tokens(["a", "wind", "mill"], "a windmill", [(0, 1), (2, 6), (6, 10)])
        (['a', 'windmill'], [[0], [1, 2]])
        >>> words_of_tokens(["c", "a", "f", "é", "é"], "café", [(0, 1), (1, 2), (2, 3), (3, 4), (3, 4)])
        (['café'], [[0, 1, 2, 3, 4]])
    """
    words: list[str] = []
    pieces: list[list[int]] = []
    word = (0, 0)  # the span of the last one
    for index, token in enumerate(tokens):
        span = (0, 0) if spans is None else spans[index]
        if token == BLANK or (span[0] < span[1] and not caption[slice(*span)].strip()):
            continue
        marked = token.startswith("##") and len(token) > 2
        if words and (marked or _one_word(caption, word, span)):
            words[-1] += token[2:] if marked else token
            pieces[-1].append(index)
            word = (min(word[0], span[0]), max(word[1], span[1])) if span[0] < span[1] else word
        else:
            words.append(token)
            pieces.append([index])
            word = span
        words[-1] = caption[slice(*word)].strip() or words[-1]
    return words, pieces


def high_regions(attention: Tensor) -> tuple[int | None, list[int]]:
    """The region of highest attention, and others within ``HIGH`` of it that lie above the mean, at most four.

    Where attention is equal everywhere no region is the highest: None.

    Examples:
        >>> high_regions(torch.tensor([0.1, 0.5, 0.3, 0.1]))
        (1, [2])
        >>> high_regions(torch.tensor([0.25, 0.25, 0.25, 0.25]))
        (None, [])
    """
    if is_equal(attention):
        return None, []
    best = int(attention.argmax())
    order = attention.argsort(descending=True, stable=True).tolist()
    floor = max(HIGH * float(attention[best]), float(attention.mean()))
    return best, [region for region in order if region != best and attention[region] > floor][:MOST_HIGH]


def is_equal(attention: Tensor) -> bool:
    """Whether attention is the same everywhere, zero or not; a region that is the only one is the highest."""
    if len(attention) == 1:
        return float(attention[0]) < EQUAL
    return float(attention.max() - attention.min()) < EQUAL


def words_of_regions(pair: WordAttention) -> dict[int, list[str]]:
    """Region -> the words whose highest attention it holds, most attention first; regions of no word are left out.

    So are words whose attention is equal everywhere.
    """
    found: dict[int, list[tuple[float, str]]] = {}
    for word, row in zip(pair.words, pair.values, strict=True):
        if is_equal(row):
            continue
        region = int(row.argmax())
        found.setdefault(region, []).append((float(row[region]), word))
    return {
        region: [word for _, word in sorted(words, key=lambda one: -one[0])]
        for region, words in sorted(found.items())
    }


def number(value: float) -> str:
    """Attention as a person reads it: two digits after the point; two that count where it is small.

    Examples:
        >>> [number(value) for value in (0.5, 0.0312, 0.00217, 0.0)]
        ['0.50', '0.03', '0.0022', '0']
    """
    if value == 0:
        return "0"
    if value >= 0.0095:
        return f"{value:.2f}"
    return f"{value:.4f}" if value >= 0.00095 else f"{value:.0e}".replace("e-0", "e-")


def _one_word(caption: str, before: tuple[int, int], after: tuple[int, int]) -> bool:
    """Whether a token goes on with the word before: they share a character, or letters of both touch."""
    if before[0] >= before[1] or after[0] >= after[1]:
        return False
    if after[0] < before[1] and before[0] < after[1]:  # several tokens of one character
        return True
    pair = caption[before[1] - 1 : after[0] + 1]
    if before[1] != after[0] or len(pair) != 2:
        return False
    if JOINER in pair or _is_mark(pair[1]):
        return True
    # scripts without blanks (Chinese, Japanese) are left as the tokenizer cut them
    return all((letter.isalnum() or _is_mark(letter)) and letter < "\u2e80" for letter in pair)


def _is_mark(letter: str) -> bool:
    """Whether it changes the letter before: accents, vowel signs, and the colors of emoji."""
    return unicodedata.category(letter).startswith("M") or "\U0001f3fb" <= letter <= "\U0001f3ff"


def _told_apart(words: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    names = []
    for word in words:
        seen[word] = seen.get(word, 0) + 1
        names.append(word if seen[word] == 1 else f"{word} ({seen[word]})")
    return names
