"""Our own features file, mapped into memory: rows are read when asked for. The layout is in layout.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cacr.regions.regions import Regions
from cacr.regions.stores.arrays import STRING
from cacr.regions.stores.layout import COLUMNS, FORMAT, NAME_IDS, REQUIRED, WHOLE, map_tensors
from cacr.regions.stores.store import Store

MAX_NAMES = 1_000_000
"""Names of classes; detectors know a few thousand."""


class FeatureStore(Store):
    """Regions by image id from one safetensors file; see `open_features`.

    Raises:
        ValueError: It is no features file, is cut off, or its tensors do not fit each other.
    """

    kind = "features file"

    def __init__(self, path: Path):
        self.path = path
        self.tensors, metadata = map_tensors(path)
        """Tensors by name, mapped; not to be written to."""
        if metadata.get("format") != FORMAT or not set(REQUIRED) <= self.tensors.keys():
            raise ValueError(
                f"{path} holds {', '.join(sorted(self.tensors)) or 'nothing'}; expected a features file (format "
                f"{FORMAT}), as written by `cacr features FOLDER -o features.safetensors`"
            )
        pictures = self.tensors["offsets"].numel() - 1
        self._ids = _names(metadata, "image_ids", path, pictures)
        self._places = {image_id: i for i, image_id in enumerate(self._ids)}
        self.object_names = _names(metadata, "object_names", path) if NAME_IDS in self.tensors else []
        """Names that object_name_ids count in."""
        self._check()
        self._offsets, self._sizes = self.tensors["offsets"].numpy(), self.tensors["sizes"].numpy()
        self._features, self._boxes01 = self.tensors["features"], self.tensors["boxes01"]
        self._more = [name for name in COLUMNS if name in self.tensors and name not in ("boxes01", NAME_IDS)]

    @property
    def width(self) -> int:
        """Numbers per region."""
        return int(self._features.shape[1])

    def describe(self) -> str:
        """Kind, number of pictures, width and type of the stored numbers, in one line."""
        return f"{super().describe()}, {str(self._features.dtype).removeprefix('torch.')}"

    def __reduce__(self) -> tuple[Any, ...]:
        return FeatureStore, (self.path,)  # a mapped file does not travel; the other process maps it itself

    def rows(self, image_id: str) -> slice:
        """Rows of a picture in every tensor with a row per region."""
        i = self._places[image_id]
        return slice(*self._offsets[i : i + 2].tolist())

    def size(self, image_id: str) -> tuple[int, int]:
        """(width, height) of a picture in pixels, (0, 0) if unknown."""
        width, height = self._sizes[self._places[image_id]].tolist()
        return width, height

    def _read(self, image_id: str) -> Regions:
        i = self._places[image_id]
        rows = self.rows(image_id)
        features = self._features[rows].to(torch.float32, copy=True)
        boxes01 = self._boxes01[rows].to(torch.float32, copy=True)
        width, height = self._sizes[i].tolist()
        more: dict[str, Any] = {name: self._field(name, rows) for name in self._more}
        if NAME_IDS in self.tensors:
            ids = self.tensors[NAME_IDS][rows].tolist()
            if not all(0 <= k < len(self.object_names) for k in ids):
                raise ValueError(f"a name has an index outside of the {len(self.object_names)} object_names")
            more["object_names"] = tuple(self.object_names[k] for k in ids)
        if width == 0:
            return Regions(features, boxes01, **more)
        scale = torch.tensor([width, height, width, height])
        return Regions(features, boxes01, boxes01 * scale, (width, height), **more)

    def _field(self, name: str, rows: slice) -> Tensor:
        return self.tensors[name][rows].to(torch.int64 if name in WHOLE else torch.float32, copy=True)

    def _check(self) -> None:
        """Refuse tensors that do not fit each other, so that reading a picture need not look."""
        tensors, pictures = self.tensors, len(self._ids)
        for name in {*REQUIRED, *COLUMNS} & tensors.keys():
            if tensors[name].is_floating_point() == (name in WHOLE):
                expected = "whole numbers" if name in WHOLE else "floating point"
                raise ValueError(
                    f"{self.path}: {name} has type {tensors[name].dtype}; expected {expected}. Make it again"
                )
        features, offsets, sizes = tensors["features"], tensors["offsets"], tensors["sizes"]
        if features.ndim != 2 or not features.shape[1]:
            raise ValueError(
                f"{self.path}: features have shape {list(features.shape)}; expected [region, numbers of one]. Make the "
                "file again"
            )
        rows = len(features)
        fits = (
            offsets.shape == (pictures + 1,)
            and sizes.shape == (pictures, 2)
            and len(self._places) == pictures
        )
        if not fits or offsets[0] != 0 or offsets[-1] != rows or (offsets[1:] <= offsets[:-1]).any():
            raise ValueError(
                f"{self.path} names {pictures} pictures ({len(self._places)} different), holds {rows} regions and "
                f"{len(sizes) if sizes.ndim else 0} sizes, and its offsets do not fit them; make the file again"
            )
        for name in COLUMNS.keys() & tensors.keys():
            if tuple(tensors[name].shape) != (rows, *COLUMNS[name]):
                raise ValueError(
                    f"{self.path}: {name} has shape {list(tensors[name].shape)}; expected "
                    f"{[rows, *COLUMNS[name]]}. Make the file again"
                )
        if (sizes < 0).any() or ((sizes[:, 0] == 0) != (sizes[:, 1] == 0)).any() or (sizes > 1_000_000).any():
            raise ValueError(
                f"{self.path}: sizes are not (width, height) in pixels or (0, 0); make the file again"
            )


def _names(metadata: dict[str, str], key: str, path: Path, count: int | None = None) -> list[str]:
    """A list of so many names in the metadata; nothing is made of a text that does not hold so many."""
    text = metadata.get(key, "")
    found = sum(1 for _ in STRING.finditer(text))
    try:
        names = json.loads(text) if found == count or (count is None and found <= MAX_NAMES) else None
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or len(names) != found or not all(isinstance(n, str) for n in names):
        expected = f"{MAX_NAMES} at most" if count is None else f"{count} as its offsets say"
        raise ValueError(
            f"{path} has no list of {key} in its metadata but {found} texts; expected {expected}. Make the file again"
        )
    return names
