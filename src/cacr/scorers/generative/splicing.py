"""Text is tokenized once, not once a picture: what a passage reads of another picture is put in the picture's place.

[ user : | 4 of a picture | question answer ]  +  [ … | 9 of another | … ]  ->  [ user : | 9 | question answer ]

The processor writes the first passage of each picture that is known from another one; only where both are the same
are the others spliced. Writing 32 captions for each of 16 pictures took tiny models 0.3-0.9 ms a pair by the processor
alone, and takes 0.1-0.2 ms.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cacr.scorers.generative.passages import Passage

TEMPLATES = 2**14
"""Passages whose text is kept, at 1 to 3 kB each."""
_PICTURE_OR_INSTRUCTION = ("pixel", "qformer_")


@dataclass(frozen=True, eq=False)
class _Template:
    """A passage of some picture, without the picture."""

    passage: Passage
    """Its ``inputs`` hold the text alone."""
    begin: int
    """Where the picture's tokens begin, on the axis of ``input_ids``."""
    end: int


class Splicer:
    """Templates by prompt and answer, and what the picture at hand puts into them.

    Args:
        image_token: The token of a picture's places; None where a picture has none.
        special: The tokenizer's special tokens: those next to a picture belong to it.
    """

    def __init__(self, image_token: int | None, special: Iterable[int]):
        self.image_token, self.special = image_token, frozenset(special)
        self._templates: dict[tuple[str, str], _Template] = {}
        self.show()

    def show(self) -> None:
        """Another picture from now on."""
        self._reference: Passage | None = None
        self._place = (0, 0)
        self._trusted: bool | None = None

    def passage(self, prompt: str, answer: str) -> Passage | None:
        """The passage of the picture at hand; None where the processor has to write it."""
        template = self._templates.get((prompt, answer))
        return self._spliced(template) if template and self._trusted else None

    def learn(self, prompt: str, answer: str, passage: Passage) -> None:
        """Take note of a passage that the processor wrote of the picture at hand."""
        begin, end = self._picture(passage)
        if self._reference is None:
            self._reference, self._place = passage, (begin, end)
        template = self._templates.get((prompt, answer))
        if template is not None:
            if self._trusted is None:
                self._trusted = _same(self._spliced(template), passage)
            return
        ids = passage.inputs["input_ids"][0, begin:end]
        reference = self._reference.inputs["input_ids"][0, self._place[0] : self._place[1]]
        if not torch.equal(ids, reference):
            return  # special tokens of the text itself stand next to the picture
        if len(self._templates) >= TEMPLATES:
            self._templates.clear()
        text = {
            name: values for name, values in passage.inputs.items() if not _is_picture(name, passage.inputs)
        }
        self._templates[prompt, answer] = _Template(replace(passage, inputs=text), begin, end)

    def _picture(self, passage: Passage) -> tuple[int, int]:
        """From the first to the last of a picture's tokens, with special tokens around it."""
        ids = passage.inputs["input_ids"][0].tolist()
        places = [place for place, token in enumerate(ids) if token == self.image_token]
        if not places:
            return 0, 0
        begin, end = places[0], places[-1] + 1
        while begin > 0 and ids[begin - 1] in self.special:
            begin -= 1
        while end < len(ids) and ids[end] in self.special:
            end += 1
        return begin, end

    def _spliced(self, template: _Template) -> Passage | None:
        """The template with the reference's picture in it; None where they do not fit."""
        assert self._reference is not None
        text, seen = template.passage.inputs, self._reference.inputs
        if {name for name in seen if not _is_picture(name, seen)} != set(text):
            return None
        inputs: dict[str, Tensor] = {}
        for name, values in seen.items():
            if name not in text:
                inputs[name] = values
            elif not is_along(name, text):
                inputs[name] = text[name]
            elif values.shape[2:] != text[name].shape[2:]:
                return None
            else:
                inputs[name] = _put(text[name], values, template, self._place)
        longer = self._place[1] - self._place[0] - (template.end - template.begin)
        old = template.passage
        if old.reads != "input_ids":
            about = (self._reference.about[0], *inputs["input_ids"][0].tolist())
            return replace(old, inputs=inputs, about=about)
        if old.start < template.end - 1:
            return None  # the answer stands before the picture
        tokens = tuple(inputs["input_ids"][0].tolist())
        return replace(
            old, inputs=inputs, tokens=tokens, start=old.start + longer, about=self._reference.about[:1]
        )


def is_along(name: str, read: dict[str, Tensor]) -> bool:
    """Whether a tensor's second axis is that of ``input_ids``."""
    values, tokens = read[name], read["input_ids"].shape[1]
    return (
        not name.startswith((*_PICTURE_OR_INSTRUCTION, "decoder_"))
        and values.ndim > 1
        and values.shape[:2] == (1, tokens)
    )


def _is_picture(name: str, read: dict[str, Tensor]) -> bool:
    return not (is_along(name, read) or name.startswith(("qformer_", "decoder_")))


def _put(text: Tensor, seen: Tensor, template: _Template, place: tuple[int, int]) -> Tensor:
    return torch.cat([text[:, : template.begin], seen[:, place[0] : place[1]], text[:, template.end :]], 1)


def _same(one: Passage | None, other: Passage) -> bool:
    """Whether two passages read the same text, and ask the same of it."""
    if one is None or set(one.inputs) != set(other.inputs):
        return False
    asked = [
        (each.along, each.tokens, each.start, each.answer, each.reads, each.about) for each in (one, other)
    ]
    return asked[0] == asked[1] and all(
        torch.equal(values, other.inputs[name])
        for name, values in one.inputs.items()
        if not _is_picture(name, one.inputs)
    )
