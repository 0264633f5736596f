"""MMVP-VLM is read as published: questions 2k-1 and 2k are a pair, and its accuracy is the image score."""

import csv
import logging

import pytest
from PIL import Image

from cacr.benchmarks import Options, table
from cacr.benchmarks.mmvp_vlm import MMVP_VLM
from cacr.scorers import ConstantScorer, RandomScorer
from cacr.statistics import proportion

HEADER = ["Question ID", "Type", "Statement"]


def write(folder, rows, header=HEADER):
    with (folder / "Questions.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return Options(data=folder)


def pairs(count, kinds=("Orientation", "Camera Perspective")):
    return [[i, kinds[(i - 1) // 2 % len(kinds)], f"thing, number {i}"] for i in range(1, 2 * count + 1)]


def draw(folder, rows):
    for number, kind, _ in rows:
        place = folder / "MLLM_VLM Images" / kind
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (number, 2)).save(place / f"{number}.jpg")


def test_consecutive_questions_are_a_pair_with_their_pictures(tmp_path):
    draw(tmp_path, pairs(2))
    work = MMVP_VLM.open(write(tmp_path, pairs(2)))
    one = work.examples[1]
    assert one.example == "3-4"
    assert list(one.captions) == ["a photo of thing, number 3", "a photo of thing, number 4"]
    assert list(one.pictures) == ["Camera Perspective/3.jpg", "Camera Perspective/4.jpg"]
    assert list(one.tags) == ["camera perspective"]
    assert work.picture("Camera Perspective/4.jpg").image.size == (4, 2)


def test_the_order_of_the_lines_does_not_matter(tmp_path):
    examples = MMVP_VLM.open(write(tmp_path, pairs(3))).examples
    assert MMVP_VLM.open(write(tmp_path, pairs(3)[::-1])).examples == examples


@pytest.mark.parametrize(
    "rows, named",
    [
        ([*pairs(1), [3, "Color", "c"]], "questions 3 and 4 are no pair"),
        ([[1, "Color", "a"], [2, "State", "b"]], "questions 1 and 2 are no pair of one type"),
        ([*pairs(1), [2, "Color", "b"]], "line 4: the question 2 comes twice"),
        ([*pairs(1), ["x", "Color", "b"]], "line 4 is"),
        ([*pairs(1), [3, "Color"]], "line 4 is"),
        ([[1, "Color", " "]], "line 2: Statement"),
        ([[1, "../Color", "a"]], "line 2: the type '../Color'"),
        ([], "no examples"),
    ],
)
def test_a_broken_line_is_named(tmp_path, rows, named):
    with pytest.raises(ValueError, match=named):
        MMVP_VLM.open(write(tmp_path, rows))


def test_an_empty_line_is_passed_over_and_lines_are_counted_with_it(tmp_path):
    whole = MMVP_VLM.open(write(tmp_path, pairs(2))).examples
    assert MMVP_VLM.open(write(tmp_path, [*pairs(1), [], *pairs(2)[2:], []])).examples == whole
    with pytest.raises(ValueError, match="line 5 is"):
        MMVP_VLM.open(write(tmp_path, [*pairs(1), [], ["x", "Color", "b"]]))


def test_the_table_of_mmvp_itself_is_told_apart(tmp_path):
    header = ["Index", "Question", "Options", "Correct Answer"]
    with pytest.raises(ValueError, match="is it MMVP-VLM's, not MMVP's"):
        MMVP_VLM.open(write(tmp_path, [], header))


def test_missing_pictures_are_refused_or_left_out_with_a_note(tmp_path, caplog):
    options = write(tmp_path, pairs(2))
    draw(tmp_path, pairs(2)[:3])
    with pytest.raises(FileNotFoundError, match=r"1 of 4 pictures.*Camera Perspective/4.jpg"):
        MMVP_VLM.open(options)
    with caplog.at_level(logging.WARNING):
        work = MMVP_VLM.open(Options(data=tmp_path, missing="skip"))
    assert [one.example for one in work.examples] == ["1-2"]
    assert any("1 of 2 examples left out" in note for note in work.notes)


def test_without_files_the_way_to_get_them_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none of the files of mmvp-vlm: Questions.csv.*hf download"):
        MMVP_VLM.open(Options(data=tmp_path))


def test_scorers_that_know_nothing_get_nothing_or_chance(tmp_path):
    options = write(tmp_path, pairs(3000))
    records = MMVP_VLM.measure(ConstantScorer(), options)
    assert not any(right.any() for right in MMVP_VLM.right(records).values())
    records = MMVP_VLM.measure(RandomScorer(), options)
    assert MMVP_VLM.chance(records[0])["image"] == 1 / 4
    for metric, right in MMVP_VLM.right(records).items():
        found = proportion(right, [record["cluster"] for record in records], level=0.999)
        assert found.low < MMVP_VLM.chance(records[0])[metric] < found.high
    assert {row.group for row in table(MMVP_VLM, records)} == {"all", "orientation", "camera perspective"}
