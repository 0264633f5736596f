"""A kept text gets another picture only where the processor would write the same; else the processor writes it."""

import pytest
import torch

from cacr.scorers.generative import splicing
from cacr.scorers.generative.passages import Passage
from cacr.scorers.generative.splicing import Splicer

IMAGE, SPECIAL = 50, 1
TEXTS = {"x": (7, 8, 9), "y": (7, 6, 5, 4)}


def passage(picture, prompt, places=2, first=False, width=None, **more):
    """A passage of a picture that takes so many places, which stand after the text with ``first``."""
    text, seen = [*TEXTS[prompt]], [IMAGE] * places
    ids = [SPECIAL, *(text + seen if first else seen + text)]
    row = torch.tensor([ids])
    inputs = {"input_ids": row, "attention_mask": torch.ones_like(row)}
    inputs["pixel_values"] = torch.full((1, 3, 2, 2), float(picture))
    if width is not None:
        inputs["places"] = torch.zeros(1, len(ids), width)
    along = frozenset(name for name in inputs if name != "pixel_values")
    start = len(text) if first else len(ids) - 1
    return Passage(inputs | more, along, tuple(ids), start, (3,), about=(picture,))


def told(splicer, first, then):
    """Both texts were written of one picture, and the first of another one; what the other text of that is."""
    splicer.show()
    for prompt in TEXTS:
        splicer.learn(prompt, "yes", passage(0, prompt, **first))
    splicer.show()
    splicer.learn("x", "yes", passage(1, "x", **then))
    return splicer.passage("y", "yes")


@pytest.mark.parametrize("places", [1, 2, 5])
def test_a_text_that_is_known_is_that_of_the_processor(places):
    found, wanted = told(Splicer(IMAGE, [SPECIAL]), {}, {"places": places}), passage(1, "y", places)
    assert (found.tokens, found.start, found.about) == (wanted.tokens, wanted.start, wanted.about)
    assert found.inputs.keys() == wanted.inputs.keys()
    assert all(torch.equal(values, wanted.inputs[name]) for name, values in found.inputs.items())


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({}, {"token_type_ids": torch.zeros(1, 6)}),
        ({"width": 2}, {"width": 3}),
        ({"first": True}, {"first": True}),
        ({}, {"qformer_input_ids": torch.tensor([[2]])}),
    ],
    ids=["other tensors", "other widths", "the answer before the picture", "other instructions"],
)
def test_the_processor_writes_where_a_picture_may_not_be_put_in_another_s_place(first, then):
    assert told(Splicer(IMAGE, [SPECIAL]), first, then) is None


def test_texts_are_forgotten_before_they_take_the_memory(monkeypatch):
    monkeypatch.setattr(splicing, "TEMPLATES", 2)
    splicer = Splicer(IMAGE, [SPECIAL])
    assert told(splicer, {}, {}) is not None
    splicer.learn("another", "yes", passage(1, "y"))
    assert splicer.passage("y", "yes") is None and splicer.passage("another", "yes") is not None
