"""The attention figures mark the right boxes, for any pair, and refuse what they cannot draw."""

import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from PIL import Image

from cacr.attention import AttentionBlocks
from cacr.explore import PairAttention, curves_plot, regions_figure, scores_plot, token_figure
from cacr.explore.figures import BLUE, GREEN, RED, high_regions


@pytest.fixture
def pair():
    attention = torch.tensor([[0.6, 0.35, 0.03, 0.02], [0.1, 0.1, 0.1, 0.7]])
    boxes = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [0, 20, 10, 30], [20, 20, 30, 30]])
    return PairAttention(["mug", "grass"], attention, boxes, Image.new("RGB", (40, 40), "white"))


def boxes_drawn(panel, color):
    return [
        (patch.get_x(), patch.get_y())
        for patch in panel.patches
        if isinstance(patch, Rectangle) and to_hex(patch.get_edgecolor()) == color
    ]


def test_the_highest_box_is_green_and_other_high_ones_are_red(pair):
    figure = token_figure(pair)
    mug, grass = figure.axes[:2]
    assert mug.get_title() == "mug"
    assert boxes_drawn(mug, GREEN) == [(0, 0)]
    assert boxes_drawn(mug, RED) == [(20, 0)]
    assert boxes_drawn(grass, GREEN) == [(20, 20)]
    assert boxes_drawn(grass, RED) == []


def test_uniform_attention_marks_no_red_box():
    assert high_regions(torch.full((5,), 0.2)) == (0, [])


def test_boxes_are_labelled_with_the_words_that_attend_to_them_most(pair):
    panel = regions_figure(pair).axes[0]
    assert {text.get_text() for text in panel.texts} == {"mug", "grass"}
    assert sorted(boxes_drawn(panel, BLUE)) == [(0, 0), (20, 20)]


def test_only_chosen_words_are_drawn(pair):
    figure = token_figure(pair, words=["grass"])
    assert [panel.get_title() for panel in figure.axes] == ["grass"]
    with pytest.raises(ValueError, match="unknown word 'gras'. Did you mean 'grass'"):
        token_figure(pair, words=["gras"])


def blocks(**changes):
    parts = {
        "ll": torch.full((1, 3, 3), 1 / 3),
        "lv": torch.tensor([[[0.8, 0.2], [0.4, 0.6], [0.2, 0.8]]]),
        "vl": torch.tensor([[[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]]),
        "vv": torch.full((1, 2, 2), 1 / 2),
        "text_mask": torch.ones(1, 3, dtype=torch.bool),
        "region_mask": torch.ones(1, 2, dtype=torch.bool),
    }
    return AttentionBlocks(**(parts | changes))


BOXES01 = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])


def test_word_pieces_are_averaged_into_words():
    image = Image.new("RGB", (20, 10))
    pair = PairAttention.from_blocks(blocks(), ["wind", "##mill", "hill"], BOXES01, image)
    assert pair.words == ["windmill", "hill"]
    torch.testing.assert_close(pair.attention, torch.tensor([[0.6, 0.4], [0.2, 0.8]]))
    assert pair.boxes[1].tolist() == [10, 5, 20, 10]


def test_the_other_direction_shows_which_regions_look_at_a_word():
    image = Image.new("RGB", (20, 10))
    pair = PairAttention.from_blocks(blocks(), ["a", "b", "c"], BOXES01, image, cross="vl")
    torch.testing.assert_close(pair.attention[2], torch.tensor([0.2, 0.8]))
    with pytest.raises(ValueError, match="no attention from regions to words"):
        PairAttention.from_blocks(blocks(vl=None), ["a", "b", "c"], BOXES01, image, cross="vl")


def test_boxes_that_do_not_fit_are_refused(pair):
    with pytest.raises(ValueError, match=r"attention has shape \(2, 4\); expected \[word=2, region=3\]"):
        PairAttention(pair.words, pair.attention, pair.boxes[:3], pair.image)


def test_scores_are_drawn_with_their_intervals_and_chance():
    figure = scores_plot({"group": {"none": (0.4, 0.3, 0.5), "CACR": (0.5, 0.45, 0.6)}}, {"group": 1 / 6})
    panel = figure.axes[0]
    ends = [line.get_xdata() for line in panel.lines if len(line.get_xdata()) == 2]
    assert [0.3, 0.5] in [list(x) for x in ends]
    assert [1 / 6, 1 / 6] in [list(x) for x in ends]


def test_curves_keep_the_colors_of_the_given_order():
    figure = curves_plot({"loss": {"b": ([1, 2], [3.0, 2.0])}}, methods=["a", "b"])
    other = scores_plot({"x": {"a": (0, 0, 0), "b": (1, 1, 1)}}, {})
    assert figure.axes[0].lines[0].get_color() == other.axes[0].lines[-1].get_color()
