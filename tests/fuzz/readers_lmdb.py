"""The two readers of LMDB files: UNITER's region features and UNITER's caption databases.

Seeds are written by the ``lmdb`` package: values in a leaf page and on overflow pages, trees of one and two levels,
both forms of a picture's value, and a database that was written to several times, so that it has free pages.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import lmdb
import lz4.frame
import msgpack
import numpy as np

from cacr.data.uniter_text import read_uniter_text
from cacr.regions import open_features
from tests.fuzz.reader import Reader

CAPTIONS = [f"{i:03d}" for i in range(4)]


def database(*transactions: Mapping[bytes, bytes | None]) -> bytes:
    """The bytes of data.mdb after these transactions; None removes a key."""
    with tempfile.TemporaryDirectory() as folder:
        with lmdb.open(folder, map_size=1 << 22, lock=False, sync=False) as environment:
            for values in transactions:
                with environment.begin(write=True) as transaction:
                    for key, value in values.items():
                        transaction.delete(key) if value is None else transaction.put(key, value)
        return (Path(folder) / "data.mdb").read_bytes()


def arrays(regions: int, width: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    """What UNITER keeps of a picture."""
    draws = np.random.default_rng(seed)
    corners = np.sort(draws.random((regions, 2, 2)), 1).reshape(regions, 4)
    boxes = np.concatenate([corners, corners[:, 2:] - corners[:, :2]], 1)
    return {
        "norm_bb": boxes.astype(np.float16),
        "features": draws.random((regions, width)).astype(np.float16),
        "conf": draws.random((regions, 1)).astype(np.float16),
        "soft_labels": draws.random((regions, 5)).astype(np.float16),
    }


def packed(of: Mapping[str, np.ndarray]) -> bytes:
    """A value as msgpack-numpy packs it."""
    fields = {
        name: {b"nd": True, b"type": a.dtype.str, b"kind": b"", b"shape": list(a.shape), b"data": a.tobytes()}
        for name, a in of.items()
    }
    return msgpack.packb(fields, use_bin_type=True)


def npz(of: Mapping[str, np.ndarray]) -> bytes:
    """A value as a compressed npz file."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **of)
    return stream.getvalue()


def feature_seeds() -> tuple[bytes, ...]:
    """Small databases of pictures."""
    small, large = packed(arrays(2)), packed(arrays(12, 200))
    long_names = {b"%d" % i + b"n" * 490: small for i in range(9)}
    return (
        database({b"a.npz": small, b"b.npz": npz(arrays(3)), b"__keys__": b'["a.npz", "b.npz"]'}),
        database({b"a.npz": large, b"b.npz": small}),
        database(long_names),
        database(long_names, dict.fromkeys([*long_names][::2]), {b"a.npz": large}, {b"a.npz": small}),
    )


def text_seeds() -> tuple[bytes, ...]:
    """Small databases of the same captions."""

    def record(key: str, words: Sequence[str] = ("a", "dog", "runs")) -> bytes:
        fields = {"raw": " ".join(words), "input_ids": [7, 300, 70_000], "img_fname": "a.npz", "id": key}
        return lz4.frame.compress(msgpack.packb(fields))

    plain = {key.encode(): record(key) for key in CAPTIONS}
    others = {b"x%03d" % i + b"n" * 490: b"other" for i in range(24)}
    draws = np.random.default_rng(0)
    long = {key.encode(): record(key, draws.integers(0, 10**6, 900).astype(str)) for key in CAPTIONS[:2]}
    return (
        database(plain),
        database(plain | long),
        database(plain | others, dict.fromkeys([*others][::2]), long),
    )


def read_features(path: Path) -> float:
    """Every number of every picture."""
    store = open_features(path.parent)
    return sum(float(store[name].features.sum() + store[name].boxes01.sum()) for name in store)


def write_names(folder: Path) -> None:
    """The file that says which picture each caption is of."""
    (folder / "txt2img.json").write_text(json.dumps(dict.fromkeys(CAPTIONS, "a.npz")))


READERS = (
    Reader("UNITER's LMDB of features", "data.mdb", feature_seeds(), read_features),
    Reader(
        "UNITER's LMDB of captions",
        "data.mdb",
        text_seeds(),
        lambda path: [one.captions for one in read_uniter_text(path.parent)],
        around=write_names,
    ),
)
