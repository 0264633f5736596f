"""Karpathy's splits of Flickr30k and COCO: dataset_flickr30k.json, dataset_coco.json.

    {"images": [{"filename": "COCO_val2014_000000391895.jpg", "filepath": "val2014", "cocoid": 391895,
                 "split": "test", "sentences": [{"raw": "A man …", "tokens": ["a", "man", …]}, …]}, …]}

Split ``train`` of COCO is train and restval together (113,287 pictures), as everyone trains; ``train-only`` is the
82,783 of train alone. val and test have 5,000 pictures each; Flickr30k has 29,000, 1,014 and 1,000.

Source: Karpathy & Fei-Fei 2015, arXiv:1412.2306, cs.stanford.edu/people/karpathy/deepimagesent. Captions: COCO's
are CC BY 4.0; Flickr30k's are for research and education only. The pictures are their photographers'.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cacr._json import read_json
from cacr._messages import shortly
from cacr.data.entries import Entry, each_once, entry, split_names


def is_karpathy(content: Any) -> bool:
    """Whether the content of a JSON file is in this layout, going by its first picture."""
    images = content.get("images") if isinstance(content, dict) else None
    first = images[0] if isinstance(images, list) and images else None
    return isinstance(first, dict) and "sentences" in first


def read_karpathy(path: Path, content: Any = None) -> Sequence[Entry]:
    """The entries of a file.

    Args:
        path: The file.
        content: What is in it, where it was read already.

    Raises:
        ValueError: The file is not in this layout; the picture is named by its number.
    """
    content = read_json(path) if content is None else content
    if not is_karpathy(content):
        raise ValueError(f'{path} has no "images" with "sentences"; expected a file of Karpathy\'s splits')
    entries = [_entry(image, f"{path}, image {number}") for number, image in enumerate(content["images"], 1)]
    each_once((one.image for one in entries), "image", path)
    return entries


def _entry(image: Any, where: str) -> Entry:
    if not isinstance(image, dict) or not isinstance(image.get("sentences"), list):
        raise ValueError(f'{where} has no list of "sentences"; copy the file again')
    name, folder = image.get("filename"), image.get("filepath")
    if folder is not None and not isinstance(folder, str):
        raise ValueError(f'{where}: "filepath" is {shortly(folder)}; expected a folder\'s name')
    if folder and isinstance(name, str):
        name = f"{folder.rstrip('/')}/{name}"
    splits = split_names(image.get("split"), where)
    if splits in (("train",), ("restval",)):
        splits += ("train-only",) if splits == ("train",) else ("train",)
    return entry(name, [_raw(one, where) for one in image["sentences"]], where, splits)


def _raw(sentence: Any, where: str) -> Any:
    if not isinstance(sentence, dict) or not ("raw" in sentence or isinstance(sentence.get("tokens"), list)):
        raise ValueError(f'{where}: a sentence has neither "raw" nor "tokens"; copy the file again')
    return sentence["raw"] if "raw" in sentence else " ".join(map(str, sentence["tokens"]))
