"""What is in data, as short hashes that travel: the same on another disk, under another path, at another time.

Small files are hashed whole. A store of features of a GiB or more is hashed by its index (the name and the size of
every file), the first MiB of its first 64 files (where formats keep their lists of pictures) and 1,024 blocks of 64 KiB
spread evenly over all its bytes. A store that was made anew, of other pictures or by another detector, has other
bytes nearly everywhere and is found out; a change of a few pictures' numbers in place, with every size as before, is
found only where it meets a block. ``of`` says which of the two was done.

`cacr.benchmarks.records.stores_of` asks less, whether a store is the one of a minute ago: size and time of change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cacr.data.pairs import CaptionSet

WHOLE = 2**30
"""Bytes below which everything is hashed."""
BLOCKS, BLOCK, HEAD, HEADS = 1024, 2**16, 2**20, 64
PICTURES = 16
"""Pictures whose regions are hashed as they are read."""
DIGITS = 16


def contents_of(path: Path, inside: bool = True) -> dict[str, Any] | None:
    """Hash and size of a file, or of all files in a folder; None where nothing is.

    Args:
        path: The file or folder. Hidden files and locks do not count.
        inside: Whether folders in the folder count too.

    Returns:
        ``hash``, ``bytes``, and ``of``: what was hashed.
    """
    if not path.exists():
        return None
    files = [path]
    if path.is_dir():
        found = path.rglob("*") if inside else path.glob("*")
        files = sorted(f for f in found if f.is_file() and f.name[0] != "." and f.name != "lock.mdb")
    return contents_of_files(files, path)


def contents_of_files(files: Iterable[Path], home: Path) -> dict[str, Any]:
    """Hash and size of files; names count as they are inside ``home``, and that of ``home`` itself does not."""
    sizes = {file: file.stat().st_size for file in files}
    total = sum(sizes.values())
    digest = hashlib.sha256()
    for file, size in sizes.items():
        digest.update(f"{file.relative_to(home).as_posix()} {size}\0".encode())
    pieces = _all(sizes) if total < WHOLE else _some(sizes, total)
    for piece in pieces:
        digest.update(piece)
    blocks = f"names, sizes, beginnings and {BLOCKS:,} blocks of {BLOCK // 1024} KiB"
    return {
        "hash": digest.hexdigest()[:DIGITS],
        "bytes": total,
        "of": "all bytes" if total < WHOLE else blocks,
    }


def contents_of_captions(pairs: CaptionSet) -> dict[str, Any]:
    """Hashes of captioned pictures as they are read: all captions with their pictures, and some pictures' regions.

    Returns:
        ``captions``: a hash of every caption, its picture's place and name; ``regions``: of the features and boxes of
        16 pictures spread over all, None where they have none.
    """
    digest = hashlib.sha256()
    for image_id in pairs.image_ids:
        digest.update(str(image_id).encode() + b"\0")
    for caption, image in zip(pairs.captions, pairs.image_of_caption, strict=True):
        digest.update(f"{image} {caption}\0".encode())
    return {"captions": digest.hexdigest()[:DIGITS], "regions": _regions(pairs)}


def _regions(pairs: CaptionSet) -> str | None:
    digest = hashlib.sha256()
    last = len(pairs.image_ids) - 1
    for place in sorted({round(i * last / (PICTURES - 1)) for i in range(PICTURES)}):
        picture = pairs.picture(place)
        if picture.read_regions is None:
            return None
        regions = picture.regions
        for values in (regions.features, regions.boxes01):
            array = np.ascontiguousarray(values.detach().cpu().float().numpy())
            digest.update(str(array.shape).encode() + array.tobytes())
    return digest.hexdigest()[:DIGITS]


def _all(sizes: dict[Path, int]) -> Iterator[bytes]:
    for file in sizes:
        with file.open("rb") as stream:
            while some := stream.read(2**20):
                yield some


def _some(sizes: dict[Path, int], total: int) -> Iterator[bytes]:
    for file in list(sizes)[:HEADS]:
        with file.open("rb") as stream:
            yield stream.read(HEAD)
    starts = np.linspace(0, max(0, total - BLOCK), BLOCKS).astype(np.int64)
    ends = np.cumsum(list(sizes.values()))
    names = list(sizes)
    for number, of_file in enumerate(np.searchsorted(ends, starts, side="right").tolist()):
        file = names[of_file]
        with file.open("rb") as stream:
            stream.seek(int(starts[number]) - int(ends[of_file] - sizes[file]))
            yield stream.read(BLOCK)
