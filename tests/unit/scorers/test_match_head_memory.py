"""How much memory a scorer of a matching head takes changes its speed and none of its scores."""

import pytest
import torch
from tests.unit.scorers.match_head_cases import CASES, OF_PIXELS
from torch.testing import assert_close

from cacr.scorers.encoded import DEVICE_MEMORY


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture(params=OF_PIXELS)
def of_pictures(request):
    return CASES[request.param]


def test_the_memory_given_changes_no_score(case, captions, pictures):
    plenty, little = case(), case.scorer(case.build().model, case.processor(), memory=1e-6, score=case.score)
    assert_close(little.grid(captions, pictures), plenty.grid(captions, pictures), rtol=0, atol=1e-5)


def test_a_pair_takes_more_memory_with_more_of_either_side(case):
    scorer = case()
    assert scorer.pair_bytes(10, 600) > 2 * scorer.pair_bytes(10, 200)
    assert scorer.pair_bytes(100, 200) > scorer.pair_bytes(10, 200)


@pytest.mark.parametrize("name", ["blip", "vilt", "lxmert", "visual_bert", "bridgetower", "flava"])
def test_the_memory_of_words_counts_what_they_look_at(name):
    scorer = CASES[name]()
    few, many = (scorer.pair_bytes(100, seen) - scorer.pair_bytes(10, seen) for seen in (200, 600))
    assert many > few


def test_each_picture_goes_through_the_tower_once(of_pictures, captions, pictures):
    model, rows = of_pictures.build().model, []
    scorer = of_pictures.scorer(model, of_pictures.processor(), memory=1e-6, score=of_pictures.score)
    patches = next(module for module in model.modules() if isinstance(module, torch.nn.Conv2d))
    patches.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    scorer.match(captions * 3, [picture for picture in pictures for _ in captions])
    scorer.grid(captions, pictures)
    assert sum(rows) == 2 * len(pictures)


def test_without_a_budget_the_device_has_its_own(case, tmp_path, monkeypatch):
    scorer = case()
    scorer.model.save_pretrained(tmp_path)
    scorer.processor.save_pretrained(tmp_path)
    monkeypatch.setitem(DEVICE_MEMORY, "cpu", 3.0)
    assert case().memory == 3.0
    assert case.scorer.from_pretrained(tmp_path, device="cpu", score=case.score).memory == 3.0
