"""The heads of the pages of a Parquet file: how much each unpacks to, read before anything is unpacked.

The footer says this too, and may lie; what pyarrow goes by are the heads. A head is a struct of Thrift's compact
protocol: the kind of the page, its bytes unpacked and packed, and a struct with the number of its values and their
encoding.

Source: github.com/apache/parquet-format, parquet.thrift (PageHeader); github.com/apache/thrift,
doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

LONGEST = 1 << 20
"""Bytes of a head, at most; it may hold the least and the greatest value of its page."""
DEEPEST = 8
"""Structs in structs."""
DATA, DICTIONARY, DATA_V2 = 5, 7, 8
"""Fields of a head that hold the struct of its kind."""
BYTE_ARRAY = 6
VALUES = 1
ENCODING = {DATA: 2, DICTIONARY: 2, DATA_V2: 4}
REPEATS, BUILDS_ON_THE_LAST = (2, 8), 7
"""The encodings PLAIN_DICTIONARY and RLE_DICTIONARY: numbers of values in the dictionary; and DELTA_BYTE_ARRAY: a value
is some of the beginning of the one before, and an end."""


@dataclass(frozen=True)
class Page:
    """What the head of a page says."""

    unpacked: int
    """Bytes."""
    values: int
    repeats: bool
    """Whether its values are those of a dictionary, which comes before, by their numbers."""
    builds_on_the_last: bool
    """Whether a value may begin as the one before."""


@dataclass(frozen=True)
class Chunk:
    """A column of a row group."""

    bytes_of_any_length: bool
    """Whether its values are texts and the like, not numbers."""
    start: int
    """Where its first page begins."""
    size: int
    """Bytes of its pages, packed."""


def chunks(file: Path) -> list[list[Chunk]]:
    """The columns of each row group, from the footer. (pyarrow's own way to them ends Python where they are broken.)

    Raises:
        ValueError: The footer is not one.
    """
    try:
        with file.open("rb") as stream:
            end = stream.seek(-8, 2)
            length = int.from_bytes(stream.read(4), "little")
            stream.seek(end - length)
            footer = _Head(stream, length).struct()
        groups = [[column[3] for column in group[1]] for group in footer.get(4, [])]
        found = []
        for group in groups:
            own = []
            for one in group:
                start = int(one[9]) if one.get(11, 0) <= 0 else min(one[9], one[11])
                own.append(Chunk(one[1] == BYTE_ARRAY, start, int(one[7])))
            found.append(own)
        return found
    except (IndexError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise ValueError(f"{file} has a footer that is not one of Parquet; copy it again") from error


def pages(file: Path, chunk: Chunk) -> Iterator[Page]:
    """The pages of a column in a row group.

    Args:
        file: The Parquet file.
        chunk: Where the column is.

    Raises:
        ValueError: A head is none, or pages reach over the end of the column.
    """
    start, end = chunk.start, chunk.start + chunk.size
    size = file.stat().st_size
    if not 0 <= start <= end <= size:
        raise ValueError(
            f"{file}: a column from byte {start} to {end} of {size}; it is cut off, copy it again"
        )
    first, known = True, False  # the dictionary, if there is one, is the first page
    with file.open("rb") as stream:
        while start < end:
            stream.seek(start)
            head = _Head(stream, min(end - start, LONGEST))
            try:
                found = head.struct()
            except (IndexError, RecursionError) as error:
                raise ValueError(f"{file}: no head of a page at byte {start}; copy it again") from error
            unpacked, packed = found.get(2, 0), found.get(3, 0)
            if not all(isinstance(one, int) and one >= 0 for one in (unpacked, packed)):
                raise ValueError(f"{file}: the page at byte {start} has no size; copy it again")
            kind = next((kind for kind in ENCODING if isinstance(found.get(kind), dict)), None)
            own = {} if kind is None else found[kind]
            encoding = own.get(ENCODING[kind]) if kind in (DATA, DATA_V2) else None
            if (encoding in REPEATS and not known) or (kind == DICTIONARY and not first):
                raise ValueError(
                    f"{file}: the page at byte {start} has no dictionary before it; copy it again"
                )
            known, first = known or kind == DICTIONARY, False
            values = own.get(VALUES, 0)
            yield Page(
                unpacked,
                max(0, values) if isinstance(values, int) else 0,
                encoding in REPEATS,
                encoding == BUILDS_ON_THE_LAST,
            )
            start += head.at + packed


class _Head:
    """Reads a struct of the compact protocol. What ends too early raises IndexError."""

    def __init__(self, stream: BinaryIO, most: int):
        self.stream, self.most, self.data, self.at = stream, most, b"", 0

    def byte(self) -> int:
        while self.at >= len(self.data):
            more = self.stream.read(min(self.most - len(self.data), max(64, len(self.data))))
            if not more:
                raise IndexError
            self.data += more
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise IndexError

    def number(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Field -> its number or struct; other kinds are passed over. Of one that comes twice, the larger counts."""
        if depth > DEEPEST:
            raise IndexError
        found: dict[int, Any] = {}
        name = 0
        while head := self.byte():
            name = name + (head >> 4) if head >> 4 else self.number()
            value = self._value(head & 15, depth)
            before = found.get(name)
            found[name] = max(before, value) if isinstance(before, int) and isinstance(value, int) else value
        return found

    def _value(self, kind: int, depth: int, inside: bool = False) -> Any:
        if kind in (1, 2):  # of a field, true and false take no byte of their own
            return self.byte() if inside else None
        if kind == 3:
            self.byte()
        elif kind in (4, 5, 6):
            return self.number()
        elif kind == 7:
            self._skip(8)
        elif kind == 8:
            self._skip(self.varint())
        elif kind in (9, 10):
            head = self.byte()
            count = self.varint() if head >> 4 == 15 else head >> 4
            return [self._value(head & 15, depth + 1, inside=True) for _ in range(count)]
        elif kind == 12:
            return self.struct(depth + 1)
        else:
            raise IndexError
        return None

    def _skip(self, count: int) -> None:
        if count > self.most:
            raise IndexError
        self.at += count - 1
        self.byte()
