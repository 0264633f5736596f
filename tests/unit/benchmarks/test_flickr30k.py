"""Retrieval of Flickr30k and COCO asks the first five captions of Karpathy's test pictures, at once or in folds."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from cacr.benchmarks import Options, table
from cacr.benchmarks.coco import COCO_1K, COCO_5K, FoldsWork
from cacr.benchmarks.flickr30k import CAPTIONS, FLICKR30K
from cacr.scorers import ConstantScorer, RandomScorer
from cacr.statistics import proportion

ALL = pytest.mark.parametrize("benchmark", [FLICKR30K, COCO_5K, COCO_1K], ids=lambda b: b.name)
NAMES = {
    "flickr30k": "dataset_flickr30k.json",
    "coco-5k": "dataset_coco.json",
    "coco-1k": "dataset_coco.json",
}


def image(number, split="test", captions=5):
    return {
        "filename": f"{number:06d}.jpg",
        "split": split,
        "sentences": [{"raw": f"Picture {number}, said {which}."} for which in range(captions)],
    }


def write(folder, benchmark, images):
    (folder / NAMES[benchmark.name]).write_text(json.dumps({"images": images}))
    return Options(data=folder)


class Knowing:
    """Knows the number of a caption's picture; ``off`` of them are told another number."""

    name = "knowing"

    def __init__(self, off=()):
        self.off = off

    def match(self, captions, pictures):
        said = np.array([int(c.split()[1].rstrip(",")) for c in captions])
        seen = np.array([int(p.image_id.partition(".")[0]) for p in pictures])
        return torch.tensor((said == np.where(np.isin(seen, self.off), -1, seen)).astype(np.float32))

    def describe(self):
        return {}


@ALL
def test_the_test_part_is_asked_with_its_first_five_captions(tmp_path, benchmark):
    options = write(tmp_path, benchmark, [image(1), image(2, "train"), image(3, "val"), image(4, captions=7)])
    work = benchmark.open(options)
    assert list(work.pairs.image_ids) == ["000001.jpg", "000004.jpg"]
    assert len(work.pairs.captions) == 2 * CAPTIONS
    assert work.pairs.captions[-1] == "Picture 4, said 4."
    assert "1 pictures have more than 5 captions" in work.notes[0]
    assert work.pairs.describes(9, 1) and not work.pairs.describes(9, 0)


@ALL
def test_the_other_part_can_be_asked_and_is_said(tmp_path, benchmark):
    write(tmp_path, benchmark, [image(1), image(3, "val")])
    work = benchmark.open(Options(data=tmp_path, split="val"))
    assert list(work.pairs.image_ids) == ["000003.jpg"]
    assert "of the part val" in work.notes[0]
    with pytest.raises(ValueError, match=f"unknown part of {benchmark.name} 'train'"):
        benchmark.open(Options(data=tmp_path, split="train"))


@ALL
def test_fewer_pictures_are_said(tmp_path, benchmark):
    write(tmp_path, benchmark, [image(i) for i in range(9)])
    work = benchmark.open(Options(data=tmp_path, n=3))
    assert len(work.pairs.image_ids) == 3
    assert "only the first 3 of 9 pictures" in work.notes[0]


@ALL
def test_the_file_itself_may_be_given_and_a_wrong_one_is_named(tmp_path, benchmark):
    options = write(tmp_path, benchmark, [image(1)])
    path = options.data / NAMES[benchmark.name]
    assert len(benchmark.open(Options(data=path)).pairs.image_ids) == 1
    path.write_text('{"images": [{"sentences": 5, "split": "test"}]}')
    with pytest.raises(ValueError, match=f"{NAMES[benchmark.name]}, image 1"):
        benchmark.open(options)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"has none of the files.*caption_datasets.zip"):
        benchmark.open(options)


@ALL
def test_missing_pictures_are_refused_or_left_out_with_a_note(tmp_path, benchmark):
    write(tmp_path, benchmark, [image(1), image(2)])
    (tmp_path / "images").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "images" / "000002.jpg")
    with pytest.raises(FileNotFoundError, match=r"1 of 2 pictures.*000001.jpg"):
        benchmark.open(Options(data=tmp_path))
    work = benchmark.open(Options(data=tmp_path, missing="skip"))
    assert list(work.pairs.image_ids) == ["000002.jpg"]
    assert any("1 of 2 pictures left out" in note for note in work.notes)
    assert work.pairs.picture(0).image.size == (4, 4)


def test_pictures_of_coco_are_found_in_val2014(tmp_path):
    write(tmp_path, COCO_5K, [image(1) | {"filepath": "val2014"}])
    (tmp_path / "val2014").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "val2014" / "000001.jpg")
    work = COCO_5K.open(Options(data=tmp_path))
    assert work.pairs.image_ids == ["val2014/000001.jpg"]
    assert work.pairs.picture(0).image.size == (4, 4)


@ALL
def test_a_detector_finds_regions_where_there_are_no_features(tmp_path, benchmark):
    class Detector:
        def detect(self, images):
            return [image.size for image in images]

        def describe(self):
            return {}

    write(tmp_path, benchmark, [image(1)])
    (tmp_path / "images").mkdir()
    Image.new("RGB", (4, 3)).save(tmp_path / "images" / "000001.jpg")
    work = benchmark.open(Options(data=tmp_path, detector=Detector()))
    assert work.pairs.picture(0).regions == (4, 3)


