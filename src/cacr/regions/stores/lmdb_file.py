"""LMDB files, read within their bounds: a damaged one is refused in a sentence and cannot end the process.

    page 0, page 1    what was written last, and the one before: where the tree starts, how many keys it has
    branch page       pages further down, in the order of their keys
    leaf page         keys in their order, each with its value, or with the overflow pages that hold a large one

The C library maps the file and follows what stands there, so that a wrong number or a file that shrinks kills the
process. Here each number is checked against the file, bytes come by ``os.pread``, and no page is read twice on the way.

Source of the format: OpenLDAP's liblmdb, mdb.c (MDB_meta, MDB_page, MDB_node), data version 1.
"""

from __future__ import annotations

import os
import struct
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

MAGIC, VERSION = 0xBEEFC0DE, 1
HEAD = struct.Struct("<Q2xHHH")
"""Of a page: its number, kind, end of the pointers to its nodes, start of the nodes."""
OVERFLOW_HEAD = struct.Struct("<Q2xHI")
"""Of a large value: the first page's number, kind, number of pages."""
NODE = struct.Struct("<IHH")
"""Bytes of the value, flags, bytes of the key. In a branch the first two are a page number of 48 bits."""
META = struct.Struct("<II16xI48xHH24xQQQQ")
"""Magic, version; size of a page; flags, depth, keys, root of the main tree; last page, transaction."""
BRANCH, LEAF, OVERFLOW, METAS = 1, 2, 4, 8
KINDS = 0b1101111
"""Bits of a page's kind; the others are marks of a running writer."""
LARGE, NAMED = 1, 2
"""Flags of a node: its value lies on overflow pages; is a database of its own."""
NO_PAGE = 2**64 - 1
DEEPEST = 32
PAGE_SIZES = tuple(1 << n for n in range(9, 16))
SPARE_BYTES = 1 << 22
_SPARE = threading.local()
"""A thread's memory for large values: asking the system for fresh pages takes longer than the copy into them."""


class Meta(NamedTuple):
    """What a meta page says of the main database."""

    page_size: int
    flags: int
    depth: int
    entries: int
    root: int
    last_page: int
    transaction: int


class Entry(NamedTuple):
    """A key and where its value is: in the page, or on overflow pages, the first one's number in its stead."""

    key: bytes
    start: int
    """In the leaf page."""
    size: int
    """Bytes of the value."""
    pages: int
    """Overflow pages that it takes; 0 if it is in the leaf page."""


