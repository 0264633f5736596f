"""UNITER's picture database, and IAIS's variant: a folder with ``data.mdb``, a value per ``NAME.npz``.

A value is a msgpack map from names to arrays, or a whole npz file (compressed). Regions per picture: from
``nbb_th0.2_max100_min10.json`` beside the folder, from ``nbb.json``, from the folder's name, or by confidence.

Source: github.com/ChenRocks/UNITER scripts/convert_imgdir.py and data/data.py.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cacr.regions.regions import Regions
from cacr.regions.stores.arrays import MAX_BYTES, array_of, read_npz
from cacr.regions.stores.lmdb_file import LmdbFile
from cacr.regions.stores.msgpack_maps import unpack
from cacr.regions.stores.named_arrays import UNITER_ARRAYS, uniter_regions
from cacr.regions.stores.settings import DATA, Setting, counts_of, setting_of
from cacr.regions.stores.store import Store

KEYS = b"__keys__"
DTYPES = {
    f"{order}{number}".encode(): np.dtype(f"{order}{number}")
    for order in ("<", ">", "|", "=", "")
    for number in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
}
"""Plain numbers by NumPy's names of them."""


class LmdbStore(Store):
    """Regions by the keys of an LMDB database.

    Args:
        path: The folder with ``data.mdb``.
        setting: Which regions count; needed only where neither a json nor the folder's name says it.

    Raises:
        ValueError: It is no database, is cut off or damaged, or its json is broken.
    """

    def __init__(self, path: Path, setting: Setting | None = None):
        self.path = path
        named = setting_of(path.name)
        if setting is not None and named is not None and setting != named:
            raise ValueError(
                f"{path} holds the regions of {named}, not of {setting}; leave the options out or name another folder"
            )
        self._counts, self._rule = counts_of(path, named, setting)
        self._file = LmdbFile(path / DATA)
        try:
            self._places = {key.decode(): place for key, place in self._file.places() if key != KEYS}
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path / DATA} is not a database of pictures: a key is no name ({error}); copy it again"
            ) from error
        if not self._places:
            raise ValueError(f"{path / DATA} holds no picture; expected one value per NAME.npz")

    @property
    def kind(self) -> str:  # type: ignore[override]
        """What it is and how its regions are counted."""
        return f"LMDB of UNITER's layout, regions {self._rule}"

    @cached_property
    def width(self) -> int:
        """Numbers per region, of the first picture."""
        return int(self[next(iter(self))].features.shape[1])

    def _read(self, image_id: str) -> Regions:
        keep: int | Setting | None
        if isinstance(self._counts, dict):
            keep = self._counts.get(image_id)
            if keep is None:
                raise ValueError("the json of the numbers of regions does not name it")
        else:
            keep = self._counts
        value = self._file.value(image_id.encode(), self._places[image_id], MAX_BYTES)
        return uniter_regions(_arrays(value), keep)


def _arrays(value: memoryview) -> dict[str, np.ndarray]:
    """Arrays of a value, by name; they may point into it."""
    if value[:2] == b"PK":
        return read_npz(io.BytesIO(value), UNITER_ARRAYS)
    try:
        fields = unpack(value)
    except ValueError as error:
        raise ValueError(f"its value is neither an npz file nor msgpack ({error})") from error
    if not isinstance(fields, dict):
        raise ValueError(f"its value is a msgpack {type(fields).__name__}; expected a map of arrays")
    given = {name: fields.get(name.encode()) for name in UNITER_ARRAYS}
    arrays = {name: _array(field, name) for name, field in given.items() if isinstance(field, dict)}
    count = given["nbb"]
    return arrays | ({"nbb": np.asarray(count)} if type(count) is int and 0 < count < 2**31 else {})


def _array(field: Mapping[bytes, Any], name: str) -> np.ndarray:
    """An array as msgpack-numpy writes it, without its hook: that one unpickles arrays of objects."""
    kind, code, data, shape = (field.get(part) for part in (b"kind", b"type", b"data", b"shape"))
    if kind:
        raise ValueError(f"{name} holds objects or records (kind {_text(kind)}), which are never unpickled")
    dtype = DTYPES.get(code) if isinstance(code, bytes) else None
    if dtype is None:
        raise ValueError(f"{name} has type {_text(code)}; expected a plain number such as '<f2'")
    if not isinstance(data, (bytes, memoryview)) or not isinstance(shape, (list, type(None))):
        raise ValueError(f"{name} has no data and shape; expected an array as msgpack-numpy writes it")
    return array_of(data, dtype, shape or [], name)


def _text(given: Any) -> str:
    """What stands where a short text should, for messages."""
    return repr(given[:40].decode(errors="replace") if isinstance(given, bytes) else type(given).__name__)
