"""TSV files of bottom-up attention (6 columns) and LXMERT (10 columns): base64 of raw arrays, boxes in pixels."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import torch

from cacr.regions.regions import Regions
from cacr.regions.stores.arrays import from_base64
from cacr.regions.stores.lines import Lines
from cacr.regions.stores.named_arrays import float32, whole
from cacr.regions.stores.store import Store

MAX_REGIONS = 10_000
"""Regions of a picture; detectors propose up to a few hundred."""
BOTTOM_UP = ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features")
LXMERT = (
    "img_id",
    "image_h",  # height first, unlike the other
    "image_w",
    "objects_id",
    "objects_conf",
    "attrs_id",
    "attrs_conf",
    "num_boxes",
    "boxes",
    "features",
)
LAYOUTS = {len(BOTTOM_UP): BOTTOM_UP, len(LXMERT): LXMERT}
"""Names of the columns by their number: the files have no header."""


class TsvStore(Store):
    """Regions by the first column of a TSV file of bottom-up attention or LXMERT.

    Raises:
        ValueError: Its lines have other numbers of columns, or ids are missing or doubled.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lines = Lines(path)
        self._places = self._lines.spans
        count = len(self._lines.columns(next(iter(self))))
        if count not in LAYOUTS:
            raise ValueError(
                f"{path} has {count} columns; expected 6 ({', '.join(BOTTOM_UP)}) or 10 ({', '.join(LXMERT)})"
            )
        self._names = LAYOUTS[count]
        self.kind = "TSV of bottom-up attention" if self._names is BOTTOM_UP else "TSV of LXMERT"

    @cached_property
    def width(self) -> int:
        """Numbers per region, of the first picture."""
        return int(self[next(iter(self))].features.shape[1])

    def _read(self, image_id: str) -> Regions:
        columns = self._lines.columns(image_id)
        if len(columns) != len(self._names):
            raise ValueError(f"its line has {len(columns)} columns; expected {', '.join(self._names)}")
        line = dict(zip(self._names, columns, strict=True))
        n = whole(line["num_boxes"], "num_boxes", MAX_REGIONS)
        boxes = from_base64(line["boxes"], "<f4", n, "boxes")
        features = from_base64(line["features"], "<f4", n, "features")
        if boxes.shape[1] != 4:
            raise ValueError(f"boxes have {boxes.shape[1]} numbers; expected 4: x1, y1, x2, y2 in pixels")
        known_width = self.__dict__.get("width", features.shape[1])
        if features.shape[1] != known_width:
            raise ValueError(
                f"features have {features.shape[1]} numbers per region, those of the first picture {known_width}; "
                "the line may be cut off"
            )
        more = {}
        if self._names is LXMERT:
            for kind, name in (("object", "objects"), ("attribute", "attrs")):
                ids = from_base64(line[f"{name}_id"], "<i8", n, f"{name}_id")
                confidence = from_base64(line[f"{name}_conf"], "<f4", n, f"{name}_conf")
                if ids.shape[1] != 1 or confidence.shape[1] != 1:
                    raise ValueError(f"{name}_id and {name}_conf are not one number per region")
                more[f"{kind}_ids"] = torch.from_numpy(ids[:, 0].astype("int64"))
                more[f"{kind}_confidence"] = float32(confidence[:, 0])
        size = whole(line["image_w"], "image_w"), whole(line["image_h"], "image_h")
        return Regions.from_pixels(float32(features), float32(boxes), size, **more)
