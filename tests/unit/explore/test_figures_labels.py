"""A label in the picture of regions can be told to be of its own box and of no other."""

import pytest
import torch
from PIL import Image
from tests.unit.explore.pairs import assert_readable, made, texts_of

from cacr.explore import regions_figure
from cacr.explore.sheets import on_sheet

TOUCH = 0.035
"""Inches: the line of a box and the rim of a label."""


def labelled(boxes, lengths=(9,)):
    """Each box is looked at most by one word, of some lengths in turn."""
    words = [f"{chr(97 + i)}" * lengths[i % len(lengths)] for i in range(len(boxes))]
    looks = (torch.eye(len(boxes)) + 0.01).tolist()
    picture = Image.new("RGB", (60, 45), "gray")
    return made(words, len(boxes), lv=looks, boxes01=torch.tensor(boxes), image=picture)


def nested(seed):
    """Three boxes side by side, in each a smaller one, in the second a third."""
    g = torch.Generator().manual_seed(seed)
    boxes = []
    for column in range(3):
        x, y, wide, high = column / 3, 0.0, 1 / 3, 1.0
        for _ in range(3 if column == 1 else 2):
            shares = torch.rand(4, generator=g)
            inner = wide * (0.65 + 0.3 * float(shares[0])), high * (0.55 + 0.35 * float(shares[1]))
            x += (wide - inner[0]) * float(shares[2])
            y += (high - inner[1]) * float(shares[3])
            wide, high = inner
            boxes.append([x, y, x + wide, y + high])
    return boxes


def crowded(seed, count=12):
    g = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=g) * 0.7
    return torch.cat([corner, corner + 0.04 + 0.25 * torch.rand(count, 2, generator=g)], 1).tolist()


def drawn(attended):
    """The labels and the boxes in inches, in the order of the boxes, and the lines between them."""
    figure = regions_figure(attended)
    figure.set_dpi(200)  # of the files: letters of few dots are wider or narrower
    assert_readable(figure)
    panel = figure.axes[0]
    wide, high = figure.get_size_inches()
    place = panel.get_position()
    where = (place.x0 * wide, place.y0 * high, place.x1 * wide, place.y1 * high)
    spots = {text.get_text(): box.extents.tolist() for text, box in texts_of(figure) if text in panel.texts}
    boxes = [on_sheet(box.tolist(), where) for box in attended.boxes01]
    return [spots[word] for word in attended.tokens], boxes, [line.get_xydata() for line in panel.lines]


def touch(spot, box):
    return all(spot[i] <= box[i + 2] + TOUCH and box[i] <= spot[i + 2] + TOUCH for i in (0, 1))


def lies_in(inner, outer):
    return all(outer[i] <= inner[i] and inner[i + 2] <= outer[i + 2] for i in (0, 1))


def shared(one, other):
    """The area that two rectangles share."""
    wide, high = (max(min(one[i + 2], other[i + 2]) - max(one[i], other[i]), 0) for i in (0, 1))
    return wide * high


def is_tied(spot, box, lines):
    """Whether a line goes from the label to the box."""
    return any(touch([*start, *start], spot) and touch([*end, *end], box) for start, end in lines)


@pytest.mark.parametrize("make", [nested, crowded])
def test_every_label_touches_its_own_box_or_has_a_line_that_ends_at_it(make):
    for seed in range(12):
        spots, boxes, lines = drawn(labelled(make(seed), (2, 9, 14)))
        for spot, box in zip(spots, boxes, strict=True):
            assert touch(spot, box) or is_tied(spot, box, lines), (seed, spot, box)


def test_in_nested_boxes_no_label_covers_a_labelled_box_that_does_not_contain_its_own():
    for seed in range(12):
        spots, boxes, _ = drawn(labelled(nested(seed), (2, 9, 14)))
        for spot, own in zip(spots, boxes, strict=True):
            for other in boxes:
                assert not shared(spot, other) or lies_in(own, other), (seed, spot, own, other)


def test_no_label_lies_wholly_in_another_labelled_box_that_does_not_hold_most_of_its_own():
    for seed in range(12):
        spots, boxes, _ = drawn(labelled(crowded(seed), (2, 9, 14)))
        for spot, own in zip(spots, boxes, strict=True):
            for other in boxes:
                held = shared(own, other) >= 0.8 * shared(own, own)
                assert held or not lies_in(spot, other), (seed, spot, own, other)


def test_a_label_at_a_crowded_object_stays_off_the_object_beside_it():
    ring, star, half = [0.43, 0.74, 0.57, 0.9], [0.68, 0.72, 0.93, 0.98], [0.69, 0.73, 0.81, 0.98]
    spots, boxes, lines = drawn(labelled([ring, star, half], (2, 14, 4)))
    assert all(touch(spot, box) for spot, box in zip(spots, boxes, strict=True))
    assert not touch(spots[1], boxes[0])
    assert not lines


def test_a_label_whose_surroundings_are_full_is_moved_away_and_tied_to_its_box():
    small = [0.5, 0.5, 0.52, 0.52]
    around = [
        [0.1, 0.2, 0.49, 0.8],
        [0.53, 0.2, 0.9, 0.8],
        [0.3, 0.1, 0.7, 0.49],
        [0.3, 0.53, 0.7, 0.9],
    ]
    spots, boxes, lines = drawn(labelled([small, *around], (9, 2)))
    assert not touch(spots[0], boxes[0])
    assert is_tied(spots[0], boxes[0], lines)
    assert not any(lies_in(spots[0], box) for box in boxes)
