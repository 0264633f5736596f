"""Lines of a large text file by their first column: where each starts is kept in memory, the lines stay on disk."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path

from cacr.regions.stores.arrays import MAX_BYTES

MAX_ID = 4096
"""Bytes of an id; a longer first column is no id."""
SHORTEST, FEW = 64, 1 << 20
"""Bytes that lines have on average at least, in a file of more than a few bytes: each needs memory of its own."""
MAX_DIGITS = 32
"""Bytes of a line of an index; more digits than a file has bytes."""


class Lines:
    """Tab-separated columns of a line, by its first one.

    Args:
        path: The file; lines end in LF or CR LF.
        index: A file with the byte offset of each line, one a line; without it the file is gone through once.

    Raises:
        ValueError: The file is empty, the index does not fit it, a line is longer than `MAX_BYTES`, or two different
            lines have the same id.
    """

    def __init__(self, path: Path, index: Path | None = None):
        self.path = path
        with path.open("rb") as opened:
            if not os.fstat(opened.fileno()).st_size:
                raise ValueError(f"{path} is empty; expected a line per picture")
            with mmap(opened.fileno(), 0, access=ACCESS_READ) as text:
                self.spans = _spans(_indexed(index, text, path) if index else _found(text), text, path)
        """Id -> (first byte, bytes) of its line."""
        if not self.spans:
            raise ValueError(f"{path} holds no lines; expected one per picture")

    def columns(self, image_id: str) -> list[bytes]:
        """Columns of a line, without its end."""
        start, length = self.spans[image_id]
        with self.path.open("rb") as opened:
            opened.seek(start)
            return opened.read(length).rstrip(b"\r\n").split(b"\t")


def _found(text: mmap) -> Iterator[tuple[int, int]]:
    """(first byte, end) of every line; of one that is too long only its beginning is looked at."""
    start = 0
    while start < len(text):
        newline = text.find(b"\n", start, start + MAX_BYTES)
        end = newline + 1 if newline >= 0 else min(len(text), start + MAX_BYTES + 1)
        yield start, end
        start = end


def _indexed(index: Path, text: mmap, path: Path) -> Iterator[tuple[int, int]]:
    """The same by an index, each number of which must point behind the end of a line."""
    start = -1
    with index.open("rb") as opened:
        for line in iter(lambda: opened.readline(MAX_DIGITS), b""):
            try:
                point = int(line)
            except ValueError as error:
                raise ValueError(
                    f"{index} is no index of lines ({error}); remove it and it is not needed"
                ) from error
            fits = start < point < len(text) and text[point - 1] == ord("\n") if start >= 0 else point == 0
            if not fits:
                raise ValueError(
                    f"{index} does not point at the lines of {path}; remove it and it is not needed"
                )
            if start >= 0:
                yield start, point
            start = point
    if start < 0:
        raise ValueError(f"{index} does not point at the lines of {path}; remove it and it is not needed")
    yield start, len(text)


def _spans(ends: Iterable[tuple[int, int]], text: mmap, path: Path) -> dict[str, tuple[int, int]]:
    spans: dict[str, tuple[int, int]] = {}
    for number, (start, end) in enumerate(ends, start=1):
        if end - start > MAX_BYTES:
            raise ValueError(
                f"{path}, line {number} has more than {MAX_BYTES >> 20} MB; no picture has so many regions"
            )
        head = text[start : min(end, start + MAX_ID)]
        if not head.strip():
            continue
        first, tab, _ = head.partition(b"\t")
        try:
            image_id = first.decode()
        except UnicodeDecodeError:
            image_id = ""
        if not tab or not image_id:
            raise ValueError(
                f"{path}, line {number} does not start with an id and a tab; expected a TSV file"
            )
        known = spans.get(image_id)
        if known is None:
            spans[image_id] = (start, end - start)
            if len(spans) * SHORTEST > end + FEW:
                raise ValueError(
                    f"{path} has {number} lines in its first {end} bytes, too short to hold regions of pictures"
                )
        elif text[known[0] : sum(known)].rstrip() != text[start:end].rstrip():
            raise ValueError(
                f"{path}, line {number} is a second, different one of picture {image_id}; remove one"
            )
    return spans
