"""A scorer gives each pair the model's own score, whatever else is in the request, and tells what it is."""

import pytest
import torch
from torch.testing import assert_close

from cacr.data.pairs import Picture
from cacr.data.scenes import SceneCaptions
from cacr.scorers import open_scorer


@pytest.fixture(scope="module")
def scorer():
    return open_scorer("scenes-start")


@pytest.fixture(scope="module")
def scenes():
    return SceneCaptions(2, 6)


def test_a_pair_scores_the_same_alone_and_among_others(scorer, scenes):
    pairs = [(c, i) for c in range(6) for i in range(6)]
    together = scorer.match([scenes.captions[c] for c, _ in pairs], [scenes.picture(i) for _, i in pairs])
    for number, (c, i) in enumerate(pairs):
        alone = scorer.match([scenes.captions[c]], [scenes.picture(i)])
        assert_close(together[number], alone[0], rtol=0, atol=1e-5)


def test_it_is_the_ranking_logit_of_the_model(scorer, scenes):
    inputs = scorer.processor(scenes.captions[:3], [scenes.picture(i).regions for i in range(3)])
    with torch.no_grad():
        expected = scorer.model(**inputs).rank_scores[:, 0]
    ours = scorer.match(scenes.captions[:3], [scenes.picture(i) for i in range(3)])
    assert_close(ours, expected, rtol=0, atol=1e-5)


def test_the_shipped_start_prefers_true_pairs(scorer, scenes):
    match = torch.stack([scorer.match(scenes.captions, [scenes.picture(i)] * 6) for i in range(6)], 1)
    assert (match.argmax(0) == torch.arange(6)).double().mean() >= 5 / 6


def test_a_picture_without_regions_is_named(scorer):
    with pytest.raises(ValueError, match="no region features for picture x"):
        scorer.match(["a red star"], [Picture("x")])


def test_uneven_lists_are_refused(scorer, scenes):
    with pytest.raises(ValueError, match="2 captions and 1 pictures"):
        scorer.match(["a", "b"], [scenes.picture(0)])


def test_it_describes_itself(scorer):
    about = scorer.describe()
    assert about["layers"] == 3
    assert about["parameters"] > 300_000
