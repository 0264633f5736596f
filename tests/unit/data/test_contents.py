"""Hashes of data: the same wherever the data lie, others where they are others, and cheap where they are large."""

import os
from dataclasses import replace

import numpy as np
import pytest

from cacr.data import contents
from cacr.data.contents import contents_of, contents_of_captions
from cacr.data.scenes import SceneCaptions


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.bin").write_bytes(np.random.default_rng(ord(name)).bytes(300_000))
    return folder


def test_a_copy_elsewhere_and_later_has_the_same_hash(store, tmp_path):
    before = contents_of(store)
    moved = store.rename(tmp_path / "moved")
    os.utime(moved / "a.bin", (0, 0))
    (moved / "lock.mdb").write_bytes(b"1")
    assert contents_of(moved) == before
    assert before["bytes"] == 600_000
    assert before["of"] == "all bytes"


@pytest.mark.parametrize("place", [0, 150_001, 299_999])
def test_one_byte_makes_another_hash(store, place):
    before = contents_of(store)
    content = bytearray((store / "b.bin").read_bytes())
    content[place] ^= 1
    (store / "b.bin").write_bytes(content)
    assert contents_of(store)["hash"] != before["hash"]


def test_another_name_makes_another_hash(store):
    before = contents_of(store)
    (store / "b.bin").rename(store / "c.bin")
    assert contents_of(store)["hash"] != before["hash"]


def test_nothing_has_no_hash(tmp_path):
    assert contents_of(tmp_path / "nothing") is None


def test_captions_without_regions_have_a_hash_of_their_own_alone():
    pairs = SceneCaptions(1, 3)
    seen = contents_of_captions(pairs)
    picture = pairs.picture
    pairs.picture = lambda image: replace(picture(image), read_regions=None)
    assert contents_of_captions(pairs) == {"captions": seen["captions"], "regions": None}
    assert seen["regions"] is not None


def test_large_stores_are_hashed_in_blocks_and_say_so(store, monkeypatch):
    whole = contents_of(store)
    monkeypatch.setattr(contents, "WHOLE", 500_000)
    monkeypatch.setattr(contents, "BLOCKS", 10)
    monkeypatch.setattr(contents, "BLOCK", 1024)
    monkeypatch.setattr(contents, "HEAD", 100)
    before = contents_of(store)
    assert "10 blocks of 1 KiB" in before["of"]
    assert before["hash"] != whole["hash"]
    (store / "b.bin").write_bytes(np.random.default_rng(9).bytes(300_000))
    anew = contents_of(store)
    assert anew["hash"] != before["hash"]
    with (store / "a.bin").open("ab") as file:
        file.write(b"1")
    assert contents_of(store)["hash"] != anew["hash"]


def test_the_last_bytes_of_a_large_store_count(store, monkeypatch):
    monkeypatch.setattr(contents, "WHOLE", 1)
    monkeypatch.setattr(contents, "BLOCK", 1024)
    before = contents_of(store)
    content = bytearray((store / "b.bin").read_bytes())
    content[-1] ^= 1
    (store / "b.bin").write_bytes(content)
    assert contents_of(store)["hash"] != before["hash"]


def test_captions_are_hashed_as_they_are_read():
    one, again, other = SceneCaptions(1, 20), SceneCaptions(1, 20), SceneCaptions(2, 20)
    assert contents_of_captions(one) == contents_of_captions(again)
    assert contents_of_captions(one)["captions"] != contents_of_captions(other)["captions"]
    assert contents_of_captions(one)["regions"] != contents_of_captions(other)["regions"]
    again.captions = [*again.captions[:-1], again.captions[-1] + "."]
    assert contents_of_captions(one)["captions"] != contents_of_captions(again)["captions"]
    assert contents_of_captions(one)["regions"] == contents_of_captions(again)["regions"]
