"""A table of one's own is read from lines of JSON, CSV, TSV, Parquet and datasets, with the same meaning."""

import json
import os

import pytest

from cacr.data import open_captions

ROWS = [
    {"image": "a.jpg", "caption": "a dog, it runs", "split": "train"},
    {"image": "a.jpg", "caption": "ein größerer Hund", "split": "train"},
    {"image": "b.jpg", "caption": "a cat", "split": "dev"},
]


def separated(path, mark):
    quote = lambda text: '"' + text.replace('"', '""') + '"'
    lines = [mark.join(ROWS[0]), *(mark.join(quote(cell) for cell in row.values()) for row in ROWS)]
    path.write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8")


def parquet(path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.Table.from_pylist(ROWS), path)


def saved(path):
    datasets = pytest.importorskip("datasets")
    by_split = {
        split: datasets.Dataset.from_list([r for r in ROWS if r["split"] == split]).remove_columns("split")
        for split in ("train", "dev")
    }
    datasets.DatasetDict(by_split).save_to_disk(str(path))


WRITERS = {
    "rows.jsonl": lambda path: path.write_text("".join(json.dumps(row) + "\n" for row in ROWS)),
    "rows.json": lambda path: path.write_text(json.dumps(ROWS)),
    "rows.csv": lambda path: separated(path, ","),
    "rows.tsv": lambda path: separated(path, "\t"),
    "rows.parquet": parquet,
    "saved": saved,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_table_says_the_same(tmp_path, features, name):
    WRITERS[name](tmp_path / name)
    pairs = open_captions(tmp_path / name, features=features("a.jpg", "b"))
    assert list(pairs.image_ids) == ["a.jpg", "b.jpg"]
    assert list(pairs.captions) == [row["caption"] for row in ROWS]
    assert list(pairs.image_of_caption) == [0, 0, 1]
    assert list(open_captions(tmp_path / name, "dev", pairs.named.store).captions) == ["a cat"]
    with pytest.raises(ValueError, match=r"splits are: dev \(1 picture\), train \(1 picture\)"):
        open_captions(tmp_path / name, "test", pairs.named.store)


def test_a_cell_may_hold_a_list_of_captions(tmp_path, features):
    path = tmp_path / "rows.csv"
    path.write_text('image,captions\na.jpg,"[""a dog"", ""it runs""]"\nb.jpg,a cat\n')
    pairs = open_captions(path, features=features("a", "b"))
    assert list(pairs.captions) == ["a dog", "it runs", "a cat"]


def test_a_folder_of_parquet_files_has_their_splits(tmp_path, features):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    folder = tmp_path / "rows"
    folder.mkdir()
    for part, image in (("train-00000-of-00001", "a.jpg"), ("test-00000-of-00001", "b.jpg")):
        rows = [{"image": {"bytes": None, "path": image}, "captions": ["x", "y"]}]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{part}.parquet")
    store = features("a", "b")
    assert list(open_captions(folder, "test", store).image_ids) == ["b.jpg"]
    assert len(open_captions(folder, None, store).captions) == 4


def test_a_parquet_file_changed_on_the_way_is_named(tmp_path):
    pytest.importorskip("pyarrow")
    parquet(tmp_path / "rows.parquet")
    content = (tmp_path / "rows.parquet").read_bytes()
    (tmp_path / "rows.parquet").write_bytes(content.replace(b"caption", b"capt\xb2on"))
    with pytest.raises(ValueError, match=r"rows\.parquet is not a readable Parquet file"):
        open_captions(tmp_path / "rows.parquet")


def test_pixels_without_a_path_are_refused(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [{"image": {"bytes": b"x", "path": None}, "caption": "x"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="row 1 holds a picture without a path"):
        open_captions(tmp_path / "rows.parquet")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "has the columns none; expected image and caption"),
        ("t.csv", b"image,text\na,b\n", "has the columns image, text; expected image and caption"),
        ("t.csv", b"image,caption\na.jpg,x,y\n", "line 2 has more or fewer columns"),
        ("t.csv", b"image,caption\na.jpg\n", "line 2 has more or fewer columns"),
        ("t.csv", b"image,caption\na.jpg,\n", r"line 2 has no captions for a\.jpg"),
        ("t.csv", b"image,caption\n../a.jpg,x\n", "line 2: the picture '../a.jpg' lies outside"),
        ("t.csv", b"image,captions\na.jpg,[1\n", r"line 2 is not JSON"),
        ("t.csv", b'image,caption\na.jpg,"x\n', "not a comma-separated UTF-8 table"),
        ("t.csv", b"image,caption\na.jpg,\xff\n", "not a comma-separated UTF-8 table"),
        ("t.csv", b"image,caption\na.jpg," + b"x" * 200_000, "field larger than field limit"),
        ("t.csv", b"image,caption\n", "is empty"),
        ("t.tsv", b"image,caption\na.jpg,x\n", "has the columns image,caption; expected"),
        ("t.json", b"[]", "is empty"),
        ("t.json", b"[3]", "entry 1 names no picture"),
        ("t.json", b'{"a": 1}', "holds the keys a; expected one of: a folder with"),
        ("t.json", b"7", "holds 7; expected one of"),
        ("t.jsonl", b"\n", "is empty"),
        ("t.jsonl", b'{"image": "a.jpg", "caption": [["x"]]}', r"line 1 has no captions for a\.jpg but"),
        ("t.jsonl", b'{"image": "a.jpg", "caption": "x", "split": 3}', "line 1: split is 3"),
        ("t.parquet", b"PAR1 no", "not a readable Parquet file"),
        ("t.txt", b"a dog\n", r"t\.txt is of no known kind; expected one of"),
    ],
)
def test_what_is_broken_is_named_by_its_place(tmp_path, name, content, message):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        open_captions(tmp_path / name)


@pytest.mark.parametrize(
    "image",
    [
        "../a.jpg",
        "/etc/a.jpg",
        "x/../../a.jpg",
        "..\\a.jpg",
        "C:\\a.jpg",
        "C:a.jpg",
        "\\\\host\\a.jpg",
        "a\0",
    ],
)
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, image):
    (tmp_path / "t.jsonl").write_text(json.dumps({"image": image, "caption": "x"}))
    with pytest.raises(ValueError, match="line 1: the picture .* lies outside of the folder"):
        open_captions(tmp_path / "t.jsonl")


def test_a_broken_folder_of_datasets_is_named(tmp_path):
    pytest.importorskip("datasets")
    saved(tmp_path / "saved")
    os.truncate(next((tmp_path / "saved" / "train").glob("*.arrow")), 100)
    with pytest.raises(ValueError, match="not a readable folder of datasets"):
        open_captions(tmp_path / "saved")
