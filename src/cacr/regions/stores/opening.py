"""Which kind of store a path is, by what is in it."""

from __future__ import annotations

import os
from pathlib import Path

from cacr._hub import here
from cacr.regions.stores.arrays import MAX_BYTES
from cacr.regions.stores.file import FeatureStore
from cacr.regions.stores.npz import NpzFolder
from cacr.regions.stores.settings import DATA, Setting, choose_folder
from cacr.regions.stores.shards import ShardedStore, files_in
from cacr.regions.stores.store import Store
from cacr.regions.stores.tsv import LAYOUTS, TsvStore
from cacr.regions.stores.uniter_lmdb import LmdbStore
from cacr.regions.stores.vinvl import FEATURES, VinvlStore

KINDS = (
    "a features file (.safetensors) or a folder of them, a folder of .npz, UNITER's LMDB (a folder with data.mdb), a "
    ".tsv of bottom-up attention, LXMERT or VinVL"
)
START = 1 << 16


def open_features(
    path: str | os.PathLike[str],
    *,
    threshold: float | None = None,
    max_regions: int | None = None,
    min_regions: int | None = None,
    compressed: bool | None = None,
) -> Store:
    """Open region features of any kind: ``open_features(path)[image_id]`` are a picture's `Regions`.

    Kinds: a features file made by `write_features` or `cacr features`, or a folder of such files; a folder of ``.npz``;
    UNITER's or IAIS's LMDB; TSV files of bottom-up attention, LXMERT and VinVL. Nothing is written there.

    Args:
        path: The file or folder, or `hf://datasets/OWNER/NAME[@REVISION][/PATH]` on the hub. For an LMDB the folder
            with ``data.mdb``, or the one above if one setting fits.
        threshold: Regions of a higher confidence count, 0-1; 0.2 if only others of these options are given. These
            four choose a setting of an LMDB; in npz files with confidences the first three choose regions.
        max_regions: So many at most; 100 if not given.
        min_regions: So many at least; 10 if not given.
        compressed: Which of two LMDB folders of the same regions.

    Raises:
        FileNotFoundError: Nothing is there.
        ValueError: What is there is no store, is broken, or holds several settings.
    """
    path = here(path)
    if not path.exists():
        raise FileNotFoundError(f"no features at {path}; make them with `cacr features PICTURES -o {path}`")
    given = {"threshold": threshold, "max_regions": max_regions, "min_regions": min_regions}
    chosen = {name: value for name, value in given.items() if value is not None}
    setting = Setting(**chosen) if chosen else None  # type: ignore[arg-type]
    if not path.is_file() and not path.is_dir():
        raise ValueError(f"{path} is no file and no folder; expected {KINDS}")
    if path.is_file() and path.name == DATA:
        path = path.parent
    store = _folder(path, setting, compressed) if path.is_dir() else _file(path)
    if (setting is not None and not isinstance(store, LmdbStore | NpzFolder)) or (
        compressed is not None and not isinstance(store, LmdbStore)
    ):
        raise ValueError(
            f"{path} is a {store.kind}, where {', '.join(chosen) or 'compressed'} chooses nothing"
        )
    return store


def _folder(path: Path, setting: Setting | None, compressed: bool | None) -> Store:
    kinds = {
        "LMDB": (path / DATA).exists(),
        "features files": bool(files_in(path)),
        "npz files": any(not file.name.startswith(".") for file in path.glob("*.npz")),
        "TSV of VinVL": (path / FEATURES).exists(),
    }
    found = [kind for kind, there in kinds.items() if there]
    if len(found) > 1:
        raise ValueError(
            f"{path} holds {' and '.join(found)}; name the file, or give each a folder of its own"
        )
    if kinds["LMDB"]:
        if compressed is not None and compressed != path.name.endswith("_compressed"):
            raise ValueError(f"{path} is {'not ' if compressed else ''}compressed; leave the option out")
        return LmdbStore(path, setting)
    if kinds["features files"]:
        return ShardedStore(path, files_in(path))
    if kinds["npz files"]:
        return NpzFolder(path, setting)
    if kinds["TSV of VinVL"]:
        return VinvlStore(path)
    below = choose_folder(path, setting, compressed)
    if below is None:
        raise ValueError(f"{path} holds no region features; expected {KINDS}")
    return LmdbStore(below, setting)


def _file(path: Path) -> Store:
    with path.open("rb") as opened:
        start = opened.read(START)
        size = os.fstat(opened.fileno()).st_size
        if start[:2] == b"PK":
            raise ValueError(f"{path} is one npz file; name the folder that holds one per picture")
        safetensors = start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size
        if safetensors or b"\t" not in start:
            return FeatureStore(path)  # whose message names what is wrong
        tabs = start.split(b"\n", 1)[0].count(b"\t")
        if b"\n" not in start:
            while opened.tell() < MAX_BYTES and (block := opened.read(START)):
                tabs += block.split(b"\n", 1)[0].count(b"\t")
                if b"\n" in block:
                    break
    if tabs + 1 in (2, 3):
        return VinvlStore(path)
    if tabs + 1 in LAYOUTS:
        return TsvStore(path)
    raise ValueError(
        f"{path} has {tabs + 1} columns; expected 2 or 3 (VinVL), 6 (bottom-up attention) or 10 (LXMERT)"
    )
