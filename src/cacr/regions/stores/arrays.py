"""Arrays out of files of strangers: sizes are checked before anything is allocated, nothing is unpickled."""

from __future__ import annotations

import base64
import io
import math
import re
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

import numpy as np

MAX_BYTES = 256 * 2**20
"""Bytes that one picture may need: 36 regions of 2048 numbers need 0.3 MB."""
NUMBERS = "fiub"
"""Kinds of NumPy dtypes that are plain numbers."""
MEANS = {"x": "features", "bbox": "boxes"}
"""Names in npz files that say little."""

STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
"""A string of JSON."""


def structure(text: str) -> int:
    """Characters of JSON outside of its strings: what needs many times their memory when it is read.

    Examples:
        >>> structure('{"a": "a long text", "b": 1}')
        9
    """
    return len(text) - sum(string.end() - string.start() for string in STRING.finditer(text))


def array_of(data: bytes | memoryview, dtype: np.dtype[Any], shape: Sequence[int], what: str) -> np.ndarray:
    """The array that bytes in C order stand for.

    Raises:
        ValueError: The dtype is no plain number, or the shape does not need exactly these bytes.
    """
    if dtype.kind not in NUMBERS or dtype.hasobject:
        raise ValueError(f"it holds {dtype} {what}; expected plain numbers (objects are never unpickled)")
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape):
        raise ValueError(f"{what} has shape {list(shape)!r}; expected whole numbers")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(
            f"{what} of shape {list(shape)} and type {dtype} needs {math.prod(shape) * dtype.itemsize} bytes but "
            f"has {len(data)}; the file is broken, copy or make it again"
        )
    return np.frombuffer(data, dtype).reshape(tuple(shape))


def from_base64(text: bytes | str, dtype: str, rows: int, what: str) -> np.ndarray:
    """Little-endian numbers in base64 as an array [rows, anything].

    Raises:
        ValueError: It is not base64, or its length is no multiple of the rows.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError(
            f"{what} is not base64 ({error}); the line is broken, copy the file again"
        ) from error
    one = np.dtype(dtype).itemsize * rows
    if not data or len(data) % one:
        raise ValueError(
            f"{what} has {len(data)} bytes; expected a multiple of {one} for {rows} regions of {dtype}"
        )
    return np.frombuffer(data, dtype).reshape(rows, -1)


class _Archive(io.BufferedReader):
    """A file that gives a megabyte at a time until its directory was read: each member needs memory of its own."""

    def __init__(self, path: Path):
        super().__init__(io.FileIO(path))
        self.most = 1 << 20

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self.most:
            raise BadZipFile(f"its directory has {size} bytes; no picture has so many arrays")
        return super().read(size)


def read_npz(file: Path | BinaryIO, wanted: Collection[str]) -> dict[str, np.ndarray]:
    """The wanted arrays of an npz file, as far as they are there. Others are not even unpacked.

    Raises:
        ValueError: It is no npz file, an array is no array of plain numbers, or all of them need over `MAX_BYTES`.
    """
    arrays: dict[str, np.ndarray] = {}
    left = MAX_BYTES
    try:
        with _Archive(file) if isinstance(file, Path) else file as archive, ZipFile(archive) as members:
            if isinstance(archive, _Archive):
                archive.most = MAX_BYTES
            for member in members.infolist():
                name = member.filename.removesuffix(".npy")
                if name not in wanted or name in arrays:
                    continue
                left -= member.file_size
                if left < 0:
                    raise ValueError(
                        f"its arrays need more than {MAX_BYTES >> 20} MB when unpacked; no picture has so many regions"
                    )
                if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                    raise ValueError(
                        f"array {name} is compressed by method {member.compress_type}; expected deflate"
                    )
                with members.open(member) as opened:
                    data = opened.read(member.file_size + 1)
                if len(data) != member.file_size:
                    raise ValueError(f"array {name} has {len(data)} bytes; expected {member.file_size}")
                arrays[name] = _npy(data, name)
    except (BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError) as error:
        # RuntimeError: an encrypted member
        raise ValueError(f"it is not a readable npz file ({error}); copy or make it again") from error
    return arrays


def _npy(data: bytes, name: str) -> np.ndarray:
    """An array from the bytes of a .npy file. NumPy's own reader allocates what the header claims."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = read[version](stream)
    except (ValueError, TypeError, KeyError, SyntaxError, TokenError, MemoryError, RecursionError) as error:
        raise ValueError(f"array {name} has a broken header ({error})") from error
    array = array_of(
        memoryview(data)[stream.tell() :], dtype, shape[::-1] if fortran else shape, MEANS.get(name, name)
    )
    return array.T if fortran else array
