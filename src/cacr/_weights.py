"""Files of weights from anywhere, read without unpickling more than tensors and numbers."""

from __future__ import annotations

import mmap
import os
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors.torch import load_file

from cacr._messages import first_line

TIMES = 4
"""The tensors of a file may take so many times its bytes: the same one under two names is usual, a thousand is not."""
MAX_HEADER = 4 * 2**20
"""Bytes of a safetensors header: some 40,000 tensors. Of the library's own 100 MB many times as much would be made."""
LONGEST_NAME = 1000
"""Letters of the name of a class. The sentence in which torch refuses one is looked through by a regular expression
of its own, in time quadratic in these: 40,000 take 20 seconds."""
PICKLES = 5
"""What a torch file without a zip begins with: a mark, two versions, the object, the names of its storages."""
CURE = "It may be cut off, or hold more than tensors, which is never unpickled here; download it again"


def read_weights(path: Path) -> Any:
    """What a .safetensors or torch file holds.

    Raises:
        ValueError: It is broken, holds more than tensors and numbers, or unpacks to much more than its size.
    """
    try:
        if path.suffix == ".safetensors":
            _refuse_long_header(path)
            return load_file(path)
        _refuse_slow(path)
        loaded = torch.load(path, "cpu", weights_only=True)
        _refuse_swollen(loaded, path)
        return loaded
    except Exception as error:  # what torch raises on damaged files is of many kinds
        first = first_line(error)
        if isinstance(error, pickle.UnpicklingError):
            first = "no torch file of plain tensors"  # torch's own sentence advises to unpickle it
        raise ValueError(f"{path} cannot be read as a checkpoint ({first}). {CURE}") from error


def _refuse_long_header(path: Path) -> None:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER:
        raise ValueError(f"its header would have {length:,} bytes; expected at most {MAX_HEADER:,}")


def _refuse_slow(path: Path) -> None:
    """Refuse what takes memory or time while it is read: packed members of a zip, arrays of bytes, endless names.

    torch packs nothing, and no checkpoint holds a ``bytearray``; its reader would make one of any length.
    """
    with path.open("rb") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if content.find(b"bytearray") >= 0:
                raise ValueError("it makes arrays of bytes")
            zipped = content[:4] == b"PK\x03\x04"
        if not zipped:
            for _ in range(PICKLES):
                _refuse_long_names(file)
            return
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("it is a packed zip, which torch does not write")
        for member in members:
            if member.filename.endswith("data.pkl"):
                # not by zipfile, which checks sums that torch may leave out
                file.seek(member.header_offset + 26)
                name, extra = struct.unpack("<HH", file.read(4))
                file.seek(name + extra, os.SEEK_CUR)
                _refuse_long_names(file)


def _refuse_long_names(file: BinaryIO) -> None:
    """Of the pickle that begins here; what follows it is next."""
    for operation, given, _ in pickletools.genops(file):
        if operation.name == "GLOBAL" and len(str(given)) > LONGEST_NAME:
            raise ValueError(f"it names a class by more than {LONGEST_NAME:,} letters")


def _refuse_swollen(loaded: Any, path: Path) -> None:
    """Refuse tensors that show few stored numbers many times: copied, they would fill the memory."""
    left, seen, total = [loaded], set[int](), 0
    while left:
        value = left.pop()
        if isinstance(value, torch.Tensor):
            total += value.numel() * value.element_size()
        elif isinstance(value, Mapping | list | tuple | set) and id(value) not in seen:
            seen.add(id(value))
            left += value.values() if isinstance(value, Mapping) else value
    if total > TIMES * path.stat().st_size:
        raise ValueError(f"its tensors would take {total} bytes")