class LmdbFile:
    """The main database of an LMDB file, as it was when opened. Goes to other processes by fork or pickle.

    Args:
        path: The file, ``data.mdb``; no lock file is read or made, so nobody may write to it meanwhile.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: It is no LMDB of a 64-bit little-endian machine, is cut off, or keeps several values per key.
    """

    def __init__(self, path: Path):
        self.path = path
        self._descriptor: int | None = None
        self._known: tuple[int, Meta] | None = None
        self._open()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_descriptor": None}

    def places(self) -> Iterator[tuple[bytes, int]]:
        """The keys in their order, each with where its entry lies: `value` takes both.

        Raises:
            ValueError: A page, key or value is not where it should be; the file is cut off or damaged.
        """
        return ((entry.key, place) for place, _, entry in self._entries())

    def items(self, most: int) -> Iterator[tuple[bytes, memoryview]]:
        """The keys in their order, each with its value, as `value` gives it; for who wants all of them once."""
        return ((entry.key, self._value(page, entry, most)) for _, page, entry in self._entries())

    def value(self, key: bytes, place: int, most: int) -> memoryview:
        """The value of a key at its place, to be used at once: this thread's next value may be written over it.

        Args:
            key: A key.
            place: Where `places` found it.
            most: Bytes that are read at most.

        Raises:
            ValueError: It is larger, or no longer there.
        """
        page = self._bytes(place, self._page_size - place % self._page_size)
        entry = self._entry(page, 0)
        if entry.key != key:
            raise ValueError(
                f"{self.path} was changed since it was opened: {key[:80]!r} is gone; open it again"
            )
        return self._value(page, entry, most)

    def _value(self, page: bytes, entry: Entry, most: int) -> memoryview:
        key, start, size, pages = entry
        if size > most:
            raise ValueError(f"{self.path}: {key[:80]!r} has {size} bytes; at most {most} are read")
        if not pages:
            return memoryview(page)[start : start + size]
        number = int.from_bytes(page[start : start + 8], "little")
        view = _memory(OVERFLOW_HEAD.size + size)
        ends = os.preadv(self._open(), [view], number * self._page_size)
        if ends != len(view):
            raise self._cut_off(number * self._page_size + ends)
        own, kind, count = OVERFLOW_HEAD.unpack_from(view)
        if own != number or kind & KINDS != OVERFLOW or count < pages:
            raise self._damaged(f"page {number} does not hold the {size} bytes of {key[:80]!r}")
        return view[OVERFLOW_HEAD.size :]

    def _entries(self) -> Iterator[tuple[int, bytes, Entry]]:
        """All entries in the order of their keys: where each lies in the file, its page, and what it says."""
        meta, previous, found, used = self._meta, b"", 0, 2
        waiting = [(meta.root, 1)] if meta.root != NO_PAGE else []
        seen = set()
        while waiting:
            number, depth = waiting.pop()
            if number in seen:
                raise self._damaged(f"page {number} comes twice in its tree")
            seen.add(number)
            used += 1
            page, kind, nodes = self._nodes(number)
            if kind != (LEAF if depth == meta.depth else BRANCH):
                raise self._damaged(
                    f"page {number} is of kind {kind}, {depth} deep in a tree of {meta.depth}"
                )
            if kind == BRANCH:
                for at in reversed(nodes):
                    low, high, _ = NODE.unpack_from(page, at)
                    waiting.append((low | high << 32, depth + 1))
                continue
            start = number * meta.page_size
            for at in nodes:
                entry = self._entry(page, at)
                if entry.key <= previous:
                    raise self._damaged(f"key {entry.key[:80]!r} comes after {previous[:80]!r}, out of order")
                previous = entry.key
                used += entry.pages
                yield start + at, page, entry
            found += len(nodes)
            if found > meta.entries or used > self._pages:
                break
        if found != meta.entries or used > self._pages:
            raise self._damaged(
                f"it speaks of {meta.entries} keys on {self._pages} pages, and has {found} on {used} so far"
            )

    def _nodes(self, number: int) -> tuple[bytes, int, tuple[int, ...]]:
        """A page of the tree: its bytes, its kind, and where its nodes start."""
        size = self._page_size
        self._check_pages(number, 1)
        page = self._bytes(number * size, size)
        own, kind, lower, upper = HEAD.unpack_from(page)
        kind &= KINDS
        if own != number or kind not in (BRANCH, LEAF) or lower % 2 or not HEAD.size < lower <= upper <= size:
            raise self._damaged(f"page {number} is no page of keys")
        nodes = struct.unpack_from(f"<{(lower - HEAD.size) // 2}H", page, HEAD.size)
        if min(nodes) < upper or max(nodes) > size - NODE.size:
            raise self._damaged(f"page {number} points outside of itself")
        return page, kind, nodes

    def _entry(self, page: bytes, at: int) -> Entry:
        """What stands at a place in a leaf page."""
        size, flags, key_size = NODE.unpack_from(page, at)
        start = at + NODE.size + key_size
        key = page[at + NODE.size : start]
        pages = 0
        if flags > LARGE:
            what = "a database of its own" if flags & NAMED else f"no plain value (flags {flags})"
            raise ValueError(
                f"{self.path}: the value of {key[:80]!r} is {what}; expected one database with a value per key"
            )
        if start + (8 if flags else size) > len(page):
            raise self._damaged(f"the value of {key[:80]!r} does not fit into its page")
        if flags:
            pages = -(-(OVERFLOW_HEAD.size + size) // self._page_size)
            self._check_pages(int.from_bytes(page[start : start + 8], "little"), pages)
        return Entry(key, start, size, pages)

    def _check_pages(self, number: int, pages: int) -> None:
        if number < 2 or number + pages > self._pages:
            raise ValueError(
                f"{self.path} is cut off or damaged: it has {self._pages} pages of {self._page_size} bytes, and "
                f"needs {number} to {number + pages - 1}; copy it again"
            )

    def _bytes(self, start: int, count: int) -> bytes:
        data = os.pread(self._open(), count, start)
        if len(data) != count:
            raise self._cut_off(start + len(data))
        return data

    def _open(self) -> int:
        """This object's descriptor. A forked process shares it, as ``pread`` keeps no position."""
        if self._descriptor is not None:
            return self._descriptor
        if not self.path.exists():
            raise FileNotFoundError(f"no file {self.path}; expected an LMDB database")
        if not self.path.is_file():
            raise ValueError(f"{self.path} is no file; expected an LMDB database")
        descriptor = os.open(self.path, os.O_RDONLY)
        weakref.finalize(self, os.close, descriptor)
        now = os.fstat(descriptor).st_size, _meta_of(descriptor, self.path)
        if self._known is not None and self._known != now:
            raise ValueError(f"{self.path} was changed since it was opened; open it again")
        self._known, self._descriptor = now, descriptor
        size, self._meta = now
        self._page_size = self._meta.page_size
        self._pages = min(size // self._page_size, self._meta.last_page + 1)
        return descriptor

    def _cut_off(self, end: int) -> ValueError:
        return ValueError(f"{self.path} is cut off at byte {end}; copy it again")

    def _damaged(self, what: str) -> ValueError:
        return ValueError(f"{self.path} is damaged: {what}; copy it again")


def _memory(size: int) -> memoryview:
    """Writable memory of this thread; the same one each time, unless more is needed."""
    spare = getattr(_SPARE, "memory", b"")
    if size > len(spare):
        spare = bytearray(size)
        if size <= SPARE_BYTES:
            _SPARE.memory = spare
    return memoryview(spare)[:size]


def _meta_of(descriptor: int, path: Path) -> Meta:
    """What was written last. Both meta pages have to be whole, as the C library wants it too."""
    first = os.pread(descriptor, HEAD.size + META.size, 0)
    page_size = int.from_bytes(first[40:44], "little")
    magic = MAGIC.to_bytes(4, "little")
    if first[12:16] == magic or first[12:16] == magic[::-1] or first[16:20] == magic[::-1]:
        raise ValueError(
            f"{path} is not an LMDB of a 64-bit little-endian machine; mdb_dump it there, mdb_load it here"
        )
    if first[16:20] != magic or page_size not in PAGE_SIZES:
        raise ValueError(f"{path} is not an LMDB database, or is cut off; copy it again")
    metas = []
    for number, page in enumerate((first, os.pread(descriptor, len(first), page_size))):
        if len(page) < HEAD.size + META.size:
            raise ValueError(f"{path} is cut off within its first two pages; copy it again")
        mark, version, *fields = META.unpack_from(page, HEAD.size)
        meta = Meta(*fields)
        if mark != MAGIC or HEAD.unpack_from(page)[1] & KINDS != METAS or meta.page_size != page_size:
            raise ValueError(
                f"{path} is damaged: its page {number} is none that an LMDB starts with; copy it again"
            )
        if version != VERSION:
            raise ValueError(f"{path} is an LMDB of data version {version}; expected {VERSION}")
        metas.append(meta)
    meta = max(metas, key=lambda one: one.transaction)
    if meta.flags:
        raise ValueError(
            f"{path} keeps several values per key, or keys in an order of their own (flags {meta.flags}); expected one "
            "value per key, keys ordered by their bytes"
        )
    if meta.depth > DEEPEST or (meta.root == NO_PAGE) != (meta.depth == 0):
        raise ValueError(
            f"{path} is damaged: its tree is {meta.depth} deep from page {meta.root}; copy it again"
        )
    return meta
