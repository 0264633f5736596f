"""UNITER's picture database, and IAIS's variant: a folder with ``data.mdb``, a value per ``NAME.npz``.

A value is a msgpack map from names to arrays, or a whole npz file (compressed). Regions per picture: from
``nbb_th0.2_max100_min10.json`` beside the folder, from ``nbb.json``, from the folder's name, or by confidence.

Source: github.com/ChenRocks/UNITER scripts/convert_imgdir.py and data/data.py.
"""

from __future__ import annotations

import io
import os
import re
import struct
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from cacr.regions.regions import Regions
from cacr.regions.stores.arrays import MAX_BYTES, array_of, read_npz
from cacr.regions.stores.named_arrays import UNITER_ARRAYS, uniter_regions
from cacr.regions.stores.settings import DATA, Setting, counts_of, setting_of
from cacr.regions.stores.store import Store

KEYS = b"__keys__"
_OPEN: WeakValueDictionary[tuple[int, str], Any] = WeakValueDictionary()
"""Environments by process and path: LMDB allows one per process."""


class LmdbStore(Store):
    """Regions by the keys of an LMDB database.

    Args:
        path: The folder with ``data.mdb``.
        setting: Which regions count; needed only where neither a json nor the folder's name says it.

    Raises:
        ImportError: lmdb or msgpack is not installed.
        ValueError: It is no database, is cut off, or its json is broken.
    """

    def __init__(self, path: Path, setting: Setting | None = None):
        _packages()
        self.path = path
        named = setting_of(path.name)
        if setting is not None and named is not None and setting != named:
            raise ValueError(
                f"{path} holds the regions of {named}, not of {setting}; leave the options out or name another folder"
            )
        self._counts, self._rule = counts_of(path, named, setting)
        check_size(path / DATA)
        self._handle: tuple[int, Any] | None = None
        environment = self._environment()
        try:
            with environment.begin() as reading:
                keys = [key for key in reading.cursor().iternext(keys=True, values=False) if key != KEYS]
            self._places: Mapping[str, bytes] = {key.decode(): key for key in keys}
        except (_error(), UnicodeDecodeError) as error:
            raise ValueError(
                f"{path / DATA} is not a readable database of pictures ({error}); copy it again"
            ) from error
        if not self._places:
            raise ValueError(f"{path / DATA} holds no picture; expected one value per NAME.npz")
        self._handle = None  # a worker that is forked now opens its own

    @property
    def kind(self) -> str:  # type: ignore[override]
        """What it is and how its regions are counted."""
        return f"LMDB of UNITER's layout, regions {self._rule}"

    @cached_property
    def width(self) -> int:
        """Numbers per region, of the first picture."""
        return int(self[next(iter(self))].features.shape[1])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_handle": None}

    def _read(self, image_id: str) -> Regions:
        keep: int | Setting | None
        if isinstance(self._counts, dict):
            keep = self._counts.get(image_id)
            if keep is None:
                raise ValueError("the json of the numbers of regions does not name it")
        else:
            keep = self._counts
        try:
            with self._environment().begin(buffers=True) as reading:
                value = reading.get(self._places[image_id])
                if value is None:
                    raise ValueError("its value is gone; was the database changed?")
                if len(value) > MAX_BYTES:
                    raise ValueError(
                        f"its value has {len(value)} bytes; at most {MAX_BYTES} are read for a picture"
                    )
                return uniter_regions(_arrays(value), keep)
        except _error() as error:
            raise ValueError(f"the database cannot be read ({error}); copy it again") from error

    def _environment(self) -> Any:
        """This process's environment: without locks, so that no file is made, and without read-ahead."""
        process = os.getpid()
        if self._handle is None or self._handle[0] != process:
            lmdb, _ = _packages()
            place = str(self.path.resolve())
            environment = _OPEN.get((process, place))
            if environment is None:
                for (other, same), inherited in list(_OPEN.items()):
                    if same == place and other != process:
                        inherited.close()  # the parent's, which lmdb takes for open here too
                try:
                    environment = lmdb.open(
                        place, readonly=True, create=False, lock=False, readahead=False, meminit=False
                    )
                except lmdb.Error as error:
                    raise ValueError(
                        f"{self.path / DATA} does not open as an LMDB database ({error})"
                    ) from error
                _OPEN[process, place] = environment
            self._handle = (process, environment)
        return self._handle[1]


