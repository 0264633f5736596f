"""Several features files as one store: a folder of them, or the parts of one that is being collected."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cacr.regions.regions import Regions
from cacr.regions.stores.file import FeatureStore
from cacr.regions.stores.store import Store

OPEN_AT_ONCE = 128
"""Files that stay open; systems allow a process about a thousand, and parts may be more."""


def files_in(folder: Path) -> list[Path]:
    """The features files of a folder by name, without those that are not whole yet."""
    return sorted(file for file in folder.glob("*.safetensors") if not file.name.startswith("."))


class ShardedStore(Store):
    """Regions by image id from several features files.

    Args:
        path: The folder, for messages.
        files: The files; their order is that of the pictures.

    Raises:
        ValueError: A file is broken, two of them hold the same picture, or their widths differ.
    """

    def __init__(self, path: Path, files: Sequence[Path]):
        self.path, self.files = path, tuple(files)
        self._opened: OrderedDict[int, FeatureStore] = OrderedDict()
        self._places: dict[str, int] = {}
        widths: dict[int, Path] = {}
        for i, file in enumerate(self.files):
            store = self.file(i)
            widths[store.width] = file
            for image_id in store:
                first = self._places.setdefault(image_id, i)
                if first != i:
                    raise ValueError(
                        f"{self.files[first]} and {file} both hold picture {image_id}; remove one of the files"
                    )
        if len(widths) != 1:
            named = ", ".join(f"{width} in {file.name}" for width, file in sorted(widths.items()))
            raise ValueError(
                f"{path}: features have {sorted(widths)} numbers per region ({named}); expected one width"
            )
        self._width = next(iter(widths))

    @property
    def kind(self) -> str:  # type: ignore[override]
        """What it is and of how many files."""
        return f"folder of {len(self.files)} features files"

    @property
    def width(self) -> int:
        """Numbers per region."""
        return self._width

    def file(self, i: int) -> FeatureStore:
        """The i-th file, opened if it is not open."""
        store = self._opened.pop(i, None) or FeatureStore(self.files[i])
        self._opened[i] = store
        if len(self._opened) > OPEN_AT_ONCE:
            self._opened.popitem(last=False)
        return store

    def place(self, image_id: str) -> int:
        """Which file holds a picture."""
        return self._places[image_id]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": OrderedDict()}

    def _read(self, image_id: str) -> Regions:
        return self.file(self._places[image_id])[image_id]
