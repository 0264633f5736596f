"""UNITER's caption databases are read as its own scripts wrote them, and never trusted."""

import json
import os
import shutil

import pytest

from cacr.data import open_captions
from cacr.data.uniter_text import LIMIT, read_uniter_text

lmdb, lz4, msgpack = (pytest.importorskip(name) for name in ("lmdb", "lz4.frame", "msgpack"))


@pytest.fixture
def text_db(data, tmp_path):
    return shutil.copytree(data / "text_db", tmp_path / "text_db")


def made(folder, records, names=None):
    """A database of one's own: values that are dicts are packed as UNITER does."""
    folder.mkdir()
    with (
        lmdb.open(str(folder), map_size=1 << 22) as environment,
        environment.begin(write=True) as transaction,
    ):
        for key, value in records.items():
            value = lz4.compress(msgpack.packb(value)) if not isinstance(value, bytes) else value
            transaction.put(key.encode(), value)
    (folder / "txt2img.json").write_text(json.dumps(names or dict.fromkeys(records, "a.npz")))
    return folder


def test_captions_are_those_that_were_stored(text_db):
    pairs = open_captions(text_db)
    expected = json.loads((text_db / "expected_text.json").read_text())
    assert sorted(pairs.captions) == sorted(record["raw"] for record in expected.values())
    assert list(pairs.image_ids) == ["coco_val2014_000000058350.npz", "coco_val2014_000000124629.npz"]
    assert list(pairs.image_of_caption) == [0, 0, 1, 1]


def test_nothing_is_written_into_the_folder(text_db):
    before = sorted(text_db.iterdir())
    open_captions(text_db)
    assert sorted(text_db.iterdir()) == before


def test_token_ids_become_text_where_no_text_was_kept(tmp_path):
    folder = made(tmp_path / "db", {"1": {"input_ids": [5, 6], "img_fname": "a.npz"}})
    assert read_uniter_text(folder, decode=lambda ids: f"words {ids}")[0].captions == ["words [5, 6]"]
    with pytest.raises(
        ValueError, match="caption 1 keeps no text but input_ids, img_fname; use the captions"
    ):
        open_captions(folder)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"no lz4 frame", "not an lz4 frame of msgpack"),
        (lz4.compress(b"\xc1"), "not an lz4 frame of msgpack"),
        (lz4.compress(msgpack.packb({"raw": "x"}))[:-6], "cut off, or unpacks to more than"),
        (lz4.compress(b"\0" * (LIMIT + 1)), "unpacks to 262,145 bytes; at most 262,144 are"),
        (
            lz4.compress(b"\0" * (LIMIT + 1), store_size=False),
            "cut off, or unpacks to more than 262,144 bytes",
        ),
        (lz4.compress(msgpack.packb([0] * 5_000)), "5000 exceeds max_array_len"),
        (lz4.compress(b"\xdd\xff\xff\xff\xff"), "exceeds max_array_len"),
        (lz4.compress(b"\x91" * 5_000), "not an lz4 frame of msgpack"),
        (["raw"], "no map of fields"),
        ({"raw": 7}, "has no captions for a.npz"),
        ({"raw": "x", "img_fname": "b.npz"}, "is of 'b.npz', and txt2img.json says a.npz"),
    ],
)
def test_a_broken_record_is_named_by_its_caption(tmp_path, value, message):
    folder = made(tmp_path / "db", {"1": value})
    with pytest.raises(ValueError, match=rf"db, caption 1 .*{message}"):
        open_captions(folder)


def test_a_caption_that_the_database_lacks_is_named(tmp_path):
    folder = made(tmp_path / "db", {"1": {"raw": "x"}}, {"2": "a.npz"})
    with pytest.raises(ValueError, match=r"caption 2 is in txt2img\.json and not in the database"):
        open_captions(folder)


@pytest.mark.parametrize("names", [[], {}, {"1": ["a.npz", "b.npz"]}])
def test_a_database_of_two_pictures_a_caption_is_refused(text_db, names):
    (text_db / "txt2img.json").write_text(json.dumps(names))
    with pytest.raises(ValueError, match=r"txt2img\.json is no map of captions to one picture each"):
        open_captions(text_db)


@pytest.mark.parametrize("size", [0, 100, 4096, 8192, 12_000])
def test_a_database_that_is_cut_off_is_refused_before_it_is_mapped(text_db, size):
    os.truncate(text_db / "data.mdb", size)
    with pytest.raises(ValueError, match=r"data\.mdb is (cut off|not an LMDB)"):
        open_captions(text_db)


def test_a_database_that_is_no_lmdb_is_named(text_db):
    (text_db / "data.mdb").write_bytes(b"SQLite format 3\0" * 1000)
    with pytest.raises(ValueError, match=r"data\.mdb is not an LMDB"):
        open_captions(text_db)
