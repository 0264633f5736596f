"""Tokens that do not fit an order that is known have no place, never a wrong one; the picture is shown all the same."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from tests.unit.scorers.looking.cases import SCORERS

from cacr.scorers.looking import can_look, look
from cacr.scorers.looking.pictures import shown
from cacr.scorers.looking.places import PLACES, Sight, seen_by
from cacr.scorers.looking.tiles import TILES
from cacr.scorers.looking.writing import _begin, _place
from cacr.tiny_models import TINY

IMAGE = Image.new("RGB", (20, 10), "red")
VISION = SimpleNamespace(patch_size=8, image_size=16, spatial_merge_size=2)
CONFIG = SimpleNamespace(
    vision_config=VISION,
    spatial_merge_size=2,
    mm_tokens_per_image=4,
    image_grid_pinpoints=[[16, 16], [16, 32]],
    image_token_id=9,
)
TILED = {"rows": [[1]], "cols": [[2]]}


class Processor:
    """Says that the picture is cut into one row of two tiles."""

    min_patches, max_patches = 1, 2

    def __call__(self, *args, **kwargs):
        return TILED


def sight(pixels=(3, 16, 16), count=4, **inputs):
    given = {name: torch.tensor(values) for name, values in inputs.items()}
    return Sight(CONFIG, Processor(), {"pixel_values": torch.zeros(pixels)} | given, IMAGE, count)


CROPS = (2, 3, 16, 16)
UNPLACED = {
    "several crops of patches": ("git", {"pixels": CROPS}),
    "several crops of Pixtral": ("mistral3", {"pixels": CROPS, "image_sizes": [[16, 16]]}),
    "several crops of Gemma": ("gemma3", {"pixels": CROPS}),
    "a grid that is no square": ("chameleon", {"count": 5}),
    "a picture that is no square": ("chameleon", {"pixels": (3, 16, 24)}),
    "no tokens": ("chameleon", {"count": None}),
    "the mean alone": ("florence2", {"count": 1}),
    "a film": ("qwen2_vl", {"pixels": (8, 12), "image_grid_thw": [[2, 2, 2]]}),
    "two pictures": ("qwen2_vl", {"pixels": (8, 12), "image_grid_thw": [[1, 2, 2], [1, 2, 2]]}),
    "tiles without tokens": ("idefics3", {"pixels": (3, 3, 16, 16), "count": None}),
    "tokens that do not divide a tile": ("idefics3", {"pixels": (3, 3, 16, 16), "count": 27}),
    "more tiles than the processor cuts": ("idefics3", {"pixels": (4, 3, 16, 16), "count": 16}),
    "fewer tiles than the processor cuts": ("internvl", {"pixels": (2, 3, 16, 16), "count": 8}),
    "another grid of tiles": ("llava_next", {"pixels": (1, 4, 3, 16, 16), "image_sizes": [[16, 32]]}),
}


@pytest.mark.parametrize("name", UNPLACED)
def test_what_does_not_fit_has_no_place_and_shows_a_picture(name):
    kind, given = UNPLACED[name]
    seen = (PLACES | TILES)[kind](sight(**given))
    assert (seen.boxes01, seen.grid, seen.keep) == (None, None, None)
    assert seen.image is not None


@pytest.mark.parametrize("kind", ["internvl", "idefics3"])
def test_a_picture_in_one_tile_is_a_grid_of_its_own(kind):
    alone = replace(sight(count=4), processor=None)  # which need not be asked how it cuts
    seen = (PLACES | TILES)[kind](alone)
    assert seen.grid == (2, 2) and seen.boxes01.tolist()[1] == [0.5, 0.0, 1.0, 0.5]


@pytest.mark.parametrize(("count", "placed"), [(3, False), (4, True), (6, False)])
def test_a_count_of_tokens_that_is_not_that_of_the_places_gives_none(count, placed):
    model = SimpleNamespace(config=SimpleNamespace(**vars(CONFIG), model_type="paligemma"))
    inputs = {"input_ids": torch.tensor([[1, *[9] * count]]), "pixel_values": torch.zeros(1, 3, 16, 16)}
    seen = seen_by(model, SimpleNamespace(image_processor=Processor()), inputs, IMAGE)
    assert (seen.boxes01 is not None) == placed == (seen.grid == (2, 2))


def test_numbers_that_cannot_be_undone_are_no_picture():
    normal = SimpleNamespace(do_normalize=True, image_mean=None, image_std=[1, 1, 1])
    assert shown(torch.zeros(3, 2, 2), normal) is None
    assert (
        shown(torch.zeros(4, 2, 2), SimpleNamespace()) is shown(torch.zeros(2, 2), SimpleNamespace()) is None
    )
    undone = SimpleNamespace(do_normalize=True, image_mean=[5.0, 6, 7], image_std=[2.0, 2, 2])
    assert shown(torch.ones(3, 1, 1), undone).getpixel((0, 0)) == (7, 8, 9)


def test_a_caption_that_a_processor_rewrites_has_words_and_no_spans(pictures):
    scorer = SCORERS["uniter"].build()
    scorer.processor.clean = lambda caption: caption.replace("dog", "cat")
    found = look(scorer, "a dog runs", pictures[0], layers="last", heads="mean")
    assert list(found.tokens) == ["a", "cat", "runs"] and found.spans is None


def test_a_caption_that_the_question_has_a_word_of_is_found_where_it_was_put():
    scorer = SCORERS["llava-vqascore"].build()
    prompt = scorer.passages("figure")[0][0]
    begin = _begin(scorer, "figure", prompt, "figure")
    assert prompt.index("figure") < begin and prompt[begin - 1 :].startswith('"figure"')


def test_without_a_place_in_the_text_a_caption_is_its_last_tokens():
    scorer = SCORERS["llava-vqascore"].build()
    ids = scorer.writer.tokenizer("a dog . a dog runs", add_special_tokens=False).input_ids
    assert _place(scorer, ids, "", -1, "a dog") == ([3, 4], None)
    assert _place(scorer, ids, "", -1, "anything", answer=ids[1:3]) == ([1, 2], None)
    with pytest.raises(ValueError, match="the tokens of 'red cat' are not found"):
        _place(scorer, ids, "", -1, "red cat")


def test_a_scorer_of_another_s_making_is_told_to_watch_its_model():
    said = can_look(SimpleNamespace(name="mine", model=TINY["visual_bert"]().model))
    assert said.startswith("mine is a SimpleNamespace, of which cacr does not know") and "cacr.watch" in said
