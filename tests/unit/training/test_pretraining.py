"""What the starting model of the embedded world is asked, and what it is not."""

from pathlib import Path

import pytest
import torch

from cacr.data.scenes import SceneCaptions, tokenizer
from cacr.data.scenes.grammar import RELATION_WORDS, WORDS
from cacr.training.pretraining import PretrainConfig, _Draw


@pytest.fixture(scope="module")
def draws():
    """Ten steps of masked words, without and with words of relations."""
    scenes = SceneCaptions(9, 300)
    ids = tokenizer()(list(scenes.captions), padding=True, return_tensors="pt")["input_ids"]
    named = [{s.claim.first, s.claim.second} for s in scenes.scenes]
    found = {}
    for asked in (False, True):
        draw = _Draw(PretrainConfig(Path("unused"), mask_relations=asked), ids, named)
        found[asked] = [torch.cat(x) for x in zip(*(draw.masked_words() for _ in range(10)), strict=True)]
    return found


def of_relations(ids):
    """Words of relations in captions that state one: those without "at", a word of places."""
    words = torch.tensor([WORDS.index(word) for word in RELATION_WORDS])
    return torch.isin(ids, words) & ~(ids == WORDS.index("at")).any(1, keepdim=True)


def test_words_of_relations_are_masked_only_if_asked(draws):
    for asked, (_, ids, targets) in draws.items():
        words = torch.where(targets >= 0, targets, ids)
        relations = of_relations(words)
        share = (targets >= 0)[relations].float().mean()
        assert relations.sum() > 300
        assert share == 0 if not asked else 0.1 < share < 0.2


def test_the_option_changes_no_other_draw(draws):
    (some, ids, targets), (some_too, _, targets_too) = draws[False], draws[True]
    assert torch.equal(some, some_too)
    relations = of_relations(torch.where(targets >= 0, targets, ids))
    assert torch.equal(targets[~relations], targets_too[~relations])
