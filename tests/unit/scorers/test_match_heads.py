"""A scorer of a matching head gives the number that the model's own forward pass gives, and refuses to make one up."""

import json

import pytest
import torch
from tests.unit.scorers.match_head_cases import CASES, OF_REGIONS
from torch.testing import assert_close

from cacr.data.pairs import Picture
from cacr.regions import Regions


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture(params=OF_REGIONS)
def of_regions(request):
    return CASES[request.param]


def test_every_pair_scores_as_in_the_models_own_forward_pass(case, captions, pictures, every_pair_equals):
    scorer = case()
    every_pair_equals(
        scorer,
        lambda caption, picture: case.alone(scorer.model, scorer.processor, caption, picture),
        captions,
        pictures,
    )


def test_scoring_leaves_the_random_numbers_alone(case, captions, pictures):
    scorer, before = case(), torch.get_rng_state()
    scorer.grid(captions, pictures)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_record_says_what_the_number_is(case):
    about = case().describe()
    assert about["score"] == case.scorer.heads[case.score].says
    assert about["max_text_length"] in (20, 38, 40)
    assert ("region_dim" in about) != ("image_size" in about)
    assert json.loads(json.dumps(about)) == about


@pytest.mark.parametrize(
    ("name", "matched"),
    [("blip", 1), ("blip2", 1), ("lxmert", 1), ("visual_bert", 0), ("bridgetower", 1), ("flava", 1)],
)
def test_the_class_of_a_match_is_the_one_of_the_models_documentation(name, matched, captions, pictures):
    case = CASES[name]
    scorer = case()
    state = scorer.model.state_dict()
    bias = next(w for key, w in state.items() if key.startswith(case.head) and w.shape == (2,))
    before = scorer.grid(captions, pictures)
    bias[matched] += 3
    assert scorer.threshold == 0.0
    assert_close(scorer.grid(captions, pictures), before + 3, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["vilt", *(name for name in CASES if name.endswith("itc"))])
def test_a_score_that_is_no_log_odds_has_no_threshold(name):
    assert CASES[name]().threshold is None


def test_patches_of_vilt_are_the_same_at_every_call(captions, pictures):
    scorer = CASES["vilt"]()
    torch.manual_seed(1)
    first = scorer.grid(captions, pictures)
    torch.manual_seed(2)
    assert torch.equal(scorer.grid(captions, pictures), first)


def test_features_of_another_width_are_named(of_regions, captions):
    other = Picture("wide.png", lambda: Regions(torch.zeros(2, 17), torch.rand(2, 4).sort(1).values))
    with pytest.raises(ValueError, match=r"wide\.png has features of 17 numbers.*made for 16"):
        of_regions().match(captions[:1], [other])


def test_a_picture_without_what_the_model_reads_is_named(case, captions):
    with pytest.raises(ValueError, match="picture nothing"):
        case().match(captions[:1], [Picture("nothing")])
