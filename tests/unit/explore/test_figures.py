"""The attention figures mark the right boxes with the right numbers, for any pair, and refuse what they cannot draw."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from PIL import Image
from tests.unit.explore.pairs import assert_readable, made, texts_of, with_boxes, with_patches

from cacr.explore import regions_figure, token_figure
from cacr.explore.sheets import BLUE, GREEN, RED, patch_box
from cacr.explore.words import high_regions, word_attention, words_of_regions, words_of_tokens

BOXES = torch.tensor(
    [[0.0, 0, 0.25, 0.25], [0.5, 0, 0.75, 0.25], [0, 0.5, 0.25, 0.75], [0.5, 0.5, 0.75, 0.75]]
)


@pytest.fixture
def pair():
    looks = [[0.6, 0.35, 0.03, 0.02], [0.1, 0.1, 0.1, 0.7]]
    return made(["mug", "grass"], 4, lv=looks, boxes01=BOXES, image=Image.new("RGB", (40, 40), "white"))


def boxes_drawn(panel, color):
    return [
        (patch.get_x(), patch.get_y(), patch.get_linestyle())
        for patch in panel.patches
        if isinstance(patch, Rectangle) and to_hex(patch.get_edgecolor()) == color
    ]


def numbers(panel):
    return {text.get_text() for text in panel.texts}


def said(figure):
    return " ".join(text.get_text() for text, _ in texts_of(figure))


def panels(figure):
    """Word -> panel."""
    return {axes.get_label(): axes for axes in figure.axes}


def test_the_highest_box_is_green_and_solid_and_other_high_ones_are_red_and_dashed(pair):
    drawn = panels(token_figure(pair))
    assert boxes_drawn(drawn["mug"], GREEN) == [(0, 0, "-")]
    assert boxes_drawn(drawn["mug"], RED) == [(0.5, 0, "--")]
    assert boxes_drawn(drawn["grass"], GREEN) == [(0.5, 0.5, "-")]
    assert boxes_drawn(drawn["grass"], RED) == []


def test_every_box_carries_its_number(pair):
    drawn = panels(token_figure(pair))
    assert numbers(drawn["mug"]) == {"0.60", "0.35"}
    assert numbers(drawn["grass"]) == {"0.70"}


@pytest.mark.parametrize("level", [0.25, 0.0])
@pytest.mark.parametrize("where", ["boxes", "patches", "bars"])
def test_where_attention_is_equal_nothing_is_framed_and_the_panel_says_so(level, where):
    given = {"boxes": {"boxes01": BOXES}, "patches": {"grid": (2, 2)}, "bars": {}}[where]
    attended = made(["mug", "grass"], 4, lv=[[level] * 4, [0.1, 0.2, 0.1, 0.6]], **given)
    drawn = panels(token_figure(attended))
    assert numbers(drawn["mug"]) == {"equal"}
    assert "equal" not in numbers(drawn["grass"])
    if where == "bars":
        assert all(to_hex(bar.get_facecolor()) not in (GREEN, RED) for bar in drawn["mug"].patches)
        assert list(drawn["mug"].get_xticks()) == []
    else:
        assert not boxes_drawn(drawn["mug"], GREEN) and not boxes_drawn(drawn["mug"], RED)
    assert_readable(token_figure(attended))


@pytest.mark.parametrize("where", [{"boxes01": BOXES}, {"grid": (2, 2)}, {}])
def test_words_that_look_everywhere_alike_are_at_no_region_and_are_counted(where):
    some = made(["mug", "in", "grass"], 4, lv=[[0.25] * 4, [0.0] * 4, [0.1, 0.2, 0.1, 0.6]], **where)
    assert words_of_regions(word_attention(some)) == {3: ["grass"]}
    assert "2 words look everywhere alike" in said(regions_figure(some))
    nothing = made(["mug"], 4, lv=[[0.25] * 4], **where)
    figure = regions_figure(nothing)
    assert "1 word looks everywhere alike" in said(figure)
    assert_readable(figure)


def test_regions_that_look_alike_at_a_word_are_counted_too():
    attended = made(["mug"], 3, boxes01=BOXES[:3])
    assert float(attended.at().vl.min()) == 1  # of one word
    assert "all regions look alike at 1 word" in said(regions_figure(attended, cross="vl"))


def test_a_region_that_is_the_only_one_is_the_highest():
    assert high_regions(torch.tensor([1.0])) == (0, [])
    assert high_regions(torch.tensor([0.0])) == (None, [])


def test_the_legend_says_what_is_left_out():
    assert "(over half of the highest; at most four)" in said(token_figure(with_boxes()))
    assert "(at most four)" in said(token_figure(with_boxes(), width=3.25))


CAPTION = "a small brown dog with a red collar lies on the grass near a wooden bench while two girls play with one ball"


@pytest.mark.parametrize("size", [(64, 48), (48, 64)])
@pytest.mark.parametrize("width", [3.25, 6.75])
@pytest.mark.parametrize("make", [with_boxes, with_patches, made])
def test_a_long_caption_fits_a_page_and_is_in_the_heading(make, width, size):
    words = CAPTION.split()
    assert len(words) == 23
    attended = make(tokens=words, image=Image.new("RGB", size), caption=CAPTION)
    figure = token_figure(attended, width=width)
    crowded = (
        make is with_patches and width == 3.25 and size == (48, 64)
    )  # three columns and a scale have no more room
    assert figure.get_size_inches()[1] <= (12 if crowded else 9)
    assert CAPTION in said(figure)
    assert_readable(figure)


def test_columns_that_are_asked_for_are_kept():
    attended = with_boxes(tokens=CAPTION.split())
    assert token_figure(attended, columns=1, width=3.25).get_size_inches()[1] > 20


def test_boxes_are_labelled_with_the_words_that_attend_to_them_most(pair):
    panel = regions_figure(pair).axes[0]
    assert numbers(panel) == {"mug", "grass"}
    assert sorted(boxes_drawn(panel, BLUE)) == [(0, 0, "-"), (0.5, 0.5, "-")]


def test_only_chosen_words_are_drawn_in_their_order(pair):
    assert list(panels(token_figure(pair, words=["grass", "mug"]))) == ["grass", "mug"]
    with pytest.raises(ValueError, match=r"unknown word 'gras'. Did you mean 'grass'"):
        token_figure(pair, words=["gras"])


def test_word_pieces_are_averaged_into_words_and_equal_words_told_apart():
    attended = with_boxes()
    pair = word_attention(attended)
    assert pair.words == ["a", "windmill", "on", "a (2)", "hill"]
    looks = attended.at(-1).lv[0]
    torch.testing.assert_close(pair.values[1], looks[1:3].mean(0))
    torch.testing.assert_close(pair.values[3], looks[4])


def test_places_in_the_caption_tell_which_tokens_are_one_word():
    spans = [(0, 1), (2, 6), (6, 10), (10, 11)]
    words, pieces = words_of_tokens(["a", "wind", "mill", "."], "a windmill.", spans)
    assert words == ["a", "windmill", "."]
    assert pieces == [[0], [1, 2], [3]]


def test_tokens_of_one_character_are_one_word_as_the_caption_writes_it():
    spans = [(0, 1), (1, 2), (2, 3), (3, 4), (3, 4)]
    assert words_of_tokens(["c", "a", "f", "é", "é"], "café", spans) == (["café"], [[0, 1, 2, 3, 4]])
    assert words_of_tokens(["山", "山", "上"], "山上", [(0, 1), (0, 1), (1, 2)]) == (
        ["山", "上"],
        [[0, 1], [2]],
    )


def test_a_blank_is_no_word_and_parts_no_words():
    spans = [(0, 1), (1, 2), (2, 3), (3, 3)]
    assert words_of_tokens(["a", "Ġ", "b", "␣"], "a b ", spans) == (["a", "b"], [[0], [2]])
    with pytest.raises(ValueError, match="the caption ' ' has no word to look at"):
        word_attention(made(["␣"], 3, caption=" ", spans=[(0, 1)]))


@pytest.mark.parametrize("word", ["कुत्ता", "🧑‍🌾", "👍🏽", "cafe\u0301"])
def test_marks_and_joined_emoji_stay_with_their_letter(word):
    spans = [(i, i + 1) for i in range(len(word))]
    assert words_of_tokens(list(word), word, spans)[0] == [word]


def test_letters_of_a_script_without_blanks_stay_as_the_tokenizer_cut_them():
    assert words_of_tokens(["山", "上"], "山上", [(0, 1), (1, 2)])[0] == ["山", "上"]


def test_the_other_direction_shows_which_regions_look_at_a_word():
    attended = with_boxes()
    values = word_attention(attended, cross="vl").values
    torch.testing.assert_close(values[0], attended.at(-1).vl[0, :, 0])
    shown = panels(token_figure(attended, ["on"], cross="vl"))["on"]
    assert f"{float(values[2].max()):.2f}" in numbers(shown)


def test_a_model_whose_regions_look_at_no_word_is_refused_in_that_direction():
    attended = with_boxes(vl=False, causal=True)
    for figure in (token_figure, regions_figure):
        with pytest.raises(ValueError, match=r"tiny has no attention from regions to words \(S_VL\)"):
            figure(attended, cross="vl")
    with pytest.raises(ValueError, match="unknown cross 'vv'"):
        token_figure(attended, cross="vv")


def test_one_head_is_drawn_where_heads_are_kept_apart():
    attended = with_boxes(heads=2)
    looks = attended.blocks[3].lv[0, 1]
    shown = panels(token_figure(attended, ["on"], head=1))["on"]
    assert f"{float(looks[3].max()):.2f}" in numbers(shown)
    assert any("layer 3, head 1" in text.get_text() for text, _ in texts_of(token_figure(attended, head=1)))


def test_patches_are_a_heat_map_whose_values_are_the_attention():
    attended = with_patches()
    shown = panels(token_figure(attended, ["hill"]))["hill"]
    heat = shown.images[-1].get_array()
    row = attended.at(-1).lv[0, 5]
    np.testing.assert_allclose(heat, row.reshape(4, 6).numpy())
    assert boxes_drawn(shown, RED) == [(*patch_box(int(row.argmax()), (4, 6))[:2], "-")]
    assert numbers(shown) == {f"{float(row.max()):.2f}"}


def test_heat_maps_share_one_scale_that_a_bar_tells_in_numbers():
    attended = with_patches()
    figure = token_figure(attended)
    highest = float(word_attention(attended).values.max())
    drawn = [axes for axes in figure.axes if axes.images and len(axes.images) > 1]
    assert len(drawn) == 5
    assert all(axes.images[-1].norm.vmax == pytest.approx(highest) for axes in drawn)
    assert f"{highest:.2f}" in {text.get_text() for text, _ in texts_of(figure)}


def test_regions_without_a_place_are_bars_as_high_as_their_attention():
    attended = made()
    shown = panels(token_figure(attended, ["on"]))["on"]
    heights = [bar.get_height() for bar in shown.patches]
    np.testing.assert_allclose(heights, attended.at(-1).lv[0, 3].numpy(), rtol=1e-6)
    (label,) = numbers(shown)
    assert label == f"{max(heights):.2f}"
    words = {text.get_text().split("  ")[1] for text in regions_figure(attended).axes[0].texts}
    assert words == {", ".join(names) for names in words_of_regions(word_attention(attended)).values()}


def test_regions_without_pixels_are_drawn_in_an_empty_frame():
    shown = panels(token_figure(with_boxes(image=None), ["on"]))["on"]
    assert len(boxes_drawn(shown, GREEN)) == 1
    assert not shown.images


@pytest.mark.parametrize("width", [3.25, 6.75])
def test_a_figure_has_the_width_that_was_asked_for(width):
    for attended in (with_boxes(), with_patches(), made()):
        assert token_figure(attended, width=width).get_size_inches()[0] == width
        assert regions_figure(attended, width=width).get_size_inches()[0] == width


def test_a_sheet_without_room_for_a_panel_is_refused():
    with pytest.raises(
        ValueError, match=r"4 columns on 0.7 inches; expected 1 column or more, and 0.8 inches"
    ):
        token_figure(with_boxes(tokens=[f"w{i}" for i in range(9)]), columns=4, width=0.7)
    with pytest.raises(ValueError, match=r"^0.7 inches; expected 1 column or more, and 0.8 inches"):
        token_figure(with_boxes(), width=0.7)
    with pytest.raises(ValueError, match="0 columns"):
        token_figure(with_boxes(), columns=0)


@pytest.mark.parametrize("size", [(600, 40), (40, 600), (60, 40)])
def test_long_and_tall_pictures_keep_their_shape_and_their_labels(size):
    attended = with_boxes(image=Image.new("RGB", size))
    for figure in (token_figure(attended), regions_figure(attended)):
        assert_readable(figure)
        panel = figure.axes[0].get_window_extent()
        assert panel.height / panel.width == pytest.approx(size[1] / size[0], rel=0.01)


LONG = ["incomprehensibilities", "$x_1$", "50%", "<b>", *[f"word{i}" for i in range(8)]]


@pytest.mark.parametrize("make", [with_boxes, with_patches, made])
@pytest.mark.parametrize("width", [3.25, 6.75])
def test_long_captions_and_odd_signs_stay_readable(make, width):
    attended = make(tokens=LONG, caption=" ".join(3 * LONG))
    columns = 2 if width < 4 else 4
    for figure in (
        token_figure(attended, columns=columns, width=width),
        regions_figure(attended, width=width),
    ):
        assert_readable(figure)
    assert "$x_1$" in {text.get_text() for text, _ in texts_of(token_figure(attended, ["$x_1$"]))}


def test_labels_that_find_no_room_are_counted_and_not_piled_up():
    tokens = [f"longest-word-number-{i}" for i in range(90)]
    looks = (torch.eye(90) + 0.001).tolist()
    boxes = torch.tensor([[0.4, 0.4, 0.5, 0.5]]).repeat(90, 1)
    attended = with_boxes(tokens=tokens, regions=90, lv=looks, boxes01=boxes)
    figure = regions_figure(attended, width=2.0)
    assert_readable(figure)
    said = " ".join(text.get_text() for text in figure.texts)
    assert f"{90 - len(figure.axes[0].texts)} of 90 labels have no room" in said
