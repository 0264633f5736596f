"""Lines of a large text file by their first column: where each starts is kept in memory, the lines stay on disk."""

from __future__ import annotations

import os
from itertools import pairwise
from mmap import ACCESS_READ, mmap
from pathlib import Path

from cacr.regions.stores.arrays import MAX_BYTES

MAX_ID = 4096
"""Bytes of an id; a longer first column is no id."""


class Lines:
    """Tab-separated columns of a line, by its first one.

    Args:
        path: The file; lines end in LF or CR LF.
        index: A file with the byte offset of each line, one a line; without it the file is gone through once.

    Raises:
        ValueError: The file is empty, the index does not fit it, or two different lines have the same id.
    """

    def __init__(self, path: Path, index: Path | None = None):
        self.path = path
        with path.open("rb") as opened:
            if not os.fstat(opened.fileno()).st_size:
                raise ValueError(f"{path} is empty; expected a line per picture")
            with mmap(opened.fileno(), 0, access=ACCESS_READ) as text:
                starts = _read_index(index, text, path) if index else _line_starts(text)
                self.spans = _spans(text, starts, path)
        """Id -> (first byte, bytes) of its line."""
        if not self.spans:
            raise ValueError(f"{path} holds no lines; expected one per picture")

    def columns(self, image_id: str) -> list[bytes]:
        """Columns of a line, without its end."""
        start, length = self.spans[image_id]
        if length > MAX_BYTES:
            raise ValueError(f"its line has {length} bytes; at most {MAX_BYTES} are read for a picture")
        with self.path.open("rb") as opened:
            opened.seek(start)
            return opened.read(length).rstrip(b"\r\n").split(b"\t")


def _line_starts(text: mmap) -> list[int]:
    starts, end = [0], text.find(b"\n")
    while 0 <= end < len(text) - 1:
        starts.append(end + 1)
        end = text.find(b"\n", end + 1)
    return starts


def _read_index(index: Path, text: mmap, path: Path) -> list[int]:
    try:
        starts = [int(line) for line in index.read_bytes().split()]
    except ValueError as error:
        raise ValueError(f"{index} is no index of lines ({error}); remove it and it is not needed") from error
    rising = all(a < b for a, b in pairwise(starts))
    if (
        not starts
        or starts[0] != 0
        or not rising
        or starts[-1] >= len(text)
        or any(text[start - 1] != ord("\n") for start in starts[1:])
    ):
        raise ValueError(f"{index} does not point at the lines of {path}; remove it and it is not needed")
    return starts


def _spans(text: mmap, starts: list[int], path: Path) -> dict[str, tuple[int, int]]:
    spans: dict[str, tuple[int, int]] = {}
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(text)], strict=True), start=1):
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
        elif text[known[0] : sum(known)].rstrip() != text[start:end].rstrip():
            raise ValueError(
                f"{path}, line {number} is a second, different one of picture {image_id}; remove one"
            )
    return spans
