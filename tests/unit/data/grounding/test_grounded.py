"""Which token means which region follows from phrases, boxes and one of three rules."""

import pytest
import torch

from cacr.data.grounding import Grounded, Phrase, grounded_scenes, overlap, truth
from cacr.data.pairs import Picture
from cacr.data.scenes import winoground_like

CAPTION = "a red star is big"
SPANS = [(0, 1), (2, 5), (6, 10), (11, 13), (14, 17)]


def box(*edges):
    return torch.tensor([edges], dtype=torch.float64)


def pair(*boxes, regions=None):
    named = torch.cat([box(*one) for one in boxes]) if boxes else torch.zeros(0, 4)
    return Grounded(CAPTION, Picture("p"), [Phrase(2, 10, named, "star", regions)])


def test_overlap_agrees_with_counting_cells():
    some = torch.tensor([[0, 0, 4, 4], [1, 1, 3, 5], [0, 0, 0, 0]])
    others = torch.tensor([[2, 2, 6, 4], [0, 0, 4, 4]])
    cells = lambda b: {(x, y) for x in range(b[0], b[2]) for y in range(b[1], b[3])}
    found = overlap(some.double(), others.double())
    for i, one in enumerate(some.tolist()):
        for j, other in enumerate(others.tolist()):
            both = cells(one) | cells(other)
            assert found[i, j] == pytest.approx(len(cells(one) & cells(other)) / len(both))


def test_a_region_counts_from_half_an_overlap_on():
    regions = torch.cat([box(0, 0, 1, 0.5), box(0, 0, 1, 0.49), box(0, 0.5, 1, 1)])
    found = truth(pair((0, 0, 1, 1)), SPANS, regions)
    assert found[1].tolist() == [True, False, True] and found[2].tolist() == [True, False, True]
    assert not found[[0, 3, 4]].any()


def test_one_of_several_boxes_is_enough():
    regions = torch.cat([box(0, 0, 0.2, 0.2), box(0.8, 0.8, 1, 1), box(0.4, 0.4, 0.6, 0.6)])
    found = truth(pair((0, 0, 0.2, 0.2), (0.8, 0.8, 1, 1)), SPANS, regions)
    assert found[1].tolist() == [True, True, False]


def test_a_patch_counts_where_its_centre_lies_in_a_box():
    edges = [(x / 4, y / 4, (x + 1) / 4, (y + 1) / 4) for y in range(4) for x in range(4)]
    patches = torch.cat([box(*one) for one in edges])
    found = truth(pair((0, 0, 0.5, 0.3)), SPANS, patches, "centre")
    assert found[1].nonzero()[:, 0].tolist() == [0, 1]  # the second row's centres lie at 0.375
    assert not truth(pair((0, 0, 0.5, 0.3)), SPANS, patches, "overlap").any()


def test_a_token_means_what_a_phrase_means_if_it_shares_a_character_with_it():
    spans = [(0, 0), (0, 2), (2, 3), (3, 6), (9, 12), (10, 13), (5, 5)]
    found = truth(pair((0, 0, 1, 1)), spans, box(0, 0, 1, 1))
    assert found[:, 0].tolist() == [False, False, True, True, True, False, False]


def test_a_phrase_without_a_box_means_no_region():
    for rule in ("overlap", "centre"):
        assert not truth(pair(), SPANS, box(0, 0, 1, 1), rule).any()


def test_the_truth_of_scenes_is_their_alignment():
    pairs = grounded_scenes(2, 12)
    examples = winoground_like(2, 12)
    assert [one.caption for one in pairs] == [caption for one in examples for caption in one.captions]
    for index, one in enumerate(pairs):
        scene, claim = (its[index % 2] for its in (examples[index // 2].scenes, examples[index // 2].claims))
        spans, start = [], 0
        for word in one.caption.split():
            spans.append((start, start + len(word)))
            start += len(word) + 1
        exact = scene.alignment(claim)
        assert torch.equal(truth(one, spans, one.picture.regions.boxes01, "given"), exact)
        assert exact.any(1).sum() == 4 and exact.any(0).sum() >= 4
        drawn = truth(one, spans, one.picture.regions.boxes01, "overlap")
        assert not (drawn & ~exact).any()  # a box of a thing overlaps regions of that thing alone
    assert one.cluster == "scenes-2-11" and one.example == "scenes-2-11-1"


def test_what_cannot_be_known_is_said():
    with pytest.raises(ValueError, match="unknown rule 'iou'"):
        truth(pair((0, 0, 1, 1)), SPANS, box(0, 0, 1, 1), "iou")
    with pytest.raises(ValueError, match="no place in the picture"):
        truth(pair((0, 0, 1, 1)), SPANS, None)
    with pytest.raises(ValueError, match="no regions of their own"):
        truth(pair((0, 0, 1, 1)), SPANS, box(0, 0, 1, 1), "given")
    with pytest.raises(ValueError, match="speak of 3 regions and the model saw 1"):
        truth(pair((0, 0, 1, 1), regions=torch.ones(3) > 0), SPANS, box(0, 0, 1, 1), "given")
    with pytest.raises(ValueError, match="ends at character 20, and the caption has 17"):
        Grounded(CAPTION, Picture("p"), [Phrase(2, 20, torch.zeros(0, 4))])
    with pytest.raises(ValueError, match="expected one character or more"):
        Phrase(3, 3, torch.zeros(0, 4))
    with pytest.raises(ValueError, match=r"expected \[box, 4\]"):
        Phrase(3, 4, torch.zeros(4))
    with pytest.raises(ValueError, match="expected 1 example or more"):
        grounded_scenes(2, 0)
