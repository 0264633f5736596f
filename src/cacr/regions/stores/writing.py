"""Regions of pictures into one features file, without holding them all in memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from cacr._disk import writing
from cacr._files import beside, remove_leftovers
from cacr.regions.regions import Regions
from cacr.regions.stores.joining import join_parts
from cacr.regions.stores.parts import PartWriter


def write_features(
    path: str | os.PathLike[str],
    regions: Mapping[str, Regions],
    dtype: torch.dtype = torch.float32,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Write the regions of pictures into one file, under its final name only when it is whole.

    Args:
        path: A new file; an existing one is not overwritten. The disk needs room for it twice.
        regions: Image id -> regions, read one by one; all with the same fields and width.
        dtype: Type that features are stored in; they are read as float32.
        progress: Called after each picture with the number of pictures so far.

    Raises:
        FileExistsError: The file exists.
        NotWritten: The disk refused it: there is nothing of it then.
        ValueError: No pictures, different fields or widths, or features that the type does not hold.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists and is not overwritten; give another name or remove it first")
    if not len(regions):
        raise ValueError(f"no pictures to write to {path}; expected one at least")
    folder = beside(path, "parts")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(path.parent, path.name)
        with PartWriter(folder, dtype=dtype) as writer:
            for number, image_id in enumerate(regions, start=1):
                writer.add(image_id, regions[image_id])
                if progress is not None:
                    progress(number)
        join_parts(writer.parts, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
