"""The figure of relation maps shows the maps and divergences of `relations`, on one scale, with labels to read."""

import numpy as np
import pytest
from tests.unit.explore.pairs import assert_readable, made, texts_of, with_patches

from cacr.explore import relations_figure
from cacr.explore.relations import relations
from cacr.explore.words import number

WORDS = [f"{'long' * (i % 3)}word{i}" for i in range(20)]


def panels(figure):
    return {axes.get_label(): axes for axes in figure.axes}


@pytest.mark.parametrize("direction", ["language", "vision"])
@pytest.mark.parametrize("hard", [False, True])
def test_the_maps_drawn_are_the_maps(direction, hard):
    attended = made()
    found = relations(attended.at(-1), direction)
    drawn = panels(relations_figure(attended, direction=direction, hard=hard))
    np.testing.assert_allclose(drawn["own"].images[0].get_array(), found.own)
    np.testing.assert_allclose(
        drawn["carried over"].images[0].get_array(), found.hard if hard else found.soft
    )


def test_both_maps_have_one_scale_from_zero_to_the_highest_value():
    found = relations(made().at(-1))
    drawn = panels(relations_figure(made()))
    highest = max(float(found.own.max()), float(found.soft.max()))
    for name in ("own", "carried over"):
        assert drawn[name].images[0].get_clim() == (0, pytest.approx(highest))


@pytest.mark.parametrize("hard", [False, True])
def test_bars_and_their_numbers_are_the_divergences_of_the_rows(hard):
    attended = made()
    found = relations(attended.at(-1))
    apart = (found.hard_divergence if hard else found.soft_divergence).numpy()
    panel = panels(relations_figure(attended, hard=hard))["divergence"]
    np.testing.assert_allclose([bar.get_width() for bar in panel.patches], apart)
    assert [text.get_text() for text in panel.texts] == [f"{value:.3f}" for value in apart]
    assert f"mean {apart.mean():.3f} of 6 rows" in panel.get_title(loc="left")


def test_what_a_causal_model_cannot_see_is_left_out():
    drawn = panels(relations_figure(made(causal=True, vl=False)))
    mask = drawn["own"].images[0].get_array().mask
    assert mask[0, 1:].all() and not mask[:, 0].any()


def test_one_head_is_drawn():
    attended = made(heads=2)
    found = relations(attended.at(-1, 1))
    drawn = panels(relations_figure(attended, head=1))
    np.testing.assert_allclose(drawn["own"].images[0].get_array(), found.own)


@pytest.mark.parametrize("width", [3.25, 6.75])
@pytest.mark.parametrize(
    ("attended", "direction"),
    [
        (made(tokens=WORDS), "language"),
        (made(tokens=WORDS, causal=True, vl=False), "language"),
        (made(regions=36), "vision"),
        (made(regions=36, region_names=["traffic light"] * 36), "vision"),
        (with_patches((24, 24)), "vision"),
        (made(tokens=["a"], regions=1), "language"),
    ],
)
def test_every_label_can_be_read(attended, direction, width):
    figure = relations_figure(attended, direction=direction, width=width)
    assert_readable(figure)
    assert figure.get_size_inches()[0] == width


def test_all_of_twenty_words_are_labels_of_rows_and_columns_on_two_columns():
    shown = [text.get_text() for text, _ in texts_of(relations_figure(made(tokens=WORDS)))]
    assert all(shown.count(word) == 3 for word in WORDS)


def test_the_axis_of_many_divergences_ends_with_a_number():
    attended = with_patches((24, 24))
    apart = relations(attended.at(-1), "vision").soft_divergence
    for width in (3.25, 6.75):
        panel = panels(relations_figure(attended, direction="vision", width=width))["divergence"]
        assert panel.get_xticks()[-1] == pytest.approx(float(apart.max())) == panel.get_xlim()[1]
        assert panel.get_xticklabels()[-1].get_text() == number(float(apart.max()))


@pytest.mark.parametrize("width", [3.25, 6.75])
def test_a_long_caption_is_whole_in_the_heading(width):
    caption = " ".join(["caption"] * 10 + ["of", "a", "picture"] * 4 + ["end"])
    figure = relations_figure(made(tokens=WORDS, caption=caption), width=width)
    assert caption in " ".join(text.get_text() for text in figure.texts)
    assert_readable(figure)


def test_the_direction_that_a_causal_model_lacks_is_refused():
    with pytest.raises(ValueError, match=r"no attention from regions to words \(S_VL\)"):
        relations_figure(made(causal=True, vl=False), direction="vision")
    with pytest.raises(ValueError, match="direction is 'both'; expected language or vision"):
        relations_figure(made(), direction="both")
