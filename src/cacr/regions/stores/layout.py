"""The features file: which tensors it has, how they are mapped into memory, and how it is written as a stream.

    features  [all regions, feature]     boxes01  [all regions, 4]     offsets  [pictures + 1]     sizes  [pictures, 2]
    metadata: {"format": "cacr-regions-1", "image_ids": JSON list}

Picture i owns the rows offsets[i] to offsets[i + 1]. Its size is (width, height) in pixels, (0, 0) if unknown.
Further tensors with a row per region, all optional: extents01, object_ids, object_confidence, attribute_ids,
attribute_confidence, and object_name_ids, which count in the JSON list "object_names" of the metadata.

A safetensors file is the length of its header (8 bytes, little-endian), the header (JSON, padded by spaces), and the
bytes of the tensors.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import struct
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from cacr.regions.stores.arrays import structure

FORMAT = "cacr-regions-1"
NAME_IDS = "object_name_ids"
COLUMNS: dict[str, tuple[int, ...]] = {
    "boxes01": (4,),
    "extents01": (2,),
    "object_ids": (),
    "object_confidence": (),
    "attribute_ids": (),
    "attribute_confidence": (),
    NAME_IDS: (),
}
"""Shape of a region's row in each tensor; features are as wide as they are."""
WHOLE = ("object_ids", "attribute_ids", NAME_IDS, "offsets", "sizes")
"""Tensors of whole numbers."""
REQUIRED = ("features", "boxes01", "offsets", "sizes")
DTYPES = {
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
    "I64": torch.int64,
}
MAX_HEADER = 100_000_000
"""Bytes of a header that safetensors reads: about two million pictures."""
MAX_STRUCTURE = 1 << 16
"""Characters of a header that are not within strings: some hundred tensors, ours has eleven at most."""
LARGEST, MAX_DIMENSIONS = 1 << 48, 4
"""No length of a tensor and no place in a file is as large; no tensor of ours has more than two dimensions."""


@dataclass(frozen=True)
class Stream:
    """A tensor to write: its rows come in pieces, so that it never is in memory as a whole."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    pieces: Iterable[Tensor]


def map_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors of a safetensors file, mapped into memory, and its metadata. Copy rows before giving them away.

    Nothing is made of a header that is no list of tensors which fill the file one behind the other.

    Raises:
        ValueError: It is no whole safetensors file, or has a tensor of another type than `DTYPES`.
    """
    try:
        with path.open("rb") as file:
            header, start = _header(file)
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        metadata = header.pop("__metadata__", {})
        if not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("its metadata are no texts by name")
        tensors, end = {}, 0
        for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            if entry["dtype"] not in DTYPES:
                raise ValueError(f"tensor {name} has type {entry['dtype']}; expected {', '.join(DTYPES)}")
            dtype, shape, (begin, stop) = DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
            numbers = [*shape, begin, stop]
            if not all(type(n) is int and 0 <= n < LARGEST for n in numbers) or len(shape) > MAX_DIMENSIONS:
                raise ValueError(f"tensor {name} has shape {shape} at {begin} to {stop}")
            if begin != end or stop - begin != math.prod(shape) * dtype.itemsize:
                raise ValueError(
                    f"tensor {name} of shape {shape} starts at byte {begin} and ends at {stop}; expected {end} to "
                    f"{end + math.prod(shape) * dtype.itemsize}"
                )
            tensors[name], end = _mapped(data, dtype, shape, start + begin), stop
        if start + end != len(data):
            raise ValueError(f"its tensors end at byte {start + end} of {len(data)}")
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        said = error if isinstance(error, OSError | ValueError) else "its header is no list of tensors"
        raise ValueError(
            f"{path} is not a readable safetensors file ({said}); it may be cut off. Copy or make it again"
        ) from error
    return tensors, metadata


def _header(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, and where its tensors start."""
    length = int.from_bytes(file.read(8), "little")
    size = os.fstat(file.fileno()).st_size
    if size < 8 or length > min(MAX_HEADER, size - 8):
        raise ValueError(f"its header should have {length} bytes, the file has {size}")
    text = file.read(length)
    if structure(text.decode()) > MAX_STRUCTURE:
        raise ValueError("its header describes too many tensors")
    header = json.loads(text, object_pairs_hook=_once)
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    return header, 8 + length


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; two readers would take different ones of what is there twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("its header names something twice")
    return found


def _mapped(data: mmap.mmap, dtype: torch.dtype, shape: list[int], start: int) -> Tensor:
    if 0 in shape:
        return torch.empty(shape, dtype=dtype)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable")  # rows are copied before they leave
        return torch.frombuffer(data, dtype=dtype, count=math.prod(shape), offset=start).view(shape)


def write_tensors(path: Path, streams: Mapping[str, Stream], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file piece by piece and sync it to the disk. The file is written where it is said.

    Raises:
        ValueError: The header is larger than safetensors reads, or pieces do not add up to their shape.
    """
    names = {dtype: name for name, dtype in DTYPES.items()}
    # wide numbers first: every tensor starts at a multiple of its item size
    order = sorted(streams, key=lambda name: (-streams[name].dtype.itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    ends, end = {}, 0
    for name in order:
        stream = streams[name]
        start, end = end, end + torch.Size(stream.shape).numel() * stream.dtype.itemsize
        header[name] = {
            "dtype": names[stream.dtype],
            "shape": list(stream.shape),
            "data_offsets": [start, end],
        }
        ends[name] = end
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise ValueError(
            f"the names of the pictures need {len(text)} bytes; a safetensors file holds {MAX_HEADER}. Write several "
            "files into one folder, which opens as one store"
        )
    with path.open("wb", buffering=1 << 20) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        begin = file.tell()
        for name in order:
            for piece in streams[name].pieces:
                piece = piece.detach().to("cpu", streams[name].dtype).contiguous()
                file.write(piece.reshape(-1).view(torch.uint8).numpy().data)
            if file.tell() - begin != ends[name]:
                raise ValueError(f"{path}: the pieces of {name} do not add up to {streams[name].shape}")
        file.flush()
        os.fsync(file.fileno())
