"""BiVLC is read from the hub's tables; examples of the same photograph are one cluster."""

import pytest
from tests.unit.benchmarks.test_picture_tables import png, write_table

from cacr.benchmarks import Options, table
from cacr.benchmarks.bivlc import BIVLC
from cacr.scorers import ConstantScorer, RandomScorer
from cacr.statistics import proportion

PICTURES = ("image", "negative_image")


def columns(count, paths=lambda i: None, start=0):
    """Two rows for each photograph."""
    rows = range(start, start + count)
    return {
        "image": [{"bytes": png((i // 2 % 256, i // 512, 0)), "path": paths(i)} for i in rows],
        "caption": [f"A man throwing ball {i}." for i in rows],
        "negative_caption": [f"A ball throwing man {i}." for i in rows],
        "negative_image": [{"bytes": png((9, 9, i % 256)), "path": None} for i in rows],
        "type": ["swap" if i % 3 else "add" for i in rows],
        "subtype": ["obj"] * count,
    }


def write(folder, count, shards=1, rows_in_group=2, **changed):
    each = count // shards
    for shard in range(shards):
        name = f"data/test-{shard:05d}-of-{shards:05d}.parquet"
        write_table(folder / name, columns(each, start=shard * each) | changed, PICTURES, rows_in_group)
    return Options(data=folder)


def test_the_rows_of_all_files_are_examples_with_their_own_pictures(tmp_path):
    work = BIVLC.open(write(tmp_path, 6, shards=2))
    one = work.examples[4]
    assert one.example == "0004"
    assert list(one.captions) == ["A man throwing ball 4.", "A ball throwing man 4."]
    assert list(one.tags) == ["swap", "swap obj"]
    first, second = (work.picture(name).image.getpixel((0, 0)) for name in one.pictures)
    assert (first, second) == ((2, 0, 0), (9, 9, 4))
    assert [one.example for one in work.examples] == [f"{i:04d}" for i in range(6)]
    assert not work.notes


def test_equal_photographs_are_one_cluster(tmp_path):
    clusters = [one.cluster for one in BIVLC.open(write(tmp_path, 6)).examples]
    assert [clusters.index(one) for one in clusters] == [0, 0, 2, 2, 4, 4]


def test_a_photograph_with_its_name_of_coco_is_a_cluster_of_that_name(tmp_path):
    named = columns(4, paths=lambda i: f"{i // 2:012d}.jpg")
    work = BIVLC.open(write(tmp_path, 4, image=named["image"]))
    assert [one.cluster for one in work.examples] == [f"{i // 2:012d}.jpg" for i in range(4)]
    assert list(work.examples[3].pictures) == ["bivlc_0003_image.jpg", "bivlc_0003_negative_image.jpg"]


def test_a_name_that_is_not_of_coco_is_no_name(tmp_path):
    named = columns(4, paths=lambda i: "image.jpg")
    work = BIVLC.open(write(tmp_path, 4, image=named["image"]))
    assert work.examples[1].cluster != work.examples[2].cluster


@pytest.mark.parametrize("paths", [lambda i: None, lambda i: f"{i:012d}.jpg"])
def test_the_first_examples_are_noted(tmp_path, paths):
    write(tmp_path, 6, image=columns(6, paths)["image"])
    work = BIVLC.open(Options(data=tmp_path, n=3))
    assert len(work.examples) == 3
    assert list(work.notes) == ["only the first 3 of 6 examples"]


def test_a_broken_row_is_named(tmp_path):
    options = write(tmp_path, 3, negative_caption=["a", None, "c"])
    with pytest.raises(ValueError, match=r"test-00000-of-00001.parquet, row 2: negative_caption is None"):
        BIVLC.open(options)


def test_a_table_that_is_not_its_own_is_named(tmp_path):
    made = columns(2)
    del made["negative_caption"]
    write_table(tmp_path / "test-00000-of-00001.parquet", made, PICTURES)
    with pytest.raises(ValueError, match="no column negative_caption"):
        BIVLC.open(Options(data=tmp_path))


def test_a_missing_file_is_refused(tmp_path):
    write(tmp_path, 4, shards=2)
    (tmp_path / "data" / "test-00001-of-00002.parquet").unlink()
    with pytest.raises(FileNotFoundError, match="1 of 2 files of the part test of bivlc"):
        BIVLC.open(Options(data=tmp_path))


def test_without_files_the_way_to_get_them_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none of the files of bivlc.*hf download imirandam/BiVLC"):
        BIVLC.open(Options(data=tmp_path))


def test_text_is_image_to_text_and_image_is_text_to_image(tmp_path):
    records = BIVLC.measure(ConstantScorer(), write(tmp_path, 2))
    for record in records:  # both captions prefer the photograph; each picture prefers its own caption
        record["match"] = [[3.0, 1.0], [2.5, 2.0]]
    right = BIVLC.right(records)
    assert right["text"].all()
    assert not right["image"].any()


def test_scorers_that_know_nothing_get_nothing_or_chance(tmp_path):
    options = write(tmp_path, 1200, rows_in_group=100)
    records = BIVLC.measure(ConstantScorer(), options)
    assert not any(right.any() for right in BIVLC.right(records).values())
    records = BIVLC.measure(RandomScorer(), options)
    for metric, right in BIVLC.right(records).items():
        found = proportion(right, [record["cluster"] for record in records], level=0.999)
        assert found.low < BIVLC.chance(records[0])[metric] < found.high
    assert {row.group for row in table(BIVLC, records)} == {"all", "add", "add obj", "swap", "swap obj"}
