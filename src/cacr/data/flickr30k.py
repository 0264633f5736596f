"""Flickr30k's own caption files: results_20130124.token, and the results.csv of its Kaggle copy.

    1000092795.jpg#0 <tab> Two young guys with shaggy hair …
    image_name| comment_number| comment
    1000092795.jpg| 0| Two young guys with shaggy hair …

They have no splits: give a list of names as the split, or use the files of `karpathy`. One line of the Kaggle copy
(2199200615.jpg, 4) lacks its second bar; it is read all the same.

Source: Young et al. 2014, "From image descriptions to visual denotations", shannon.cs.illinois.edu/DenotationGraph.
Captions: for research and education only, not commercial; the pictures are their photographers' (Flickr's terms).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from cacr.data.entries import Entry, entry

TOKEN = re.compile(r"([^\t#]+)#([0-9]+)\t(.*)")
BARS = re.compile(r"([^|]+)\| *([0-9]+)(?: *\||  +)(.*)")
HEADER = re.compile(r"image(_name)?\| *comment_number\| *comment")


def is_flickr30k(line: str) -> bool:
    """Whether the first line of a file is in one of the layouts."""
    return any(pattern.fullmatch(line.strip("\r\n")) for pattern in (TOKEN, HEADER))


def read_flickr30k(path: Path) -> Sequence[Entry]:
    """The entries of a file, one a picture.

    Raises:
        ValueError: A line is not in the layout; it is named by its number.
    """
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error}); copy it again") from error
    bars = HEADER.fullmatch(lines[0].strip()) is not None
    pattern, expected = (BARS, "a.jpg| 0| A sentence") if bars else (TOKEN, "a.jpg#0, a tab, a sentence")
    captions: dict[str, dict[str, str]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or (bars and number == 1):
            continue
        match = pattern.fullmatch(line.rstrip("\r"))
        if match is None:
            raise ValueError(f"{path}, line {number} is not a caption; expected {expected}")
        image, which, text = match[1].strip(), match[2], match[3].strip()
        own = captions.setdefault(image, {})
        if not text or not own:  # the first line of a picture checks its name
            entry(image, text, f"{path}, line {number}")
        if which in own:
            raise ValueError(f"{path}, line {number}: {image}#{which} was there before; take one of them out")
        own[which] = text
    if not captions:
        raise ValueError(f"{path} is empty; expected a line a caption: {expected}")
    return [Entry(image, list(own.values())) for image, own in captions.items()]
