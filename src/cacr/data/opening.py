"""`open_captions`: the kind of a file or folder of captions is recognized by what is in it."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cacr._hub import here
from cacr._json import read_json
from cacr.data.captioned import CaptionedPictures
from cacr.data.coco import is_coco, read_coco
from cacr.data.entries import Entry, of_split
from cacr.data.flickr30k import is_flickr30k, read_flickr30k
from cacr.data.karpathy import is_karpathy, read_karpathy
from cacr.data.named_pictures import Folders, Missing
from cacr.data.table import read_datasets, read_lines, read_list, read_parquet, read_separated
from cacr.data.uniter_text import read_uniter_text
from cacr.regions import Regions

CAPTIONS, FEATURES = "captions.jsonl", "features.safetensors"
KINDS = (
    "a folder with captions.jsonl; dataset_flickr30k.json or dataset_coco.json (Karpathy's splits); "
    "captions_val2017.json and its like (COCO); results_20130124.token or results.csv (Flickr30k); a table .jsonl, "
    ".json, .csv, .tsv or .parquet with the columns image and caption; a folder of datasets; a folder with data.mdb "
    "and txt2img.json (UNITER)"
)


def open_captions(
    path: str | os.PathLike[str],
    split: str | None = None,
    features: str | os.PathLike[str] | Mapping[str, Regions] | None = None,
    images: Folders | None = None,
    missing: Missing = "refuse",
) -> CaptionedPictures:
    """Open captioned pictures of any known kind (docs/data.md).

    Args:
        path: The file or folder of the captions, or `hf://datasets/OWNER/NAME[@REVISION][/PATH]` on the hub.
        split: Name of a part; or path of a text file with a picture's name or number a line; all if None.
        features: Region features: a path for `cacr.regions.open_features`, or an open store. If None, the
            ``features.safetensors`` beside the ``captions.jsonl`` of a folder, where there is one.
        images: Folder of the pictures. If None, the folder of the table; elsewhere there are no pixels.
        missing: Where pictures have no features or no file: "refuse", or "skip": leave them out, logging how many.

    Raises:
        FileNotFoundError: Nothing is there, or pictures or features are missing.
        ValueError: The captions are of no known kind or broken; file, place and cure are named. No such split.

    Examples:
        >>> pairs = open_captions("dataset_coco.json", "test", "butd.safetensors", "coco/")     # doctest: +SKIP
    """
    path = here(path)
    if not path.exists():
        raise FileNotFoundError(f"no captions at {path}; expected one of: {KINDS}")
    with _no_collections():
        home, entries = _read(path)
        check_images = images is not None
        if home is not None:
            if features is None and (path / CAPTIONS).is_file() and (path / FEATURES).exists():
                features = path / FEATURES
            images = images or home
            check_images = check_images or features is None
        return CaptionedPictures(
            of_split(entries, split, path), path, features, images, missing, check_images
        )


@contextmanager
def _no_collections() -> Iterator[None]:
    """Hundreds of thousands of captions make no cycles: looking for some would double the time of opening."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _read(path: Path) -> tuple[Path | None, Sequence[Entry]]:
    """The folder where the pictures of a table lie, if it is one, and the entries."""
    if path.is_dir():
        return _read_folder(path)
    ending = path.suffix.lower()
    if ending == ".json":
        content = read_json(path)
        if is_karpathy(content):
            return None, read_karpathy(path, content)
        if is_coco(content):
            return None, read_coco(path, content)
        if isinstance(content, list):
            return path.parent, read_list(path, content)
        found = (
            f"the keys {', '.join(list(content)[:9])}" if isinstance(content, dict) else repr(content)[:60]
        )
        raise ValueError(f"{path} holds {found}; expected one of: {KINDS}")
    if ending == ".jsonl":
        return path.parent, read_lines(path)
    if ending == ".parquet":
        return path.parent, read_parquet(path)
    with path.open("rb") as file:
        first = file.readline(10_000).decode("utf-8-sig", errors="replace")
    if ending == ".token" or is_flickr30k(first):
        return None, read_flickr30k(path)
    if ending in (".csv", ".tsv"):
        return path.parent, read_separated(path)
    raise ValueError(f"{path} is of no known kind; expected one of: {KINDS}")


def _read_folder(path: Path) -> tuple[Path | None, Sequence[Entry]]:
    names = {file.name for file in path.iterdir()}
    if CAPTIONS in names:
        return path, read_lines(path / CAPTIONS)
    if {"data.mdb", "txt2img.json"} <= names:
        return None, read_uniter_text(path)
    if "dataset_dict.json" in names or {"dataset_info.json", "state.json"} <= names:
        return None, read_datasets(path)
    if any(name.endswith(".parquet") for name in names):
        return path, read_parquet(path)
    held = ", ".join(sorted(names)[:9]) or "nothing"
    raise FileNotFoundError(
        f"no captions at {path}: the folder holds {held}{' …' if len(names) > 9 else ''}; expected one of: {KINDS}"
    )
