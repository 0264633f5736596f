"""ARO's two benchmarks of Visual Genome show a model the crop, never the whole picture or its features."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from cacr.benchmarks import Options, table
from cacr.benchmarks.vg_attribution import OFTEN, VG_ATTRIBUTION
from cacr.benchmarks.vg_relation import VG_RELATION, Crop
from cacr.regions import Regions, write_features
from cacr.scorers import ConstantScorer, RandomScorer
from cacr.statistics import proportion

BOTH = pytest.mark.parametrize("benchmark", [VG_RELATION, VG_ATTRIBUTION], ids=lambda b: b.name)
FILES = {"vg-relation": "visual_genome_relation.json", "vg-attribution": "visual_genome_attribution.json"}


def item(number, box=(2, 1, 3, 4), **more):
    return {
        "image_id": str(number),
        "image_path": f"{number}.jpg",
        "relation_name": "wearing",
        "attributes": ["old", "white"],
        "true_caption": "the man is wearing the shirt",
        "false_caption": "the shirt is wearing the man",
    } | dict(zip(("bbox_x", "bbox_y", "bbox_w", "bbox_h"), box, strict=True)) | more  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Writes items and pictures 1 and 2, 10 x 8, whose red channel counts columns and green counts rows."""

    def write(benchmark, items):
        (tmp_path / FILES[benchmark.name]).write_text(json.dumps(items))
        (tmp_path / "images").mkdir(exist_ok=True)
        pixels = np.zeros((8, 10, 3), dtype=np.uint8)
        pixels[..., 0], pixels[..., 1] = np.arange(10)[None], np.arange(8)[:, None]
        for number in (1, 2):  # png bytes whatever the name: jpg would change the values
            Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.jpg", format="png")
        return Options(data=tmp_path)

    return write


@BOTH
def test_examples_are_the_items_of_the_file(folder, benchmark):
    (one,) = benchmark.open(folder(benchmark, [item(1)])).examples
    assert list(one.captions) == ["the man is wearing the shirt", "the shirt is wearing the man"]
    assert list(one.pictures) == ["1[2,1,3,4].jpg"]
    assert one.cluster == "1.jpg"


@BOTH
def test_the_picture_is_the_crop(folder, benchmark):
    work = benchmark.open(folder(benchmark, [item(1)]))
    crop = np.asarray(work.picture("1[2,1,3,4].jpg").image)
    assert crop.shape == (4, 3, 3)
    assert crop[0, :, 0].tolist() == [2, 3, 4]
    assert crop[:, 0, 1].tolist() == [1, 2, 3, 4]


def test_a_detector_sees_the_crop(folder):
    class Detector:
        def detect(self, images):
            return [image.size for image in images]

        def describe(self):
            return {}

    options = folder(VG_RELATION, [item(1)])
    work = VG_RELATION.open(Options(data=options.data, detector=Detector()))
    assert work.picture("1[2,1,3,4].jpg").regions == (3, 4)


def features(path, *names):
    regions = Regions.from_pixels(torch.ones(2, 5), torch.tensor([[0.0, 0, 9, 9]] * 2), (40, 30))
    write_features(path, dict.fromkeys(names, regions))
    return path


@pytest.mark.parametrize("name", ["1", "1.jpg", "images/1.jpg"])
def test_features_of_the_whole_picture_never_stand_for_the_crop(folder, tmp_path, name):
    options = folder(VG_RELATION, [item(1)])
    store = features(tmp_path / "whole.safetensors", name)
    with pytest.raises(FileNotFoundError, match=r"no region features for 1 of 1.*1\[2,1,3,4\].jpg"):
        VG_RELATION.open(Options(data=options.data, features=store))


def test_features_of_the_crop_are_found_by_its_name(folder, tmp_path):
    options = folder(VG_RELATION, [item(1), item(2)])
    store = features(tmp_path / "crops.safetensors", "1[2,1,3,4].jpg")
    work = VG_RELATION.open(Options(data=options.data, features=store, missing="skip"))
    assert [one.example for one in work.examples] == ["0"]
    assert work.picture("1[2,1,3,4].jpg").regions.features.shape == (2, 5)
    assert work.picture("1[2,1,3,4].jpg").image.size == (3, 4)


