"""SugarCrepe is read as published, and asks of every picture which of two captions is true."""

import json
import logging

import pytest
from PIL import Image

from cacr.benchmarks import Options, table
from cacr.benchmarks.sugarcrepe import ORDER_ONLY, PARTS, SUGARCREPE, words
from cacr.scorers import ConstantScorer, RandomScorer
from cacr.statistics import proportion


@pytest.fixture
def excerpt(data):
    return data / "benchmarks" / "sugarcrepe"


def small(tmp_path, items, part="swap_obj"):
    (tmp_path / f"{part}.json").write_text(json.dumps(items))
    return Options(data=tmp_path)


def item(number, true="A dog bites a man.", false="A man bites a dog."):
    return {"filename": f"{number:012d}.jpg", "caption": true, "negative_caption": false}


def test_examples_are_the_items_of_the_files(excerpt):
    work = SUGARCREPE.open(Options(data=excerpt))
    first = next(one for one in work.examples if one.example == "swap_obj/0")
    assert first.captions[0] == "A cat sits on its hind legs, and swats at the plant."
    assert first.captions[1] == "A cat sits on the plant, and swats at its hind legs."
    assert list(first.pictures) == ["000000222235.jpg"]
    assert list(first.tags) == ["swap_obj", "swap", ORDER_ONLY]
    assert {one.tags[0] for one in work.examples} == set(PARTS)
    assert not work.notes


def test_the_eight_items_of_one_picture_are_one_cluster(excerpt):
    records = SUGARCREPE.measure(RandomScorer(), Options(data=excerpt))
    assert sum(record["cluster"] == "000000058350.jpg" for record in records) == 8


def test_the_same_words_in_another_order_are_tagged(tmp_path):
    items = {
        "0": item(1),
        "1": item(2, "Men wash, girls LOOK.", "girls wash men look"),
        "2": item(3, "a", "b"),
    }
    work = SUGARCREPE.open(small(tmp_path, items))
    assert [ORDER_ONLY in one.tags for one in work.examples] == [True, True, False]
    assert words("a a b") != words("a b b")


def test_a_split_is_one_subset(excerpt):
    work = SUGARCREPE.open(Options(data=excerpt, split="swap_att"))
    assert {one.tags[0] for one in work.examples} == {"swap_att"}
    assert not work.notes
    with pytest.raises(ValueError, match="unknown part of sugarcrepe 'swap_att2'"):
        SUGARCREPE.open(Options(data=excerpt, split="swap_att2"))


def test_subsets_that_are_not_there_are_named_in_the_notes(tmp_path):
    work = SUGARCREPE.open(small(tmp_path, {"0": item(1)}))
    assert "without the parts add_att, add_obj" in work.notes[0]
    with pytest.raises(FileNotFoundError, match="none of the files of sugarcrepe"):
        SUGARCREPE.open(Options(data=tmp_path, split="add_att"))


@pytest.mark.parametrize(
    "content, named",
    [
        ('{"7": {"filename": "a.jpg", "caption": "A dog."}}', "item 7: negative_caption"),
        ('{"7": {"filename": "a.jpg", "caption": " ", "negative_caption": "A cat."}}', "item 7: caption"),
        ('{"7": "A dog."}', "item 7"),
        ('[{"filename": "a.jpg"}]', r"sugarcrepe\+\+"),
        ('{"7": {"filename"', "swap_obj.json"),
        ("{}", "no examples"),
    ],
)
def test_a_broken_file_is_named(tmp_path, content, named):
    (tmp_path / "swap_obj.json").write_text(content)
    with pytest.raises(ValueError, match=named):
        SUGARCREPE.open(Options(data=tmp_path))


def test_missing_pictures_are_refused_or_left_out_with_a_note(tmp_path, caplog):
    options = small(tmp_path, {"0": item(1), "1": item(2)})
    (tmp_path / "val2017").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "val2017" / "000000000002.jpg")
    with pytest.raises(FileNotFoundError, match="1 of 2 pictures.*000000000001.jpg"):
        SUGARCREPE.open(options)
    with caplog.at_level(logging.WARNING):
        work = SUGARCREPE.open(Options(data=tmp_path, missing="skip"))
    assert [one.example for one in work.examples] == ["swap_obj/1"]
    assert any("1 of 2 examples left out" in note for note in work.notes)
    assert work.picture("000000000002.jpg").image.size == (4, 4)


def test_a_photograph_that_is_named_as_in_coco_2014_is_found(excerpt, reference_data):
    options = Options(data=excerpt, images=(reference_data / "real",), missing="skip")
    work = SUGARCREPE.open(options)
    assert len(work.examples) == 8
    assert min(work.picture("000000058350.jpg").image.size) > 100


def test_without_files_the_way_to_get_them_is_said():
    with pytest.raises(ValueError, match="--data FOLDER.*RAIVNLab/sugar-crepe"):
        SUGARCREPE.open(Options())


def test_a_constant_scorer_scores_nothing(excerpt):
    records = SUGARCREPE.measure(ConstantScorer(), Options(data=excerpt))
    assert all(not right.any() for right in SUGARCREPE.right(records).values())


def test_the_true_caption_wins_by_scoring_higher(excerpt):
    records = SUGARCREPE.measure(ConstantScorer(), Options(data=excerpt))
    for record in records:
        record["match"] = [[2.0], [1.0]]
    assert SUGARCREPE.right(records)["accuracy"].all()
    for record in records:
        record["match"] = [[1.0], [2.0]]
    assert not SUGARCREPE.right(records)["accuracy"].any()


def test_the_published_files_have_their_published_sizes(reference_data):
    records = SUGARCREPE.measure(RandomScorer(), Options(data=reference_data / "annotations" / "sugarcrepe"))
    sizes = {part: sum(part in record["tags"] for record in records) for part in (*PARTS, "swap", ORDER_ONLY)}
    assert len(records) == 7511
    assert list(sizes.values()) == [692, 2062, 788, 1652, 1406, 666, 245, 911, 571]
    assert len({record["cluster"] for record in records}) == 1560
    assert records[0]["captions"][0] == "A drawing of a young woman with many facial piercings."
    accuracy = proportion(
        SUGARCREPE.right(records)["accuracy"], [record["cluster"] for record in records], level=0.999
    )
    assert accuracy.low < 0.5 < accuracy.high
    assert {row.group for row in table(SUGARCREPE, records)} == {
        "all", "add", "replace", "swap", ORDER_ONLY, *PARTS,
    }  # fmt: skip


@pytest.mark.parametrize("split, version", [(None, "all 7 subsets"), ("swap_obj", "swap_obj, 245")])
def test_the_published_files_are_known_by_their_hash(reference_data, split, version):
    work = SUGARCREPE.open(Options(data=reference_data / "annotations" / "sugarcrepe", split=split))
    assert SUGARCREPE.versions[work.version].startswith(version)
