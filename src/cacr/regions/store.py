"""One safetensors file with the regions of many pictures: memory-mapped, nothing unpickled.

    features  [all regions, feature]     boxes01  [all regions, 4]     offsets  [pictures + 1]     sizes  [pictures, 2]
    metadata: {"format": "cacr-regions-1", "image_ids": JSON list}

Picture i owns the rows offsets[i] to offsets[i + 1]. Its size is (width, height) in pixels, (0, 0) if unknown.
A folder of bottom-up-attention ``.npz`` files (x or features; boxes or bbox; image_w, image_h) opens the same way.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cacr.regions.regions import Regions

FORMAT = "cacr-regions-1"


class FeatureStore(Mapping[str, Regions]):
    """Regions by image id. Reads a picture's rows only when asked for them; see `open_features`."""

    def __init__(self, path: Path):
        self.path = path
        try:
            self._file = safe_open(path, framework="pt")
            metadata = self._file.metadata() or {}
            names = set(self._file.keys())
        except (SafetensorError, OSError) as error:
            raise ValueError(
                f"{path} is not a readable safetensors file ({error}); it may be cut off. Copy or make it again"
            ) from error
        if metadata.get("format") != FORMAT or not {"features", "boxes01", "offsets", "sizes"} <= names:
            raise ValueError(
                f"{path} holds {', '.join(sorted(names)) or 'nothing'}; expected a features file (format {FORMAT}), as "
                "written by `cacr features FOLDER -o features.safetensors`"
            )
        self._ids: list[str] = _image_ids(metadata.get("image_ids", ""), path)
        self._offsets = self._file.get_tensor("offsets").tolist()
        self._sizes = self._file.get_tensor("sizes").tolist()
        self._index = {image_id: i for i, image_id in enumerate(self._ids)}
        self.width = int(self._file.get_slice("features").get_shape()[1])
        """Numbers per region."""
        rows = int(self._file.get_slice("features").get_shape()[0])
        steps = zip(self._offsets, self._offsets[1:], strict=False)
        fits = len(self._offsets) == len(self._ids) + 1 and len(self._sizes) == len(self._ids)
        if not fits or self._offsets[0] != 0 or self._offsets[-1] != rows or any(a >= b for a, b in steps):
            raise ValueError(
                f"{path} names {len(self._ids)} pictures, holds {rows} regions and {len(self._sizes)} sizes, and its "
                "offsets do not fit them; make the file again"
            )

    def __getitem__(self, image_id: str) -> Regions:
        if image_id not in self._index:
            raise KeyError(image_id)
        i = self._index[image_id]
        rows = slice(self._offsets[i], self._offsets[i + 1])
        features = self._file.get_slice("features")[rows].float()
        boxes01, size = self._file.get_slice("boxes01")[rows], tuple(self._sizes[i])
        try:
            if size == (0, 0):
                return Regions(features, boxes01)
            return Regions(features, boxes01, boxes01 * torch.tensor([*size, *size]), size)
        except ValueError as error:
            raise ValueError(f"{self.path}, picture {image_id}: {error}") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._index


class NpzFolder(Mapping[str, Regions]):
    """Regions by image id from a folder of ``NAME.npz``, as bottom-up-attention's PyTorch ports write them."""

    def __init__(self, path: Path):
        self.path = path
        self._files = {_image_id(file): file for file in sorted(path.glob("*.npz"))}
        if not self._files:
            raise ValueError(f"{path} holds no .npz file; expected one per picture, with features and boxes")
        self.width = next(iter(self.values())).features.shape[1]

    def __getitem__(self, image_id: str) -> Regions:
        file = self._files[image_id]
        try:
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
                features = _either(arrays, ("x", "features"), file)
                boxes = _either(arrays, ("boxes", "bbox"), file)
                size = (int(_either(arrays, ("image_w",), file)), int(_either(arrays, ("image_h",), file)))
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise ValueError(f"{file} is not a readable npz file of features: {error}") from error
        if not all(np.issubdtype(array.dtype, np.number) for array in (features, boxes)):
            raise ValueError(
                f"{file} holds {features.dtype} features and {boxes.dtype} boxes; expected numbers"
            )
        try:
            return Regions.from_pixels(torch.from_numpy(features).float(), torch.from_numpy(boxes), size)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def open_features(path: str | os.PathLike[str]) -> FeatureStore | NpzFolder:
    """Open a features file or a folder of npz files: ``open_features(path)[image_id]`` are its `Regions`.

    Args:
        path: A ``.safetensors`` file made by `write_features` or `cacr features`, or a folder of ``.npz``.

    Raises:
        FileNotFoundError: Nothing is there.
        ValueError: What is there is no features file.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"no features at {path}; make them with `cacr features FOLDER_OF_NPZ -o {path}`"
        )
    return NpzFolder(path) if path.is_dir() else FeatureStore(path)


def write_features(path: str | os.PathLike[str], regions: Mapping[str, Regions]) -> None:
    """Write the regions of pictures into one file, under its final name only when it is whole.

    Args:
        path: A new file; an existing one is not overwritten.
        regions: Image id -> regions; all with the same number of features.

    Raises:
        FileExistsError: The file exists.
        ValueError: No pictures, or features of different widths.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists and is not overwritten; give another name or remove it first")
    items = {image_id: regions[image_id] for image_id in regions}
    widths = {r.features.shape[1]: image_id for image_id, r in items.items()}
    if len(widths) != 1:
        raise ValueError(
            f"features have {sorted(widths)} numbers per region (e.g. {widths}); expected one width"
        )
    counts = [len(r) for r in items.values()]
    tensors: dict[str, Tensor] = {
        "features": torch.cat([r.features for r in items.values()]).contiguous(),
        "boxes01": torch.cat([r.boxes01.float() for r in items.values()]).contiguous(),
        "offsets": torch.tensor([0, *np.cumsum(counts).tolist()]),
        "sizes": torch.tensor([r.size or (0, 0) for r in items.values()]),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    save_file(tensors, beside, metadata={"format": FORMAT, "image_ids": json.dumps(list(items))})
    beside.rename(path)


def _image_ids(text: str, path: Path) -> list[str]:
    try:
        ids = json.loads(text)
    except ValueError:
        ids = None
    if not isinstance(ids, list) or not all(isinstance(image_id, str) for image_id in ids):
        raise ValueError(f"{path} has no list of image_ids in its metadata; make the file again")
    return ids


def _image_id(file: Path) -> str:
    return file.name.removesuffix(".npz")


def _either(arrays: Mapping[str, np.ndarray], names: tuple[str, ...], file: Path) -> np.ndarray:
    for name in names:
        if name in arrays:
            return arrays[name]
    raise ValueError(f"it has no array {' or '.join(names)} but {', '.join(arrays)}")
