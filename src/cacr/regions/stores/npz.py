"""A folder of ``NAME.npz``, one a picture: UNITER's naming (norm_bb, conf), or boxes in pixels (x, boxes)."""

from __future__ import annotations

from pathlib import Path

from cacr.regions.regions import Regions
from cacr.regions.stores.arrays import read_npz
from cacr.regions.stores.named_arrays import (
    PIXEL_ARRAYS,
    UNITER_ARRAYS,
    pixel_regions,
    uniter_regions,
)
from cacr.regions.stores.settings import Setting
from cacr.regions.stores.store import Store


class NpzFolder(Store):
    """Regions by file name without its ending.

    Args:
        path: The folder.
        setting: Which regions count, for files with confidences; all if None.

    Raises:
        ValueError: No npz file is there, or the first is none.
    """

    kind = "folder of npz files"

    def __init__(self, path: Path, setting: Setting | None = None):
        self.path, self._setting = path, setting
        self._places = {
            file.name.removesuffix(".npz"): file
            for file in sorted(path.glob("*.npz"))
            if not file.name.startswith(".")
        }
        if not self._places:
            raise ValueError(f"{path} holds no .npz file; expected one per picture, with features and boxes")
        self._width = int(self[next(iter(self))].features.shape[1])  # a folder of something else is refused

    @property
    def width(self) -> int:
        """Numbers per region, of the first picture."""
        return self._width

    def __getitem__(self, image_id: str) -> Regions:
        own = self._own_id(image_id)
        if own is None:
            return super().__getitem__(image_id)
        try:
            return self._read(own)
        except (ValueError, OSError) as error:  # the file is the picture: no need to name both
            said = str(error)
            text = said[2:] if said.startswith("it ") else f": {said}"
            raise ValueError(f"{self._places[own]}{text}") from error

    def _read(self, image_id: str) -> Regions:
        arrays = read_npz(self._places[image_id], {*UNITER_ARRAYS, *PIXEL_ARRAYS})
        if "norm_bb" in arrays:
            return uniter_regions(arrays, self._setting)
        if self._setting is not None:
            raise ValueError(
                "it has no array norm_bb with confidences, so that a threshold means nothing here"
            )
        return pixel_regions(arrays)
