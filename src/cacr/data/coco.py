"""COCO's own caption files: captions_train2014.json, captions_val2017.json and so on.

    {"images": [{"id": 391895, "file_name": "COCO_val2014_000000391895.jpg", …}, …],
     "annotations": [{"image_id": 391895, "id": 770337, "caption": "A man …"}, …]}

The split is what the file's name says (``val2014``). For Karpathy's splits of COCO see `karpathy`.

Source: Chen et al. 2015, arXiv:1504.00325, cocodataset.org. Captions: CC BY 4.0, COCO Consortium; each picture has
the licence its photographer gave it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cacr._json import read_json
from cacr.data.entries import Entry, each_once, entry, sentence

logger = logging.getLogger(__name__)
LARGEST = 2**53
"""Of a picture's number: longer ones could be chosen so that a table of them takes forever."""


def is_coco(content: Any) -> bool:
    """Whether the content of a JSON file is in this layout."""
    return isinstance(content, dict) and all(
        isinstance(content.get(k), list) for k in ("images", "annotations")
    )


def read_coco(path: Path, content: Any = None) -> Sequence[Entry]:
    """The entries of a file; pictures without captions are left out, and their number is logged.

    Args:
        path: The file.
        content: What is in it, where it was read already.

    Raises:
        ValueError: The file is not in this layout; the picture or annotation is named by its number.
    """
    content = read_json(path) if content is None else content
    if not is_coco(content):
        raise ValueError(f'{path} has no "images" and "annotations"; expected a caption file of COCO')
    names: dict[int, str] = {}
    for number, image in enumerate(content["images"], start=1):
        where = f"{path}, image {number}"
        number_of_image, name = _fields(image, ("id", "file_name"), where)
        if number_of_image in names:
            raise ValueError(f"{where}: the id {number_of_image} was there before; take one of them out")
        names[number_of_image] = name
    each_once(map(str, names.values()), "image", path)
    captions: dict[int, list[str]] = {image: [] for image in names}
    for number, annotation in enumerate(content["annotations"], start=1):
        where = f"{path}, annotation {number}"
        image, text = _fields(annotation, ("image_id", "caption"), where)
        if image not in names:
            raise ValueError(
                f"{where} is of picture {image}, which is not among the images; copy the file again"
            )
        captions[image].append(sentence(text, names[image], where))
    bare = [names[image] for image in names if not captions[image]]
    if bare:
        logger.warning("%s has no captions for %d pictures (first: %s); left out", path, len(bare), bare[0])
    part = re.fullmatch(r"captions_(\w+)", path.stem)
    splits = (part[1],) if part else ()
    return [
        entry(name, captions[image], f"{path}, picture {image}", splits)
        for image, name in names.items()
        if captions[image]
    ]


def _fields(value: Any, keys: tuple[str, str], where: str) -> tuple[int, Any]:
    number = value.get(keys[0]) if isinstance(value, dict) else None
    if (
        not isinstance(number, int)
        or isinstance(number, bool)
        or abs(number) > LARGEST
        or keys[1] not in value
    ):
        raise ValueError(f'{where} has no "{keys[0]}" (a whole number) with "{keys[1]}"; copy the file again')
    return number, value[keys[1]]