@ALL
def test_a_constant_scorer_finds_nothing_and_a_knowing_one_all(tmp_path, benchmark):
    options = write(tmp_path, benchmark, [image(i) for i in range(40)])
    constant = benchmark.right(benchmark.measure(ConstantScorer(), options))
    assert not any(found.any() for found in constant.values())
    records = benchmark.measure(Knowing(), options)
    assert len(records) == 40 + 40 * CAPTIONS
    assert all(found.all() for found in benchmark.right(records).values())
    assert {row.group for row in table(benchmark, records)} == {
        "caption to image", "image to caption", "both directions",
    }  # fmt: skip


@ALL
def test_a_random_scorer_lands_on_chance(tmp_path, benchmark):
    records = benchmark.measure(RandomScorer(), write(tmp_path, benchmark, [image(i) for i in range(150)]))
    for direction in ("caption to image", "image to caption"):
        some = [record for record in records if record["direction"] == direction]
        for metric, found in benchmark.right(some).items():
            estimate = proportion(found, level=0.999)
            assert estimate.low < benchmark.chance(some[0])[metric] < estimate.high, (direction, metric)


@pytest.fixture
def small_folds(monkeypatch, tmp_path):
    """50 pictures in folds of 20, 20 and 10."""
    monkeypatch.setattr("cacr.benchmarks.coco.FOLD", 20)
    return write(tmp_path, COCO_1K, [image(i) for i in range(50)])


def test_a_query_is_answered_among_its_fold(small_folds):
    work = COCO_1K.open(small_folds)
    assert isinstance(work, FoldsWork)
    assert "the last fold has 10 pictures" in work.notes[0]
    records = COCO_1K.measure(ConstantScorer(), small_folds)
    by_caption = [r for r in records if r["direction"] == "caption to image"]
    assert [by_caption[i]["pool"] for i in (0, 100, 249)] == [20, 20, 10]
    assert [by_caption[i]["rank"] for i in (0, 100, 249)] == [20, 20, 10]
    assert [r["fold"] for r in by_caption] == [0] * 100 + [1] * 100 + [2] * 50
    by_image = [r for r in records if r["direction"] == "image to caption"]
    assert by_image[0]["pool"] == 100
    assert len({(r["direction"], r["example"]) for r in records}) == len(records) == 300
    assert by_caption[100]["example"] == "caption 100"
    assert by_caption[100]["cluster"] == "000020.jpg"


def test_folds_are_those_of_each_fold_alone(small_folds, tmp_path):
    records = COCO_1K.measure(RandomScorer(), small_folds)
    second = [image(i) for i in range(20, 40)]
    alone = COCO_5K.measure(RandomScorer(), write(tmp_path, COCO_5K, second))
    mine = [r["rank"] for r in records if r["fold"] == 1]
    assert mine == [r["rank"] for r in alone]


def test_another_fold_s_answers_change_nothing(small_folds):
    records = COCO_1K.measure(Knowing(off=[25]), small_folds)
    found = COCO_1K.right(records)["R@1"]
    wrong = {records[i]["cluster"] for i in np.flatnonzero(~found)}
    assert wrong == {"000025.jpg"}


def test_more_parts_than_there_are_is_refused(small_folds):
    work = COCO_1K.open(small_folds)
    with pytest.raises(ValueError, match="numbered from 0"):
        work.ask(ConstantScorer(), work.parts)


@ALL
def test_pictures_with_fewer_captions_are_asked_with_theirs_and_said(tmp_path, benchmark):
    work = benchmark.open(write(tmp_path, benchmark, [image(1), image(2, captions=3), image(3, captions=4)]))
    assert len(work.pairs.captions) == 5 + 3 + 4
    assert work.notes[0] == "2 pictures have fewer than 5 captions"


def test_photographs_are_never_alike_whatever_they_are(tmp_path):
    work = FLICKR30K.open(write(tmp_path, FLICKR30K, [image(1), image(1) | {"filename": "twin.jpg"}]))
    assert [list(work.pairs.alike(one)) for one in (0, 1)] == [[], []]


def test_an_answer_is_whole_by_the_fold_that_its_part_is_of(tmp_path, monkeypatch):
    monkeypatch.setattr("cacr.benchmarks.coco.FOLD", 20)  # 16 pictures and 4, then 3
    captions = lambda i: 1 if i < 20 else 2
    write(tmp_path, COCO_1K, [image(i, captions=captions(i)) for i in range(23)])
    work = COCO_1K.open(Options(data=tmp_path))
    sizes = [4 * 20 * 16, 4 * 20 * 4, 4 * 6 * 3]
    assert work.parts == len(sizes)
    for part, size in enumerate(sizes):
        assert [work.whole(part, bytes(other)) for other in sizes] == [other == size for other in sizes]
        assert len(work.ask(ConstantScorer(), part)) == size
    with pytest.raises(ValueError, match="there are 3 parts, numbered from 0"):
        work.whole(3, b"")
