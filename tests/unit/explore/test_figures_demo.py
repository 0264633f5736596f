"""The demo draws a pair: words, boxes and relations, in the formats that are asked for."""

import pytest
from PIL import Image
from tests.unit.explore.pairs import with_boxes

from cacr.data.scenes import SEEDS, SceneCaptions
from cacr.demo.figures import draw_attended, draw_pair
from cacr.demo.start import open_scorer


@pytest.fixture(scope="module")
def start():
    return open_scorer("scenes-start")


@pytest.fixture(scope="module")
def scenes():
    return SceneCaptions(SEEDS["dev"], 2)


def test_the_starting_model_is_drawn_on_a_scene(start, scenes, tmp_path):
    made = draw_pair(start, scenes.captions[0], scenes.picture(0), tmp_path / "out")
    assert [path.name for path in made] == ["tokens.png", "regions.png", "relations.png"]
    for path in made:
        with Image.open(path) as picture:
            assert picture.width in (650, 1350)


def test_a_head_a_direction_and_formats_can_be_chosen(start, scenes, tmp_path):
    made = draw_pair(
        start, scenes.captions[0], scenes.picture(0), tmp_path, 0, "vl", head=1, formats=("svg",)
    )
    text = (tmp_path / "tokens.svg").read_text()
    assert "S_VL" in text and "layer 0, head 1" in text
    assert all(path.suffix == ".svg" for path in made)


def test_figures_of_an_earlier_time_are_replaced(tmp_path):
    (first, *_) = draw_attended(with_boxes(seed=0), tmp_path)
    before = first.read_bytes()
    draw_attended(with_boxes(seed=1), tmp_path)
    assert first.read_bytes() != before


def test_a_layer_that_the_model_lacks_is_refused(start, scenes, tmp_path):
    with pytest.raises(ValueError, match="the model has 3 layers"):
        draw_pair(start, scenes.captions[0], scenes.picture(0), tmp_path, layer=7)
    assert not list(tmp_path.iterdir())