def test_crops_of_one_picture_differ_by_name_and_share_a_cluster(folder):
    work = VG_RELATION.open(folder(VG_RELATION, [item(1), item(1, (0, 0, 5, 5)), item(2)]))
    assert [one.pictures[0] for one in work.examples] == [
        "1[2,1,3,4].jpg",
        "1[0,0,5,5].jpg",
        "2[2,1,3,4].jpg",
    ]
    assert [one.cluster for one in work.examples] == ["1.jpg", "1.jpg", "2.jpg"]
    assert Crop("a/1.jpg", (0.5, 1.0, 2, 3)).name == "a/1[0.5,1,2,3].jpg"


@BOTH
@pytest.mark.parametrize(
    "items, named",
    [
        ([item(1), item(1, true_caption=" ")], "item 1: true_caption"),
        ([item(1, bbox_w=0)], "item 0 has a box of 0 x 4 pixels"),
        ([item(1, bbox_h=-1)], "item 0 has a box of 3 x -1 pixels"),
        ([item(1, bbox_x=None)], "item 0: bbox_x is None"),
        ([item(1, bbox_y=10**400)], "item 0: bbox_y is 1000"),
        ([item(1, bbox_w=10**400)], "item 0: bbox_w is 1000"),
        ([item(1), item(1, bbox_x=float("nan"))], "item 1: bbox_x is nan"),
        ([item(1, bbox_h=float("nan"))], "item 0: bbox_h is nan"),
        ([item(1, bbox_x=float("-inf"))], "item 0: bbox_x is -inf"),
        ([item(1, bbox_w=float("inf"))], "item 0: bbox_w is inf"),
        ([item(1, bbox_h=1e5)], "item 0: bbox_h is 100000.0; expected a number of pixels, 65535 at most"),
        ([item(1, bbox_h=True)], "item 0: bbox_h is True"),
        ([item(1, image_path=3)], "item 0: image_path"),
        ([[]], "item 0 is"),
        ({"a": 1}, "expected a list"),
    ],
)
def test_a_broken_file_is_named(folder, benchmark, items, named):
    with pytest.raises(ValueError, match=named):
        benchmark.open(folder(benchmark, items))


def test_tags_that_are_not_there_are_named(folder):
    with pytest.raises(ValueError, match="item 0: relation_name"):
        VG_RELATION.open(folder(VG_RELATION, [item(1, relation_name=None)]))
    with pytest.raises(ValueError, match="item 0 has the attributes"):
        VG_ATTRIBUTION.open(folder(VG_ATTRIBUTION, [item(1, attributes=["old"])]))


@BOTH
def test_there_are_no_parts(folder, benchmark):
    options = folder(benchmark, [item(1)])
    with pytest.raises(ValueError, match=f"{benchmark.name} has no parts"):
        benchmark.open(Options(data=options.data, split="test"))


@BOTH
def test_missing_pictures_are_refused_or_left_out_with_a_note(folder, benchmark):
    options = folder(benchmark, [item(1), item(7)])
    with pytest.raises(FileNotFoundError, match=r"1 of 2 pictures.*7.jpg"):
        benchmark.open(options)
    work = benchmark.open(Options(data=options.data, missing="skip"))
    assert [one.example for one in work.examples] == ["0"]
    assert any("1 of 2 examples left out" in note for note in work.notes)


@BOTH
def test_the_first_examples_alone_need_their_pictures_alone(folder, benchmark):
    options = folder(benchmark, [item(1), item(7)])
    work = benchmark.open(Options(data=options.data, n=1))
    assert len(work.examples) == 1
    assert work.notes == ["only the first 1 of 2 examples"]


def test_attributes_have_a_row_where_they_come_often(folder):
    items = [item(1, (0, 0, 1 + i % 9, 1)) for i in range(OFTEN)] + [item(2, attributes=["red", "wet"])] * 3
    records = VG_ATTRIBUTION.measure(RandomScorer(), folder(VG_ATTRIBUTION, items))
    assert {row.group for row in table(VG_ATTRIBUTION, records)} == {"all", "old, white"}


@BOTH
def test_a_constant_scorer_scores_nothing_and_a_random_one_lands_on_chance(folder, benchmark):
    items = [
        item(1 + i % 2, (i % 7, 0, 1 + i // 7, 3), true_caption=f"{i} a", false_caption=f"{i} b")
        for i in range(600)
    ]
    options = folder(benchmark, items)
    assert not benchmark.right(benchmark.measure(ConstantScorer(), options))["accuracy"].any()
    records = benchmark.measure(RandomScorer(), options)
    estimate = proportion(benchmark.right(records)["accuracy"], level=0.999)
    assert estimate.low < benchmark.chance(records[0])["accuracy"] < estimate.high
    assert {row.group for row in table(benchmark, records)} > {"all"}
