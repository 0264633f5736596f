"""Reading a picture's regions from our features file, as ratios to reading the same bytes raw, and to LMDB.

100,000 synthetic pictures of 10 regions x 256 numbers in float16 (about 530 MB; the LMDB about 820 MB), the cache of
the system warm. Every side gives float32 features and boxes as tensors, at random or in order, in interleaved rounds.

    raw pread    os.pread of exactly these rows, torch.from_numpy, float: no checks, no class
    raw memmap   the same out of np.memmap
    LMDB, bare   a value of UNITER's plain layout with lmdb and msgpack: features and boxes, no checks, no class
    LMDB, ours   open_features of the same database
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from bench.measuring import Row, Setting, rounds, row
from cacr.regions import FeatureStore, Regions, open_features, write_features

PICTURES, REGIONS, WIDTH = 100_000, 10, 256
SAMPLE, ROUNDS = 5_000, 11


class Synthetic(Mapping[str, Regions]):
    """Pictures made when asked for, the same ones each time: slices of one block of random numbers."""

    def __init__(self, pictures: int):
        g = torch.Generator().manual_seed(0)
        self.pictures = pictures
        self.features = torch.rand(4096 + REGIONS, WIDTH, generator=g)
        self.boxes = (
            torch.rand(4096 + REGIONS, 2, 2, generator=g).sort(1).values.reshape(-1, 4).half().float()
        )

    def __getitem__(self, image_id: str) -> Regions:
        rows = slice(int(image_id[:-4]) % 4096, int(image_id[:-4]) % 4096 + REGIONS)
        return Regions(self.features[rows], self.boxes[rows])

    def __iter__(self) -> Iterator[str]:
        return (f"{i:012d}.npz" for i in range(self.pictures))

    def __len__(self) -> int:
        return self.pictures


def write_lmdb(folder: Path, pictures: Mapping[str, Regions]) -> None:
    """UNITER's plain layout, all float16."""
    import lmdb
    import msgpack

    def packed(array: np.ndarray) -> dict[bytes, object]:
        shape = list(array.shape)
        return {b"nd": True, b"type": "<f2", b"kind": b"", b"shape": shape, b"data": array.tobytes()}

    folder.mkdir()
    with lmdb.open(str(folder), map_size=1 << 34, lock=False, sync=False) as environment:
        ids = list(pictures)
        for start in range(0, len(ids), 1000):
            with environment.begin(write=True) as transaction:
                for image_id in ids[start : start + 1000]:
                    regions = pictures[image_id]
                    corners = regions.boxes01
                    boxes = torch.cat([corners, corners[:, 2:] - corners[:, :2]], 1).half().numpy()
                    value = {"norm_bb": packed(boxes), "features": packed(regions.features.half().numpy())}
                    transaction.put(image_id.encode(), msgpack.packb(value, use_bin_type=True))


def readers(file: Path, database: Path) -> dict[str, Callable[[str], object]]:
    """Functions that read one picture, by name; ours first."""
    import lmdb
    import msgpack

    ours, our_lmdb = open_features(file), open_features(database)
    assert isinstance(ours, FeatureStore)
    starts = tensor_starts(file)
    descriptor = os.open(file, os.O_RDONLY)
    features = np.memmap(file, "<f2", "r", starts["features"], (len(ours) * REGIONS, WIDTH))
    boxes = np.memmap(file, "<f4", "r", starts["boxes01"], (len(ours) * REGIONS, 4))
    row_bytes = {"features": 2 * WIDTH, "boxes01": 16}

    def pread(image_id: str) -> object:
        row = int(image_id[:-4]) * REGIONS
        out = []
        for name, dtype in (("features", np.float16), ("boxes01", np.float32)):
            one = row_bytes[name]
            data = bytearray(os.pread(descriptor, REGIONS * one, starts[name] + row * one))
            out.append(torch.from_numpy(np.frombuffer(data, dtype).reshape(REGIONS, -1)).float())
        return out

    def memmap(image_id: str) -> object:
        row = int(image_id[:-4]) * REGIONS
        rows = slice(row, row + REGIONS)
        return torch.from_numpy(np.array(features[rows])).float(), torch.from_numpy(np.array(boxes[rows]))

    copy = shutil.copytree(database, database.with_name("bare"))  # lmdb opens a file once per process
    environment = lmdb.open(str(copy), readonly=True, lock=False, readahead=False)

    def bare(image_id: str) -> object:
        with environment.begin(buffers=True) as transaction:
            value = msgpack.unpackb(transaction.get(image_id.encode()), strict_map_key=False)
        return [
            torch.from_numpy(
                np.frombuffer(bytearray(value[name][b"data"]), "<f2").reshape(value[name][b"shape"])
            ).float()
            for name in ("features", "norm_bb")
        ]

    return {
        "ours": ours.__getitem__,
        "raw pread": pread,
        "raw memmap": memmap,
        "LMDB, bare": bare,
        "LMDB, ours": our_lmdb.__getitem__,
    }


