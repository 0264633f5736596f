"""Changes inside of files that wrap others: the wrapping stays right, so that what is inside is read at all."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from random import Random

PNG = b"\x89PNG\r\n\x1a\n"
LARGEST = 1 << 20
"""Bytes of a member of an archive that is changed."""
Change = Callable[[bytes], bytes]


def change_inside(rng: Random, data: bytes, change: Change, change_text: Change) -> bytes | None:
    """The file with one part of it changed, or None if it wraps nothing that is known here."""
    if data[:2] == b"PK":
        return _zip(rng, data, change)
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data) - 8:
        return _safetensors(rng, data, change, change_text)
    if data.startswith(PNG):
        return _png(rng, data, change)
    if data[:6] == b"\x93NUMPY":
        start = 10 + int.from_bytes(data[8:10], "little")
        header = change(data[10:start]) if rng.random() < 0.8 else data[10:start]
        return data[:8] + struct.pack("<H", len(header) & 0xFFFF) + header + data[start:]
    return None


def _zip(rng: Random, data: bytes, change: Change) -> bytes | None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            sizes = [info for info in archive.infolist() if info.file_size <= LARGEST]
            members = [(info.filename, archive.read(info)) for info in sizes]
    except Exception:  # it was broken before
        return None
    if not members:
        return None
    at = rng.randrange(len(members))
    name, content = members[at]
    kind = rng.random()
    if kind < 0.1:
        del members[at]
    elif kind < 0.2:
        members[at] = (rng.choice(members)[0], content)
    elif kind < 0.25:
        members.append((name, change(content)))
    else:
        inner = change_inside(rng, content, change, change) if rng.random() < 0.5 else None
        members[at] = (name, change(content) if inner is None else inner)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name or "x")
            info.compress_type = archive.compression
            archive.writestr(info, content)
    return written.getvalue()


def _safetensors(rng: Random, data: bytes, change: Change, change_text: Change) -> bytes:
    end = 8 + int.from_bytes(data[:8], "little")
    header, body = data[8:end], data[end:]
    if rng.random() < 0.8:
        header = change_text(header)
    else:
        body = change(body)
    return struct.pack("<Q", len(header)) + header + body


def _png(rng: Random, data: bytes, change: Change) -> bytes | None:
    chunks, at = [], len(PNG)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if length > len(data):
            return None
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    if not chunks:
        return None
    at = rng.randrange(len(chunks))
    name, content = chunks[at]
    kind = rng.random()
    if kind < 0.1:
        del chunks[at]
    elif kind < 0.2:
        chunks[at:at] = [rng.choice(chunks)]
    elif kind < 0.3:
        chunks[at] = (change(name)[:4].ljust(4, b"x"), content)
    else:
        chunks[at] = (name, change(content))
    packed = (struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks)
    return PNG + b"".join(packed)
