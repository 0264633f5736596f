"""A pair is drawn as a report shows it: words, boxes and relations."""

import pytest
from PIL import Image
from tests.unit.explore.pairs import with_boxes

from cacr.data.scenes import SEEDS, SceneCaptions
from cacr.explore import pair_figures, save_figures
from cacr.scorers import open_scorer
from cacr.scorers.looking import look


def test_the_starting_model_is_drawn_on_a_scene(tmp_path):
    scenes = SceneCaptions(SEEDS["dev"], 2)
    seen = look(open_scorer("scenes-start"), scenes.captions[0], scenes.picture(0), "last", "mean")
    made = save_figures(pair_figures(seen), tmp_path / "out")
    assert [path.name for path in made] == ["tokens.png", "regions.png", "relations.png"]
    for path in made:
        with Image.open(path) as picture:
            assert picture.width in (650, 1350)


def test_figures_of_an_earlier_time_are_replaced_when_asked(tmp_path):
    (first, *_) = save_figures(pair_figures(with_boxes(seed=0)), tmp_path)
    before = first.read_bytes()
    with pytest.raises(FileExistsError, match="not overwritten"):
        save_figures(pair_figures(with_boxes(seed=1)), tmp_path)
    assert first.read_bytes() == before
    save_figures(pair_figures(with_boxes(seed=1)), tmp_path, overwrite=True)
    assert first.read_bytes() != before
