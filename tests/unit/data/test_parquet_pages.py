"""Heads of Parquet pages are read field by field; what is no head or no footer is refused by name."""

import struct

import pytest

from cacr.data.parquet import _longest
from cacr.data.parquet_pages import Chunk, Page, chunks, pages

SIZES = b"\x15\x00\x15\xc8\x01\x15\x00"
"""Fields 1 to 3: a page of data, of 100 bytes unpacked and none packed."""
DATA = b"\x2c\x15\x0e\x15\x00\x00"
"""Field 5: seven values, plain."""


def found(path, content):
    path.write_bytes(content)
    return list(pages(path, Chunk(True, 0, len(content))))


@pytest.mark.parametrize(
    "more",
    [
        b"",
        b"\x41",
        b"\x43\x07",
        b"\x47" + struct.pack("<d", 1.5),
        b"\x48\x03abc",
        b"\x49\x23\x07\x08",
        b"\x49\x17" + bytes(8),
        b"\x03\x12\x07",
    ],
    ids=["nothing", "true", "byte", "double", "text", "list of bytes", "list of doubles", "far field"],
)
def test_a_head_says_the_same_whatever_other_fields_it_has(tmp_path, more):
    (page,) = found(tmp_path / "t.parquet", SIZES + DATA + more + b"\x00")
    assert page == Page(100, 7, repeats=False, builds_on_the_last=False)


@pytest.mark.parametrize(
    "head",
    [
        b"\x1d\x00",
        SIZES,
        SIZES + DATA,
        b"\x1c" * 40 + bytes(60),
        b"\x18\xff\xff\xff\x7f",
        b"\x15" + b"\xff" * 12,
    ],
)
def test_what_is_no_head_of_a_page_is_refused_by_its_place(tmp_path, head):
    with pytest.raises(ValueError, match=r"t\.parquet: no head of a page at byte 0; copy it again"):
        found(tmp_path / "t.parquet", head)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PAR1",
        bytes(4) + b"\xff\xff\xff\x7fPAR1",
        b"\x1d\x00\x02\x00\x00\x00PAR1",
        b"\x45\x02\x00\x03\x00\x00\x00PAR1",
    ],
    ids=["nothing", "too short", "longer than the file", "no field", "groups that are a number"],
)
def test_what_is_no_footer_is_refused_by_name(tmp_path, content):
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"t\.parquet has a footer that is not one of Parquet; copy it again"
    ):
        chunks(tmp_path / "t.parquet")


def test_a_word_is_taken_to_be_all_of_the_dictionary_where_the_first_rows_do_not_use_it():
    """To read one row would show none of its words."""
    words, plain, numbers = (
        Page(size, 9, own, False) for size, own in ((5000, False), (80, False), (20, True))
    )
    assert _longest(None, 0, "caption", [words, plain, numbers]) == 5000
