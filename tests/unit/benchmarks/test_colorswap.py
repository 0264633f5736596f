"""ColorSwap is read from the hub's table or from the authors' lists, with the same examples."""

import json
import logging

import pytest
from PIL import Image
from tests.unit.benchmarks.test_picture_tables import png, write_table

from cacr.benchmarks import Options
from cacr.benchmarks.colorswap import COLORSWAP
from cacr.scorers import ConstantScorer, RandomScorer
from cacr.statistics import proportion


def row(number, **changed):
    return {
        "id": number,
        "caption_1": f"someone holding a yellow umbrella wearing a white dress {number}",
        "caption_2": f"someone holding a white umbrella wearing a yellow dress {number}",
        "image_1": f"images/img_{number}_1.png",
        "image_2": f"images/img_{number}_2.png",
        "image_source": "midjourney",
        "caption_source": "human",
    } | changed


def write_list(folder, rows, name="test.json"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(rows if isinstance(rows, str) else json.dumps(rows))
    return folder


def draw(folder, numbers):
    (folder / "images").mkdir()
    for number in numbers:
        for i in (1, 2):
            Image.new("RGB", (4, 4), (number, i, 0)).save(folder / "images" / f"img_{number}_{i}.png")


def hub(folder, rows, part="test"):
    columns = {key: [one[key] for one in rows] for key in rows[0]}
    for i in (1, 2):
        columns[f"image_{i}"] = [{"bytes": png((one["id"], i, 0)), "path": None} for one in rows]
    write_table(folder / "data" / f"{part}-00000-of-00001.parquet", columns, ["image_1", "image_2"])
    return folder


def test_the_lists_are_read_with_their_pictures(tmp_path):
    write_list(tmp_path / "data", [row(0), row(7)])
    draw(tmp_path / "data", [0, 7])
    work = COLORSWAP.open(Options(data=tmp_path))
    one = work.examples[1]
    assert (one.example, list(one.pictures)) == ("7", ["img_7_1.png", "img_7_2.png"])
    assert one.captions[0] == "someone holding a yellow umbrella wearing a white dress 7"
    assert list(one.tags) == ["images by midjourney", "captions by human"]
    assert work.picture("img_7_2.png").image.getpixel((0, 0)) == (7, 2, 0)


def test_the_table_of_the_hub_gives_the_same_examples_and_its_own_pictures(tmp_path):
    rows = [row(0), row(7), row(3)]
    work = COLORSWAP.open(Options(data=hub(tmp_path / "hub", rows)))
    assert work.examples == COLORSWAP.open(Options(data=write_list(tmp_path / "list", rows))).examples
    assert work.picture("img_3_2.png").image.getpixel((0, 0)) == (3, 2, 0)


@pytest.mark.parametrize("write", [hub, lambda folder, rows, part: write_list(folder, rows, f"{part}.json")])
def test_the_test_part_is_taken_where_none_is_asked_for_and_this_is_noted(tmp_path, write):
    write(tmp_path, [row(0)], "test")
    write(tmp_path, [row(1), row(2)], "train")
    work = COLORSWAP.open(Options(data=tmp_path))
    assert [one.example for one in work.examples] == ["0"]
    assert "the test part only" in work.notes[0]
    train = COLORSWAP.open(Options(data=tmp_path, split="train"))
    assert [one.example for one in train.examples] == ["1", "2"]
    assert not train.notes
    with pytest.raises(ValueError, match="unknown part of colorswap 'tset'. Did you mean 'test'"):
        COLORSWAP.open(Options(data=tmp_path, split="tset"))


@pytest.mark.parametrize(
    "content, named",
    [
        ([row(0), row(1, caption_2="")], "entry 2: caption_2"),
        ([row(0, image_1=5)], "entry 1: image_1"),
        ([row(0, id=None)], "entry 1: id is None"),
        ([row(0), "row"], "no list of examples"),
        ("[{", "test.json"),
        ([row(4), row(4)], "the example 4 comes twice"),
    ],
)
def test_a_broken_list_is_named(tmp_path, content, named):
    with pytest.raises(ValueError, match=named):
        COLORSWAP.open(Options(data=write_list(tmp_path, content)))


def test_a_broken_row_of_the_table_is_named(tmp_path):
    hub(tmp_path, [row(0), row(1, caption_1=None)])
    with pytest.raises(ValueError, match=r"test-00000-of-00001.parquet, row 2: caption_1 is None"):
        COLORSWAP.open(Options(data=tmp_path))


def test_missing_pictures_are_refused_or_left_out_with_a_note(tmp_path, caplog):
    write_list(tmp_path, [row(0), row(1)])
    draw(tmp_path, [1])
    with pytest.raises(FileNotFoundError, match=r"2 of 4 pictures.*img_0_1.png"):
        COLORSWAP.open(Options(data=tmp_path))
    with caplog.at_level(logging.WARNING):
        work = COLORSWAP.open(Options(data=tmp_path, missing="skip"))
    assert [one.example for one in work.examples] == ["1"]
    assert any("1 of 2 examples left out" in note for note in work.notes)


def test_without_files_the_way_to_get_them_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none of the files of colorswap.*hf download"):
        COLORSWAP.open(Options(data=tmp_path))


def test_scorers_that_know_nothing_get_nothing_or_chance(tmp_path):
    options = Options(data=write_list(tmp_path, [row(i) for i in range(3000)]))
    records = COLORSWAP.measure(ConstantScorer(), options)
    assert not any(right.any() for right in COLORSWAP.right(records).values())
    records = COLORSWAP.measure(RandomScorer(), options)
    for metric, right in COLORSWAP.right(records).items():
        found = proportion(right, [record["cluster"] for record in records], level=0.999)
        assert found.low < COLORSWAP.chance(records[0])[metric] < found.high
