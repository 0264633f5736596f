"""EqBen-mini is read as t2v_metrics distributes it: a list, pictures, and frames that are stored as arrays."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from cacr.benchmarks import Options, table
from cacr.benchmarks.eqben_mini import EQBEN_MINI
from cacr.regions import Regions
from cacr.scorers import ConstantScorer, RandomScorer
from cacr.statistics import proportion


def entry(number, subset="eqbenag", ending="png", **changed):
    return {
        "image0": f"{subset}/{number}/a.{ending}",
        "image1": f"{subset}/{number}/b.{ending}",
        "caption0": f"person {number} opens a door",
        "caption1": f"person {number} closes a door",
    } | changed


def write(folder, content):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "all_select.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return Options(data=folder)


def draw(folder, entries):
    for name in (one[f"image{i}"] for one in entries for i in (0, 1)):
        place = folder / "images" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.suffix == ".npy":
            np.save(place, np.full((3, 5, 3), (30, 20, 10), np.uint8))
        else:
            Image.new("RGB", (5, 3), (10, 20, 30)).save(place)


@pytest.mark.parametrize("inner", ["", "eqben_vllm", "eqben-mini/eqben_vllm"])
def test_the_list_is_read_with_its_pictures(tmp_path, inner):
    entries = [entry(0), entry(1, "eqbenkubric_cnt"), entry(2, "eqbennew")]
    write(tmp_path / inner, entries)
    draw(tmp_path / inner, entries)
    work = EQBEN_MINI.open(Options(data=tmp_path))
    one = work.examples[1]
    assert one.example == "1"
    assert list(one.captions) == ["person 1 opens a door", "person 1 closes a door"]
    assert list(one.pictures) == ["eqbenkubric_cnt/1/a.png", "eqbenkubric_cnt/1/b.png"]
    tags = [list(one.tags) for one in work.examples]
    assert tags == [["natural", "action genome"], ["synthetic", "kubric count"], ["eqbennew"]]
    assert work.picture("eqbenag/0/b.png").image.getpixel((0, 0)) == (10, 20, 30)


def test_frames_that_are_arrays_are_read_as_blue_green_red(tmp_path):
    entries = [entry(0, "eqbenyoucook2", "npy")]
    draw(tmp_path, entries)
    image = EQBEN_MINI.open(write(tmp_path, entries)).picture("eqbenyoucook2/0/a.npy").image
    assert image.size == (5, 3)
    assert image.getpixel((0, 0)) == (10, 20, 30)


@pytest.mark.parametrize(
    "save, said",
    [
        (lambda place: np.save(place, np.zeros((3, 5), np.uint8)), r"array \[3, 5\] of uint8"),
        (lambda place: np.save(place, np.zeros((3, 5, 3))), r"of float64; expected"),
        (
            lambda place: np.save(place, np.array([{}], dtype=object), allow_pickle=True),
            "no array of a frame",
        ),
        (lambda place: place.write_bytes(b""), "no array of a frame"),
    ],
)
def test_a_frame_that_is_no_picture_is_named_and_never_unpickled(tmp_path, save, said):
    entries = [entry(0, "eqbenyoucook2", "npy")]
    draw(tmp_path, entries)
    save(tmp_path / "images" / "eqbenyoucook2" / "0" / "a.npy")
    work = EQBEN_MINI.open(write(tmp_path, entries))
    with pytest.raises(ValueError, match=said):
        _ = work.picture("eqbenyoucook2/0/a.npy").image


def test_missing_pictures_are_refused_or_left_out_with_a_note(tmp_path):
    options = write(tmp_path, [entry(0), entry(1), entry(2)])
    draw(tmp_path, [entry(1), entry(2)])
    with pytest.raises(FileNotFoundError, match=r"2 of 6 pictures.*First missing: eqbenag/0/a.png"):
        EQBEN_MINI.open(options)
    work = EQBEN_MINI.open(Options(data=tmp_path, missing="skip", n=2))
    assert [one.example for one in work.examples] == ["1"]
    assert list(work.notes) == [
        "only the first 2 of 3 examples",
        "1 of 2 examples left out: their pictures are not there",
    ]
    with pytest.raises(FileNotFoundError, match="First missing"):
        EQBEN_MINI.open(Options(data=tmp_path, missing="skip", n=1))


def test_a_picture_outside_of_the_folder_is_refused(tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="lies outside of"):
        EQBEN_MINI.open(write(tmp_path, [entry(0, image0="../a.png")]))


def test_a_detector_finds_the_regions_of_frames_too(tmp_path):
    class Whole:
        def detect(self, pictures):
            return [
                Regions(torch.tensor([[float(one.width)]]), torch.tensor([[0.0, 0, 1, 1]]))
                for one in pictures
            ]

    entries = [entry(0, "eqbenyoucook2", "npy")]
    draw(tmp_path, entries)
    write(tmp_path, entries)
    work = EQBEN_MINI.open(Options(data=tmp_path, detector=Whole()))
    assert work.picture("eqbenyoucook2/0/b.npy").regions.features.tolist() == [[5.0]]


@pytest.mark.parametrize(
    "content, named",
    [
        ([entry(0), entry(1, caption1=None)], "entry 2: caption1"),
        ([entry(0, image0="")], "entry 1: image0"),
        (["a"], "entry 1 is 'a'"),
        ({"a": 1}, "no list of examples"),
        ("[{", "all_select.json"),
        ([], "no examples"),
    ],
)
def test_a_broken_list_is_named(tmp_path, content, named):
    with pytest.raises(ValueError, match=named):
        EQBEN_MINI.open(write(tmp_path, content))


def test_without_files_the_way_to_get_them_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none of the files of eqben-mini.*eqben_vllm.zip"):
        EQBEN_MINI.open(Options(data=tmp_path))


def test_scorers_that_know_nothing_get_nothing_or_chance(tmp_path):
    options = write(tmp_path, [entry(i, "eqbensd") for i in range(3000)])
    records = EQBEN_MINI.measure(ConstantScorer(), options)
    assert not any(right.any() for right in EQBEN_MINI.right(records).values())
    records = EQBEN_MINI.measure(RandomScorer(), options)
    for metric, right in EQBEN_MINI.right(records).items():
        found = proportion(right, [record["cluster"] for record in records], level=0.999)
        assert found.low < EQBEN_MINI.chance(records[0])[metric] < found.high
    assert {row.group for row in table(EQBEN_MINI, records)} == {"all", "synthetic", "stable diffusion"}
