"""VinVL's files: features.tsv with the positions inside the features, predictions.tsv with names of classes.

    features.tsv      id, number of boxes, base64        or   id, {"num_boxes": 8, "features": base64}
    predictions.tsv   id, {"image_h", "image_w", "objects": [{"class", "conf", "rect"}]}   or   id, [{"class", …}]

A row of features is 2048 numbers, then x1, y1, x2, y2, width and height as fractions of the picture.
Source: github.com/microsoft/Oscar, oscar/utils/tsv_file.py and oscar/datasets.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from cacr.regions.regions import Regions
from cacr.regions.stores.arrays import from_base64, structure
from cacr.regions.stores.lines import Lines
from cacr.regions.stores.named_arrays import float32, whole
from cacr.regions.stores.store import Store
from cacr.regions.stores.tsv import MAX_REGIONS

FEATURES, LABELS = "features.tsv", "predictions.tsv"
POSITIONS = 6
"""Numbers after the features of a row."""
MAX_STRUCTURE = 100 * MAX_REGIONS
"""Characters of a line of JSON that are not within strings."""


class VinvlStore(Store):
    """Regions by the first column of VinVL's features; names, confidences and sizes from the labels beside them.

    Args:
        path: The folder, or its features.tsv.

    Raises:
        ValueError: A file or its ``.lineidx`` is broken.
    """

    kind = "TSV of VinVL"

    def __init__(self, path: Path):
        self.path = path
        features = path / FEATURES if path.is_dir() else path
        labels = features.with_name(LABELS)
        self._features = _lines(features)
        self._labels = _lines(labels) if labels.exists() and labels != features else None
        self._places = self._features.spans

    @cached_property
    def width(self) -> int:
        """Numbers per region without positions, of the first picture."""
        return int(self[next(iter(self))].features.shape[1])

    def describe(self) -> str:
        """Kind, number of pictures and width, and whether classes are known, in one line."""
        return f"{super().describe()}, {'with' if self._labels else 'without'} names of classes"

    def _read(self, image_id: str) -> Regions:
        rows = self._rows(image_id)
        width = rows.shape[1] - POSITIONS
        known_width = self.__dict__.get("width", width)
        if width < 1 or width != known_width:
            raise ValueError(
                f"a region has {rows.shape[1]} numbers; expected {max(known_width, 1) + POSITIONS}, the last "
                f"{POSITIONS} of them its position. The line may be cut off"
            )
        positions = float32(rows[:, width:])
        boxes01, size = positions[:, :4], None
        more: dict[str, Any] = {}
        if self._labels is not None and image_id in self._labels.spans:
            size, objects = _objects(self._labels.columns(image_id), len(rows))
            more = {
                "object_names": tuple(str(one["class"]) for one in objects),
                "object_confidence": float32([float(one["conf"]) for one in objects]),  # type: ignore[arg-type]
            }
        return Regions(
            float32(rows[:, :width]),
            boxes01,
            None if size is None else boxes01 * float32([*size, *size]),  # type: ignore[arg-type]
            size,
            extents01=positions[:, 4:],
            **more,
        )

    def _rows(self, image_id: str) -> Any:
        columns = self._features.columns(image_id)
        count: Any
        features: Any
        if len(columns) == 3:
            count, features = columns[1], columns[2]
        elif len(columns) == 2:
            fields = _json(columns[1], FEATURES)
            if not isinstance(fields, dict) or not isinstance(fields.get("features"), str):
                raise ValueError('its line has no "features"; expected {"num_boxes": …, "features": base64}')
            count, features = fields.get("num_boxes"), fields["features"]
        else:
            raise ValueError(f"its line has {len(columns)} columns; expected 2 or 3")
        n = whole(count, "num_boxes", MAX_REGIONS)
        return from_base64(features, "<f4", n, "features")


def _objects(columns: list[bytes], n: int) -> tuple[tuple[int, int] | None, list[dict[str, Any]]]:
    """The (width, height) of the picture, if known, and its objects, in the order of the regions."""
    found = _json(columns[-1], LABELS)
    size = None
    objects = found
    if isinstance(found, dict):
        objects = found.get("objects")
        if "image_w" in found and "image_h" in found:
            size = whole(found["image_w"], "image_w"), whole(found["image_h"], "image_h")
    if not isinstance(objects, list) or len(objects) != n:
        raise ValueError(f"{LABELS} has no list of its {n} objects; it may be of other features")
    for one in objects:
        known = isinstance(one, dict) and "class" in one and isinstance(one.get("conf"), int | float)
        if not known or not 0 <= one["conf"] <= 1:
            raise ValueError(f'{LABELS} has an object without "class" and "conf", 0-1')
    return size, objects


def _json(data: bytes, file: str) -> Any:
    try:
        text = data.decode()
        if structure(text) > MAX_STRUCTURE:
            raise ValueError("more than its regions need")
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its line of {file} is not JSON ({error}); copy the file again") from error


def _lines(path: Path) -> Lines:
    index = path.with_suffix(".lineidx")
    return Lines(path, index if index.exists() else None)