def check_size(file: Path) -> None:
    """Refuse a database that is cut off: LMDB maps the pages it is told of, and a missing one kills the process.

    Raises:
        ValueError: The first pages are not those of an LMDB database, or the last page lies outside of the file.
    """
    size = file.stat().st_size
    with file.open("rb") as opened:
        head = opened.read(4096 * 16 + 256)
    try:
        page_size = struct.unpack_from("<I", head, 40)[0]
        metas = [struct.unpack_from("<II112xQQ", head, start + 16) for start in (0, page_size)]
    except struct.error:
        metas, page_size = [], 0
    if not metas or any(magic != 0xBEEFC0DE for magic, *_ in metas):
        raise ValueError(
            f"{file} does not start as an LMDB database (little-endian, 64 bit); it may be cut off. Copy it again"
        )
    last_page = max(metas, key=lambda meta: meta[3])[2]
    if (last_page + 1) * page_size > size:
        raise ValueError(
            f"{file} has {size} bytes but {last_page + 1} pages of {page_size}; it is cut off. Copy it again"
        )


def _arrays(value: memoryview) -> dict[str, np.ndarray]:
    """Arrays of a value, by name. They may point into the database: copy before its transaction ends."""
    if value[:2] == b"PK":
        return read_npz(io.BytesIO(value), UNITER_ARRAYS)
    _, msgpack = _packages()
    try:
        fields = msgpack.unpackb(value, raw=False, strict_map_key=True)
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise ValueError(f"its value is neither an npz file nor msgpack ({error})") from error
    if not isinstance(fields, dict):
        raise ValueError(f"its value is a msgpack {type(fields).__name__}; expected a map of arrays")
    arrays = {
        name: _array(fields[name], name) for name in UNITER_ARRAYS if isinstance(fields.get(name), dict)
    }
    count = fields.get("nbb")
    return arrays | ({"nbb": np.asarray(count)} if type(count) is int and 0 < count < 2**31 else {})


def _array(field: Mapping[Any, Any], name: str) -> np.ndarray:
    """An array as msgpack-numpy writes it, without its hook: that one unpickles arrays of objects."""
    given = {key.decode(errors="replace") if isinstance(key, bytes) else key: x for key, x in field.items()}
    kind = given.get("kind", b"")
    if kind not in (b"", ""):
        raise ValueError(f"{name} holds objects or records (kind {kind!r}), which are never unpickled")
    code, data, shape = given.get("type"), given.get("data"), given.get("shape", [])
    if isinstance(code, bytes):
        code = code.decode(errors="replace")
    if not isinstance(code, str) or not re.fullmatch(r"[<>|=]?[fiub]\d", code):
        raise ValueError(f"{name} has type {code!r}; expected a plain number such as '<f2'")
    if not isinstance(data, bytes) or not isinstance(shape, list):
        raise ValueError(f"{name} has no data and shape; expected an array as msgpack-numpy writes it")
    try:
        dtype = np.dtype(code)
    except TypeError as error:
        raise ValueError(f"{name} has type {code!r}; expected a plain number such as '<f2'") from error
    return array_of(data, dtype, shape, name)


def _packages() -> tuple[Any, Any]:
    try:
        import lmdb
        import msgpack
    except ImportError as error:
        raise ImportError(
            f'reading an LMDB of features needs {error.name}: pip install "cacr[lmdb]"'
        ) from error
    return lmdb, msgpack


def _error() -> type[Exception]:
    return _packages()[0].Error
