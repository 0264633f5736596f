"""Regions of a picture: what does not fit is refused."""

import pytest
import torch

from cacr.regions import Regions


def test_a_box_may_overshoot_by_a_pixel_and_is_cut():
    regions = Regions.from_pixels(torch.zeros(1, 2), torch.tensor([[-0.5, 0.0, 40.6, 30.0]]), (40, 30))
    assert regions.boxes.tolist() == [[0, 0, 40, 30]]
    assert regions.boxes01.tolist() == [[0, 0, 1, 1]]


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([0.0, 0.0, 900.0, 10.0], "lies outside of the picture of 40 x 30"),
        ([30.0, 5.0, 10.0, 20.0], "ends before it starts"),
    ],
)
def test_boxes_of_another_convention_are_refused(box, message):
    with pytest.raises(ValueError, match=message):
        Regions.from_pixels(torch.zeros(1, 2), torch.tensor([box]), (40, 30))
