"""``cacr features``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cacr.cli.show import console


def features(source: Path, /, *, out: Annotated[Path, Parameter(alias="-o")]) -> int:
    """Collect region features into one file that is read in place.

    Args:
        source: A folder of .npz files of a bottom-up-attention detector (x or features, boxes or bbox, image_w,
            image_h), or another features file.
        out: The new features file, .safetensors.
    """
    from cacr.regions import open_features, write_features

    store = open_features(source)
    write_features(out, store)
    console.print(f"Wrote the regions of {len(store)} pictures, {store.width} numbers each, to {out}.")
    return 0
