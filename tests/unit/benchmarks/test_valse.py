"""VALSE counts the examples that people found valid, by piece and phenomenon."""

import json

import pytest
from PIL import Image

from cacr.benchmarks import Options
from cacr.benchmarks.valse import FILES, VALSE
from cacr.scorers import ConstantScorer, RandomScorer
from cacr.statistics import proportion


@pytest.fixture
def excerpt(data):
    return data / "benchmarks" / "valse"


def item(number, votes=3, **more):
    return {
        "image_file": f"{number}.jpg",
        "linguistic_phenomena": "counting",
        "caption": "There are two dogs.",
        "foil": "There are three dogs.",
        "mturk": {"foil": 0, "caption": votes, "other": 0},
    } | more


def write(folder, items, piece="counting-small"):
    (folder / FILES[piece]).write_text(json.dumps(items))
    return Options(data=folder)


def test_examples_are_the_items_of_the_files(excerpt):
    work = VALSE.open(Options(data=excerpt))
    first = next(one for one in work.examples if one.example == "actant-swap/actions_test_0")
    assert list(first.captions) == ["A man exercises his torso.", "A torso exercises for a man."]
    assert list(first.pictures) == ["exercising_255.jpg"]
    assert list(first.tags) == ["actant-swap", "actions"]


def test_only_examples_that_two_of_three_people_chose_are_asked(excerpt, tmp_path):
    assert len(VALSE.open(Options(data=excerpt)).examples) == 8  # of 12
    work = VALSE.open(write(tmp_path, {"a": item(1, 1), "b": item(2, 2), "c": item(3, 3)}))
    assert [one.example for one in work.examples] == ["counting-small/b", "counting-small/c"]


def test_pieces_that_are_not_there_are_named_in_the_notes(excerpt):
    (note,) = VALSE.open(Options(data=excerpt)).notes
    assert "without the parts counting-hard, counting-small, counting-adversarial, action-replacement" in note
    assert not VALSE.open(Options(data=excerpt, split="plurals")).notes


def test_a_piece_that_is_its_phenomenon_is_counted_once(excerpt):
    work = VALSE.open(Options(data=excerpt, split="existence"))
    assert {tuple(one.tags) for one in work.examples} == {("existence",)}


def test_blanks_and_lists_of_one_around_a_sentence_are_taken_off(tmp_path):
    items = {"a": item(1, caption=[" Two dogs. "], foil="Three dogs.\n")}
    (only,) = VALSE.open(write(tmp_path, items)).examples
    assert list(only.captions) == ["Two dogs.", "Three dogs."]


@pytest.mark.parametrize(
    "items, named",
    [
        ({"a": item(1, foil=["x", "y"])}, "item a: foil"),
        ({"a": item(1, caption=None)}, "item a: caption"),
        ({"a": item(1, mturk={})}, "item a has no votes"),
        ({"a": item(1, image_file="")}, "item a: image_file"),
        ({"a": 5}, "item a is 5"),
        ([item(1)], "expected items by name"),
        ({"a": item(1, 0)}, "no examples"),
    ],
)
def test_a_broken_file_is_named(tmp_path, items, named):
    with pytest.raises(ValueError, match=named):
        VALSE.open(write(tmp_path, items))


def test_missing_pictures_are_refused_or_left_out_with_a_note(tmp_path):
    options = write(tmp_path, {"a": item(1), "b": item(2)})
    (tmp_path / "images").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "images" / "2.jpg")
    with pytest.raises(FileNotFoundError, match=r"1 of 2 pictures.*1.jpg"):
        VALSE.open(options)
    work = VALSE.open(Options(data=tmp_path, missing="skip"))
    assert [one.example for one in work.examples] == ["counting-small/b"]
    assert any("1 of 2 examples left out" in note for note in work.notes)


def test_a_constant_scorer_scores_nothing(excerpt):
    records = VALSE.measure(ConstantScorer(), Options(data=excerpt))
    assert not VALSE.right(records)["accuracy"].any()


@pytest.mark.parametrize(
    "piece, count", [("existence", 505), ("plurals", 851), ("relations", 535), ("actant-swap", 949)]
)
def test_the_published_pieces_have_their_published_sizes(reference_data, piece, count):
    work = VALSE.open(Options(data=reference_data / "annotations" / "valse", split=piece))
    assert len(work.examples) == count
    assert VALSE.versions[work.version].startswith(f"{piece}, {count} valid")


def test_a_random_scorer_lands_on_chance(reference_data):
    folder = reference_data / "annotations" / "valse"
    records = VALSE.measure(RandomScorer(), Options(data=folder))
    estimate = proportion(VALSE.right(records)["accuracy"], [r["cluster"] for r in records], level=0.999)
    assert estimate.low < VALSE.chance(records[0])["accuracy"] < estimate.high
    assert VALSE.versions[VALSE.open(Options(data=folder)).version].endswith("2,840 valid examples")
