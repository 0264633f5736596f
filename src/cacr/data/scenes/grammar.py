"""Captions and what they claim.

a red star is above an orange ring            a red star at top left and an orange ring
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from cacr.data.scenes.world import COLORS, PLACES, SHAPES, Kind, Thing, holds

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]")
RELATION_WORDS = ("than", "left", "right", "above", "below", "bigger", "smaller")
PLACE_WORDS = ("top", "middle", "bottom", "center", "left", "right")
WORDS = tuple(
    dict.fromkeys(
        [*SPECIAL, *["a", "an", "is", "of", "and", "at"], *RELATION_WORDS, *PLACE_WORDS, *COLORS, *SHAPES]
    )
)
"""The vocabulary; a word's index is its id."""
LONGEST = 12
"""Tokens of the longest caption, with [CLS] and [SEP]."""


@dataclass(frozen=True)
class Claim:
    """What a caption says: a relation between two kinds of things, or the place of the first."""

    first: Kind
    """(shape, color) of the thing that the caption is about."""
    second: Kind
    """The same of the other thing that it names."""
    relation: str | None = None
    """One of ``RELATIONS``, from the first to the second; or None, with a place."""
    place: tuple[str, str] | None = None
    """Of the first, such as ("top", "left"); or None, with a relation."""

    def __post_init__(self) -> None:
        if (self.relation is None) == (self.place is None):
            raise ValueError("a claim states either a relation or a place")

    def words(self) -> list[tuple[str, Kind | None]]:
        """The caption's words, each with the kind of thing that it names (None for a, is, above, …)."""
        link = ["is", *self.relation.split()] if self.relation else ["at", *(self.place or ()), "and"]
        return [*_name(self.first), *((word, None) for word in link), *_name(self.second)]

    def caption(self) -> str:
        """The sentence."""
        return " ".join(word for word, _ in self.words())

    def is_true_of(self, things: Sequence[Thing]) -> bool:
        """Whether things of these kinds are there and stand as claimed."""
        by_kind = {thing.kind: thing for thing in things}
        if self.first not in by_kind or self.second not in by_kind:
            return False
        a, b = by_kind[self.first], by_kind[self.second]
        return holds(self.relation, a, b) if self.relation else a.place == self.place


def _name(kind: Kind) -> list[tuple[str, Kind | None]]:
    shape, color = kind
    return [("an" if color[0] in "aeiou" else "a", None), (color, kind), (shape, kind)]


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """A word tokenizer of this world, of the class that every transformers model takes.

    Examples:
        >>> tokenizer().tokenize("a red star is above an orange ring")
        ['a', 'red', 'star', 'is', 'above', 'an', 'orange', 'ring']
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", WORDS.index("[CLS]")), ("[SEP]", WORDS.index("[SEP]"))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_max_length=LONGEST,
        **{f"{word[1:-1].lower()}_token": word for word in SPECIAL},
    )


def place_word(word: str) -> bool:
    """Whether the word may name a place."""
    return word in PLACES[0] + PLACES[1]
