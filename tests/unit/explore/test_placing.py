"""A label goes to its box or near it, and nowhere where it does not fit."""

import pytest

from cacr.explore.placing import is_within, overlap, place

SHEET = (0.0, 0.0, 4.0, 3.0)
BOX = (1.0, 1.0, 2.0, 2.0)


@pytest.mark.parametrize("size", [(4.1, 0.2), (0.2, 3.1)])
def test_a_label_that_is_larger_than_the_picture_has_no_place(size):
    assert place(size, BOX, SHEET, []) is None


def test_a_label_is_as_large_as_asked_inside_the_picture_and_on_no_other(size=(0.5, 0.2)):
    taken = []
    for _ in range(6):
        spot = place(size, BOX, SHEET, taken)
        assert spot is not None and is_within(spot, SHEET)
        assert (spot[2] - spot[0], spot[3] - spot[1]) == pytest.approx(size)
        assert not any(overlap(spot, other) for other in taken)
        taken.append(spot)


def test_a_picture_that_is_full_has_no_place():
    assert place((0.5, 0.2), BOX, SHEET, [SHEET]) is None


def test_where_boxes_fill_the_picture_a_label_lies_wholly_in_none():
    left, right = (0.0, 0.0, 2.0, 3.0), (2.0, 0.0, 4.0, 3.0)
    spot = place((0.5, 0.2), (1.5, 1.0, 2.5, 2.0), SHEET, [], others=[left, right])
    assert spot is not None and spot[0] < 2.0 < spot[2]
