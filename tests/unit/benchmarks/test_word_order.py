"""Word order is asked of the orders that the release drew, and a tie with a copy of the caption is taken out."""

import json

import pytest
from PIL import Image

from cacr.benchmarks import Options
from cacr.benchmarks.word_order import COCO_ORDER, FLICKR30K_ORDER
from cacr.scorers import ConstantScorer, RandomScorer
from cacr.statistics import proportion

BOTH = pytest.mark.parametrize("benchmark", [COCO_ORDER, FLICKR30K_ORDER], ids=lambda b: b.name)
CAPTIONS = ["a dog runs fast", "fast dog runs a", "runs a dog fast", "dog a runs fast", "a fast runs dog"]


def item(number, captions=CAPTIONS, key="image"):
    return {key: f"pictures/{number}.jpg", "caption_options": captions}


def write(folder, benchmark, items):
    (folder / f"{benchmark.name.replace('-', '_')}.json").write_text(json.dumps(items))
    return Options(data=folder)


@BOTH
@pytest.mark.parametrize("key", ["image", "image_path"])
def test_examples_are_the_items_of_the_file(tmp_path, benchmark, key):
    (one,) = benchmark.open(write(tmp_path, benchmark, [item(1, key=key)])).examples
    assert list(one.captions) == CAPTIONS
    assert list(one.pictures) == ["pictures/1.jpg"]


def test_a_picture_with_a_name_that_no_disk_takes_is_one_that_is_not_there(tmp_path):
    (one,) = COCO_ORDER.open(write(tmp_path, COCO_ORDER, [item(1) | {"image": "y" * 5000}])).examples
    assert list(one.pictures) == ["y" * 5000]


@BOTH
def test_without_the_file_the_way_to_make_it_is_said(tmp_path, benchmark):
    (tmp_path / "dataset_coco.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"_order.json.*test_cases.*part-of-speech tagger"):
        benchmark.open(Options(data=tmp_path))


def test_an_order_that_is_the_caption_is_taken_out_and_said(tmp_path):
    copies = [CAPTIONS[0], CAPTIONS[0], *CAPTIONS[2:]]
    options = write(tmp_path, COCO_ORDER, [item(1, copies), item(2), item(3, ["a dog"] * 5)])
    work = COCO_ORDER.open(options)
    assert [len(one.captions) for one in work.examples] == [4, 5]
    assert "without 5 orders that are the caption itself, and so without 1 examples" in work.notes[0]
    records = COCO_ORDER.measure(ConstantScorer(), options)
    assert [COCO_ORDER.chance(record)["accuracy"] for record in records] == [1 / 4, 1 / 5]
    published = COCO_ORDER.open(Options(data=tmp_path, errata=False))
    assert [len(one.captions) for one in published.examples] == [5, 5, 5]
    assert not published.notes


@BOTH
@pytest.mark.parametrize(
    "items, named",
    [
        ([item(1), item(2, CAPTIONS[:4])], "item 1: caption_options"),
        ([item(1, [*CAPTIONS[:4], ""])], "item 0: caption_options"),
        ([{"caption_options": CAPTIONS}], "item 0: image"),
        ([3], "item 0 is 3"),
        ({}, "expected a list"),
        ([], "no examples"),
    ],
)
def test_a_broken_file_is_named(tmp_path, benchmark, items, named):
    with pytest.raises(ValueError, match=named):
        benchmark.open(write(tmp_path, benchmark, items))


@BOTH
def test_missing_pictures_are_refused_or_left_out_with_a_note(tmp_path, benchmark):
    options = write(tmp_path, benchmark, [item(1), item(2)])
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "pictures" / "2.jpg")
    with pytest.raises(FileNotFoundError, match=r"1 of 2 pictures.*1.jpg"):
        benchmark.open(options)
    work = benchmark.open(Options(data=tmp_path, missing="skip"))
    assert [one.example for one in work.examples] == ["1"]
    assert any("1 of 2 examples left out" in note for note in work.notes)


@BOTH
def test_a_constant_scorer_scores_nothing_and_a_random_one_lands_on_chance(tmp_path, benchmark):
    options = write(tmp_path, benchmark, [item(i) for i in range(800)])
    assert not benchmark.right(benchmark.measure(ConstantScorer(), options))["accuracy"].any()
    records = benchmark.measure(RandomScorer(), options)
    estimate = proportion(benchmark.right(records)["accuracy"], level=0.999)
    assert benchmark.chance(records[0])["accuracy"] == 1 / 5
    assert estimate.low < 1 / 5 < estimate.high
