"""Tables of a few kilobytes that claim gigabytes are refused before they are unpacked; ordinary ones are not."""

import json
import resource
import struct

import pytest

from cacr.benchmarks.picture_tables import PictureTable
from cacr.data import open_captions, parquet
from cacr.data.parquet import batches, open_parquet
from cacr.data.parquet_pages import chunks, pages

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
ALLOWED = 4 << 20
"""Here; as shipped it is 64 MiB, which takes longer."""
ROWS = 100_000
LONG = "y" * 200_000


@pytest.fixture(autouse=True)
def allowed(monkeypatch):
    assert parquet.ALLOWED == 64 << 20
    monkeypatch.setattr(parquet, "ALLOWED", ALLOWED)


def repeated(value, rows=ROWS):
    """A column that repeats a value, as a dictionary of one word and a run of numbers."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value]))


def names(rows=ROWS):
    return repeated("a.jpg", rows)


def bomb(path, kind):
    """Tables that are small as files."""
    options = {"compression": "zstd", "store_schema": False}
    if kind == "one word in every row":
        table = {"image": names(), "caption": repeated(LONG)}
    elif kind == "a list of one word":
        lists = pa.ListArray.from_arrays(pa.array([0, ROWS], pa.int32()), repeated(LONG))
        table = {"image": names(1), "captions": lists}
    elif kind == "a page of one letter":
        table = {"image": names(1), "caption": ["y" * (ALLOWED + ALLOWED // 2)]}
        options["use_dictionary"] = ["image"]
    elif kind == "values that begin alike":
        table = {"image": [f"{i}.jpg" for i in range(100)], "caption": [LONG] * 100}
        options |= {"use_dictionary": False, "column_encoding": {"caption": "DELTA_BYTE_ARRAY"}}
    else:
        table = {"image": names(300_000), "caption": repeated("x", 300_000)}
    pq.write_table(pa.table(table), path, **options)
    return path


KINDS = (
    "one word in every row",
    "a list of one word",
    "a page of one letter",
    "values that begin alike",
    "rows",
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_file_of_gigabytes_is_refused_in_little_memory(tmp_path, kind):
    path = bomb(tmp_path / "captions.parquet", kind)
    assert path.stat().st_size < 200_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(
        ValueError, match=r"captions\.parquet unpacks to \d+ bytes or more; expected \d+ at most"
    ):
        open_captions(path, images=tmp_path, missing="skip")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * ALLOWED // 1024


def test_pictures_in_a_table_have_the_same_limits(tmp_path):
    pictures = repeated(b"y" * 200_000)
    path = tmp_path / "test.parquet"
    columns = {"caption": [f"{i}" for i in range(ROWS)], "image": pictures}
    pq.write_table(pa.table(columns), path, compression="zstd", store_schema=False, row_group_size=ROWS)
    table = PictureTable([path], ["caption"], ["image"])
    with pytest.raises(ValueError, match=r"test\.parquet unpacks to"):
        table.encoded(0, "image")


def test_limits_count_all_row_groups_of_a_table_together(tmp_path):
    path, groups = tmp_path / "test.parquet", 8
    captions, pictures = repeated("y" * 20_000, 100 * groups), repeated(b"y", 100 * groups)
    written = pa.table({"caption": captions, "image": pictures})
    pq.write_table(written, path, compression="zstd", store_schema=False, row_group_size=100)
    assert 100 * 20_000 < ALLOWED + 64 * path.stat().st_size < groups * 100 * 20_000
    with pytest.raises(ValueError, match=r"test\.parquet unpacks to"):
        PictureTable([path], ["caption"], ["image"])


def test_a_footer_that_lies_about_sizes_is_not_believed(tmp_path):
    path = bomb(tmp_path / "captions.parquet", "a page of one letter")
    with open_parquet(path) as opened:
        chunk = opened.metadata.row_group(0).column(1)
        told = chunk.total_uncompressed_size
    varint = lambda value: bytes([(value >> 7 * i) & 127 | 128 for i in range(3)] + [(value >> 21) & 127])
    content = path.read_bytes()
    footer = len(content) - 8 - struct.unpack("<I", content[-8:-4])[0]
    true, small = varint(2 * told), varint(2 * 100)
    assert content.count(true, footer)
    path.write_bytes(content[:footer] + content[footer:].replace(true, small))
    with open_parquet(path) as opened:
        assert opened.metadata.row_group(0).column(1).total_uncompressed_size == 100
        assert max(page.unpacked for page in pages(path, chunks(path)[0][1])) > ALLOWED
    with pytest.raises(ValueError, match="unpacks to"):
        open_captions(path, images=tmp_path, missing="skip")


@pytest.mark.parametrize("options", [
    {}, {"compression": "none"}, {"compression": "zstd", "use_dictionary": False}, {"data_page_version": "2.0"},
    {"row_group_size": 7}, {"data_page_size": 100},
    {"use_dictionary": False, "column_encoding": {"caption": "DELTA_BYTE_ARRAY", "image": "PLAIN"}},
])  # fmt: skip
def test_an_ordinary_table_is_read_however_it_was_written(tmp_path, options):
    rows = [{"image": f"{i % 40}.jpg", "caption": f"caption {i % 90} é"} for i in range(3000)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet", **options)
    with open_parquet(tmp_path / "t.parquet") as opened:
        found = [
            row
            for _, batch in batches(opened, tmp_path / "t.parquet", ["image", "caption"])
            for row in batch.to_pylist()
        ]
    assert found == rows


@pytest.mark.parametrize("ending, text", [
    ("csv", "image,caption\na.jpg,{}\n"), ("tsv", "image\tcaption\na.jpg\t{}\n"),
])  # fmt: skip
def test_a_field_of_a_text_table_has_a_limit(tmp_path, ending, text):
    path = tmp_path / f"captions.{ending}"
    path.write_text(text.format("x" * 1_000_000))
    with pytest.raises(
        ValueError, match=r"captions\..sv is not a .*-separated UTF-8 table: field larger than"
    ):
        open_captions(path)


def test_a_sparse_file_of_gigabytes_is_refused_in_little_memory(tmp_path):
    for name in ("captions.parquet", "captions.csv"):
        path = tmp_path / name
        with path.open("wb") as file:
            file.write(b"PAR1" if name.endswith("parquet") else b"image,caption\n")
            file.truncate(4 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"captions\.parquet is not a readable Parquet file"):
        open_captions(tmp_path / "captions.parquet")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * ALLOWED // 1024


@pytest.mark.parametrize(
    "value", ["[" * 100_000 + "]" * 100_000, '{"a":' * 100_000, "9" * 5000, r'"\ud800"', "\\"]
)
def test_json_that_python_gives_up_on_is_refused_by_name(tmp_path, value):
    (tmp_path / "captions.jsonl").write_text(f'{{"image": "a.jpg", "caption": {value}}}\n')
    with pytest.raises(ValueError, match=r"captions\.jsonl, line 1"):
        open_captions(tmp_path / "captions.jsonl")


def test_pairs_of_surrogates_are_letters_and_halves_are_refused(tmp_path):
    path = tmp_path / "captions.json"
    path.write_text(json.dumps({"images": [{"filename": "a.jpg", "sentences": [{"raw": "a 🐶"}]}]}))
    assert "\\ud83d" in path.read_text()
    assert list(open_captions(path).captions) == ["a 🐶"]
    for half in (rb"\ud83d", b"\xed\xa0\xbd"):
        path.write_bytes(b'{"images": [{"filename": "a.jpg", "sentences": [{"raw": "a ' + half + b'"}]}]}')
        with pytest.raises(ValueError, match=r"captions\.json is not JSON.*(surrogates|continuation byte)"):
            open_captions(path)