def tensor_starts(file: Path) -> dict[str, int]:
    """First byte of each tensor in a safetensors file."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(length))
    return {
        name: 8 + length + entry["data_offsets"][0]
        for name, entry in header.items()
        if name != "__metadata__"
    }


def measure(pictures: int, sample: int, repetitions: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of each reader in each round, by order: ``sample`` pictures, the same for all readers."""
    made = Synthetic(pictures)
    ids, draws = list(made), random.Random(0)
    orders = {
        "random": partial(draws.sample, ids, min(sample, pictures)),
        "in order": lambda: ids[(first := draws.randrange(max(1, pictures - sample))) : first + sample],
    }
    with tempfile.TemporaryDirectory() as folder:
        file, database = Path(folder) / "features.safetensors", Path(folder) / "feat_numbb10"
        write_features(file, made, dtype=torch.float16)
        write_lmdb(database, made)
        of = readers(file, database)
        found = {}
        for order, draw in orders.items():
            drawn = [draw() for _ in range(repetitions + 1)]  # the first round warms
            found[order] = rounds({name: _reading(read, drawn) for name, read in of.items()}, repetitions)
    return found


def _reading(read: Callable[[str], object], drawn: Sequence[Sequence[str]]) -> Callable[[], object]:
    """A job that reads the next drawn pictures."""
    turns = iter(drawn)
    return lambda: [read(image_id) for image_id in next(turns)] and None


def reading(setting: Setting) -> Iterator[Row | str]:
    """Reading a picture's regions from our features file.

    Time of another reader / of ours: below 1, ours is slower. 10 regions x 256 numbers in float16 of synthetic
    pictures, the cache of the system warm, float32 features and boxes as tensors out of every reader. Ours checks what
    it reads and gives `Regions`. The same bytes raw, by `os.pread` or out of `np.memmap`, and a bare UNITER database
    (lmdb and msgpack) check nothing and give tensors; "LMDB, ours" is `open_features` of that database.
    `python -m bench.features` does it with ten times as many pictures.
    """
    if setting.device != "cpu":
        return
    try:
        import lmdb  # noqa: F401
        import msgpack  # noqa: F401
    except ImportError:
        yield "reading features needs lmdb and msgpack: pip install lmdb msgpack"
        return
    yield from rows(*((300, 20, 2) if setting.quick else (PICTURES // 10, SAMPLE, ROUNDS)))


def rows(pictures: int = PICTURES, sample: int = SAMPLE, repetitions: int = ROUNDS) -> Iterator[Row]:
    """Each other reader / ours, in both orders."""
    for order, spent in measure(pictures, sample, repetitions).items():
        each = 1e6 * statistics.median(spent["ours"]) / min(sample, pictures)
        for name in [name for name in spent if name != "ours"]:
            yield row(
                f"{name}, {order}",
                f"{name} / ours",
                spent[name],
                spent["ours"],
                size=f"{sample:,} of {pictures:,} pictures, {order}",
                note=f"ours {each:.0f} microseconds a picture",
            )


if __name__ == "__main__":
    for one in rows():
        print(f"{one.minimum:8.3f} {one.median:8.3f}  {one.divides}, {one.size}; {one.note}", flush=True)
