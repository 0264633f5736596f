"""SugarCrepe++ asks for two true captions above the false one, and leaves out examples that have no answer."""

import json

import pytest
from PIL import Image

from cacr.benchmarks import Options
from cacr.benchmarks.sugarcrepe_pp import PARTS, SUGARCREPE_PP, chance, right
from cacr.scorers import ConstantScorer, RandomScorer
from cacr.statistics import proportion


@pytest.fixture
def excerpt(data):
    return data / "benchmarks" / "sugarcrepe_pp"


def record(first, second, false):
    return {"match": [[first], [second], [false]]}


def item(number, **more):
    return {
        "id": number,
        "filename": f"{number:012d}.jpg",
        "caption": "A dog runs.",
        "caption2": "There runs a dog.",
        "negative_caption": "A cat runs.",
    } | more


def test_examples_are_the_items_of_the_files(excerpt):
    work = SUGARCREPE_PP.open(Options(data=excerpt, split="replace_obj"))
    first = work.examples[0]
    assert first.example == "replace_obj/113"
    assert first.captions[0] == "A young woman is holding a slice of pizza with her mouth."
    assert first.captions[1] == "a slice of pizza is being held by a young woman with her mouth."
    assert first.captions[2] == "A young man is holding a slice of pizza with his mouth."
    assert list(first.pictures) == ["000000058350.jpg"]
    assert list(first.tags) == ["replace_obj", "replace"]


def test_both_true_captions_must_be_above_the_false_one():
    outcomes = right([record(2, 3, 1), record(2, 0, 1), record(0, 2, 1), record(0, 0, 1)])
    assert outcomes["both"].tolist() == [True, False, False, False]
    assert outcomes["first caption"].tolist() == [True, True, False, False]
    assert outcomes["second caption"].tolist() == [True, False, True, False]


def test_ties_and_nan_are_wrong():
    outcomes = right([record(1, 2, 1), record(2, 1, 1), record(float("nan"), 2, 1)])
    assert not outcomes["both"].any()


def test_an_example_without_an_answer_is_left_out_and_said(excerpt):
    work = SUGARCREPE_PP.open(Options(data=excerpt, split="swap_obj"))
    assert [one.example for one in work.examples] == ["swap_obj/0", "swap_obj/1"]
    assert "without swap_obj/2" in work.notes[0]
    kept = SUGARCREPE_PP.open(Options(data=excerpt, split="swap_obj", errata=False))
    assert len(kept.examples) == 3
    assert not kept.notes


@pytest.mark.parametrize(
    "content, named",
    [
        ([item(0), item(1, caption2="")], "item 1: caption2"),
        ([item(0, filename=5)], "item 0: filename"),
        ([{"filename": "a.jpg"}], "item 0"),
        ({"0": item(0)}, "the benchmark sugarcrepe"),
        ([], "no examples"),
        ([item(0), item(0)], "replace_att/0 comes twice"),
    ],
)
def test_a_broken_file_is_named(tmp_path, content, named):
    (tmp_path / "replace_att.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=named):
        SUGARCREPE_PP.open(Options(data=tmp_path))


def test_missing_pictures_are_refused_or_left_out_with_a_note(tmp_path):
    (tmp_path / "swap_att.json").write_text(json.dumps([item(1), item(2)]))
    (tmp_path / "images").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "images" / "000000000002.jpg")
    with pytest.raises(FileNotFoundError, match=r"1 of 2 pictures.*000000000001.jpg"):
        SUGARCREPE_PP.open(Options(data=tmp_path))
    work = SUGARCREPE_PP.open(Options(data=tmp_path, missing="skip"))
    assert [one.example for one in work.examples] == ["swap_att/2"]
    assert any("1 of 2 examples left out" in note for note in work.notes)


def test_a_constant_scorer_scores_nothing(excerpt):
    records = SUGARCREPE_PP.measure(ConstantScorer(), Options(data=excerpt))
    assert all(not outcome.any() for outcome in right(records).values())


def test_the_published_files_have_their_published_sizes_and_random_lands_on_chance(reference_data):
    folder = reference_data / "annotations" / "scpp"
    records = SUGARCREPE_PP.measure(RandomScorer(), Options(data=folder, errata=False))
    assert [sum(part in record["tags"] for record in records) for part in PARTS] == [
        788,
        1652,
        1406,
        666,
        245,
    ]
    assert len(records) == 4757
    assert records[0]["captions"][2] == "A white toilet and sink combination in a small room."
    corrected = SUGARCREPE_PP.measure(RandomScorer(), Options(data=folder))
    assert len(corrected) == 4755
    clusters = [record["cluster"] for record in corrected]
    for metric, outcome in right(corrected).items():
        estimate = proportion(outcome, clusters, level=0.999)
        assert estimate.low < chance(corrected[0])[metric] < estimate.high, metric


def test_the_published_files_are_known_by_their_hash(reference_data):
    work = SUGARCREPE_PP.open(Options(data=reference_data / "annotations" / "scpp"))
    assert SUGARCREPE_PP.versions[work.version].startswith("all 5 subsets")
