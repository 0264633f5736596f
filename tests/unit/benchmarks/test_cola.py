"""Cola is read as published; what shares photographs is one cluster, and its accuracy is the image score."""

import json
import logging

import pytest
from PIL import Image

from cacr.benchmarks import Options
from cacr.benchmarks.cola import COLA
from cacr.scorers import ConstantScorer, RandomScorer
from cacr.statistics import proportion

FILE = "COLA_multiobjects_matching_benchmark.json"
ADDRESS = "https://cs-people.bu.edu/array/data/vg_gqa_images"


def small(tmp_path, content):
    (tmp_path / FILE).write_text(content if isinstance(content, str) else json.dumps(content))
    return Options(data=tmp_path)


def entry(first, second):
    return [f"{ADDRESS}/{first}.jpg", f"a red {first}", f"{ADDRESS}/{second}.jpg", f"a blue {second}"]


def test_examples_are_the_entries_of_the_file(data):
    work = COLA.open(Options(data=data / "benchmarks"))
    one = work.examples[0]
    assert one.example == "0"
    assert list(one.pictures) == ["2390970.jpg", "2388902.jpg"]
    assert list(one.captions) == [
        "standing tall long giraffe to the right of brown giraffe",
        "brown giraffe behind tall white giraffe",
    ]
    assert len(work.examples) == 4
    assert work.examples[2].cluster == work.examples[3].cluster


def test_examples_that_share_photographs_over_others_are_one_cluster(tmp_path):
    options = small(tmp_path, [entry(1, 2), entry(3, 4), entry(5, 6), entry(4, 2)])
    clusters = [one.cluster for one in COLA.open(options).examples]
    assert clusters[0] == clusters[1] == clusters[3] != clusters[2]


@pytest.mark.parametrize("folder", ["images", "vg_gqa_images", "VG_100K", "VG_100K_2"])
def test_photographs_lie_beside_the_file_under_their_own_names(tmp_path, folder):
    options = small(tmp_path, [entry(1, 2)])
    (tmp_path / folder).mkdir()
    for number in (1, 2):
        Image.new("RGB", (number, 3)).save(tmp_path / folder / f"{number}.jpg")
    assert COLA.open(options).picture("2.jpg").image.size == (2, 3)


def test_missing_photographs_are_refused_or_left_out_with_a_note(tmp_path, caplog):
    options = small(tmp_path, [entry(1, 2), entry(3, 4)])
    (tmp_path / "images").mkdir()
    for number in (1, 3, 4):
        Image.new("RGB", (4, 3)).save(tmp_path / "images" / f"{number}.jpg")
    with pytest.raises(FileNotFoundError, match=r"1 of 4 pictures.*2.jpg"):
        COLA.open(options)
    with caplog.at_level(logging.WARNING):
        work = COLA.open(Options(data=tmp_path, missing="skip"))
    assert [one.example for one in work.examples] == ["1"]
    assert any("1 of 2 examples left out" in note for note in work.notes)


@pytest.mark.parametrize(
    "content, named",
    [
        ([entry(1, 2), entry(3, 4)[:3]], "entry 2 is"),
        ([entry(1, 2), [*entry(3, 4)[:3], " "]], "entry 2, part 4"),
        ([{"image": "a"}], "entry 1 is"),
        ({"a": 1}, "no list of examples"),
        ("[[", FILE),
        ([], "no examples"),
    ],
)
def test_a_broken_file_is_named(tmp_path, content, named):
    with pytest.raises(ValueError, match=named):
        COLA.open(small(tmp_path, content))


def test_without_files_the_way_to_get_them_is_said(tmp_path):
    with pytest.raises(ValueError, match="--data FOLDER.*arijitray1993/COLA"):
        COLA.open(Options())
    with pytest.raises(FileNotFoundError, match=f"none of the files of cola: {FILE}"):
        COLA.open(Options(data=tmp_path))


def test_the_published_accuracy_is_the_image_score(data):
    records = COLA.measure(ConstantScorer(), Options(data=data / "benchmarks"))
    for (
        record
    ) in records:  # each caption prefers its own photograph, one photograph does not prefer its caption
        record["match"] = [[3.0, 2.0], [0.0, 1.0]]
    right = COLA.right(records)
    assert right["image"].all()
    assert not right["text"].any()
    for record in records:
        record["match"] = [[3.0, 3.0], [0.0, 1.0]]
    assert not COLA.right(records)["image"].any()


def test_the_published_file_has_its_210_examples(reference_data):
    options = Options(data=reference_data / "annotations" / "cola")
    work = COLA.open(options)
    assert len(work.examples) == 210
    assert len({name for one in work.examples for name in one.pictures}) == 218
    assert len({one.cluster for one in work.examples}) == 88
    assert work.examples[0].captions[1] == "brown giraffe behind tall white giraffe"
    assert COLA.versions[work.version].endswith("210 examples")
    assert not work.notes


def test_scorers_that_know_nothing_get_nothing_or_chance(tmp_path):
    options = small(tmp_path, [entry(2 * i, 2 * i + 1) for i in range(3000)])
    records = COLA.measure(ConstantScorer(), options)
    assert not any(right.any() for right in COLA.right(records).values())
    records = COLA.measure(RandomScorer(), options)
    assert COLA.chance(records[0])["image"] == 1 / 4
    for metric, right in COLA.right(records).items():
        found = proportion(right, [record["cluster"] for record in records], level=0.999)
        assert found.low < COLA.chance(records[0])[metric] < found.high
