"""Flickr30k Entities: which phrase of a Flickr30k caption means which boxes.

    Sentences/1000092795.txt      [/EN#283585/people Five people] wearing [/EN#283586/clothing winter jackets] …
    Annotations/1000092795.xml    <object><name>283585</name><bndbox><xmin>1</xmin> … </bndbox></object>
    train.txt, val.txt, test.txt  a picture's number a line

A line of Sentences is a caption; its words are split at blanks. An object may have several names (chains that share a
box), and a chain several objects. Objects without a box say so (``nobndbox``), or that they are the whole scene. Chain
0 is not visual. Corners are pixels, counted from 1, the last one included.

Paper: Plummer et al. 2015, arXiv:1505.04870. Files: github.com/BryanPlummer/flickr30k_entities (annotations.zip);
the pictures are Flickr30k's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree

import torch
from PIL import Image
from torch import Tensor

from cacr._messages import shortly
from cacr.data.entries import Entry, of_split
from cacr.data.grounding.grounded import Grounded, Phrase
from cacr.data.named_pictures import Folders, Missing, NamedPictures
from cacr.regions import Regions

SENTENCES, ANNOTATIONS = "Sentences", "Annotations"
LONGEST = 2**20
"""Bytes of the largest file that is read; the published ones have a few thousand."""
OPENS = re.compile(r"\[/EN#([0-9]+)((?:/[A-Za-z]+)+)")
OBTAIN = "Get annotations.zip of github.com/BryanPlummer/flickr30k_entities and unpack it"
NOT_VISUAL = "0"


def is_entities(folder: Path) -> bool:
    """Whether a folder holds the two folders of the annotations."""
    return (folder / SENTENCES).is_dir() and (folder / ANNOTATIONS).is_dir()


def open_entities(
    folder: str | os.PathLike[str],
    split: str | None = None,
    features: str | os.PathLike[str] | Mapping[str, Regions] | None = None,
    images: Folders | None = None,
    missing: Missing = "refuse",
    n: int | None = None,
    detect: Callable[[Image.Image], Regions] | None = None,
) -> list[Grounded]:
    """Captions of Flickr30k with the boxes of their phrases; those without a visual phrase are left out.

    Args:
        folder: Holds Sentences and Annotations.
        split: train, val or test, where the folder has such a list; or path of a list; all if None.
        features: Region features of the pictures: a path for `cacr.regions.open_features`, or an open store.
        images: Folder of Flickr30k's pictures.
        missing: Where pictures have no features or no file: "refuse", or "skip": leave them out, logging how many.
        n: Only the captions of the first pictures.
        detect: Regions of pixels, where there are no features: what a detector finds, when a picture is asked for.

    Raises:
        FileNotFoundError: Not such a folder, or a file, picture or features that are missing.
        ValueError: A broken file; file, place and cure are named.
    """
    folder = Path(folder)
    if not is_entities(folder):
        raise FileNotFoundError(
            f"{folder} is not Flickr30k Entities; expected the folders {SENTENCES} and {ANNOTATIONS}. {OBTAIN}"
        )
    if n is not None and n < 1:
        raise ValueError(f"n is {n}; expected 1 picture or more")
    # beside them may lie README.txt or ._1.txt
    stems = [file.stem for file in (folder / SENTENCES).glob("*.txt")]
    numbers = sorted((s for s in stems if s.isascii() and s.isdecimal()), key=lambda s: (len(s), s))
    if not numbers:
        raise FileNotFoundError(f"{folder / SENTENCES} has no file such as 1000092795.txt. {OBTAIN}")
    listed = None if split is None else folder / f"{split}.txt"
    entries = [Entry(f"{number}.jpg", ["…"]) for number in numbers]
    chosen = of_split(entries, str(listed) if listed and listed.is_file() else split, folder / SENTENCES)
    named = NamedPictures([one.image for one in chosen], folder, features, images, missing, detect=detect)
    found: list[Grounded] = []
    for name in named.names[:n]:
        picture, number = named.picture(name), name.removesuffix(".jpg")
        boxes = read_boxes(folder / ANNOTATIONS / f"{number}.xml")
        for index, (caption, marked) in enumerate(read_sentences(folder / SENTENCES / f"{number}.txt")):
            nothing = torch.zeros(0, 4, dtype=torch.float64)
            phrases = [
                Phrase(start, end, boxes.get(chain, nothing), f"{kind} {chain}")
                for start, end, chain, kind in marked
                if chain != NOT_VISUAL
            ]
            if any(len(one.boxes01) for one in phrases):
                found.append(Grounded(caption, picture, phrases, f"{number}#{index}", number))
    if not found:
        raise ValueError(f"no caption under {folder} has a phrase with a box; copy the annotations again")
    return found


def read_sentences(path: Path) -> list[tuple[str, list[tuple[int, int, str, str]]]]:
    """Captions of a file, each with (first character, the one after the last, chain, kind) of its phrases.

    Raises:
        ValueError: A broken line, named by its number.
    """
    found = []
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            found.append(_sentence(line, f"{path}, line {number}"))
    if not found:
        raise ValueError(f"{path} is empty; expected a caption a line. Copy the file again")
    return found


def _sentence(line: str, where: str) -> tuple[str, list[tuple[int, int, str, str]]]:
    caption, marked = "", []
    open_: tuple[int, str, str] | None = None
    for word in line.split():
        if word.startswith("[/EN#"):
            sign = OPENS.fullmatch(word)
            if sign is None or open_ is not None:
                raise ValueError(
                    f"{where}: {word[:60]!r} opens no phrase; expected [/EN#NUMBER/KIND after a phrase's end. "
                    "Copy the file again"
                )
            open_ = (len(caption) + bool(caption), sign[1], sign[2].strip("/"))
            continue
        closes = open_ is not None and word.endswith("]")
        if not (closes and word == "]"):  # a bracket that stands alone ends the word before it
            caption += (" " if caption else "") + (word[:-1] if closes else word)
        if closes and open_ is not None:
            start, chain, kind = open_
            if start >= len(caption):
                raise ValueError(f"{where}: a phrase of chain {chain} has no word. Copy the file again")
            marked.append((start, len(caption), chain, kind))
            open_ = None
    if open_ is not None:
        raise ValueError(
            f"{where}: the phrase of chain {open_[1]} has no end; expected a bracket. Copy the file again"
        )
    return caption, marked


def read_boxes(path: Path) -> dict[str, Tensor]:
    """Chain -> its boxes [box, 4], xyxy as fractions of the picture; chains without a box are left out.

    Raises:
        FileNotFoundError: No such file.
        ValueError: No XML, with declarations that the published files do not have, or with impossible boxes.
    """
    text = _text(path)
    if "<!DOCTYPE" in text.upper() or "<!ENTITY" in text.upper():
        raise ValueError(
            f"{path} declares a document type or entities, which the published files do not; it is not read"
        )
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, RecursionError, ValueError) as error:
        raise ValueError(f"{path} is not XML ({error}); copy it again") from error
    width, height = (_whole(root.find("size"), side, f"{path}: size") for side in ("width", "height"))
    if width < 1 or height < 1:
        raise ValueError(f"{path}: the picture has {width} x {height} pixels; copy the file again")
    found: dict[str, list[list[float]]] = {}
    for number, thing in enumerate(root.findall("object"), start=1):
        where = f"{path}, object {number}"
        names = [(one.text or "").strip() for one in thing.findall("name")]
        if not names or not all(name.isascii() and name.isdecimal() for name in names):
            raise ValueError(
                f"{where}: its names are {shortly(names)}; expected numbers. Copy the file again"
            )
        for box in thing.findall("bndbox"):
            x1, y1, x2, y2 = (_whole(box, edge, where) for edge in ("xmin", "ymin", "xmax", "ymax"))
            edges = [max(0, x1 - 1), max(0, y1 - 1), min(width, x2), min(height, y2)]
            if edges[0] >= edges[2] or edges[1] >= edges[3]:
                raise ValueError(
                    f"{where}: a box from {x1}, {y1} to {x2}, {y2} in a picture of {width} x {height}; expected "
                    "corners inside of it. Copy the file again"
                )
            for name in names:
                found.setdefault(name, []).append(
                    [edges[0] / width, edges[1] / height, edges[2] / width, edges[3] / height]
                )
    return {name: torch.tensor(boxes, dtype=torch.float64) for name, boxes in found.items()}


def _whole(parent: ElementTree.Element | None, name: str, where: str) -> int:
    text = "" if parent is None else (parent.findtext(name) or "").strip()
    if not re.fullmatch(r"-?[0-9]{1,6}", text, re.ASCII):
        raise ValueError(
            f"{where}: {name} is {shortly(text)}; expected a whole number of pixels. Copy the file again"
        )
    return int(text)


def _text(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}, and another file names its picture. {OBTAIN} again")
    with path.open("rb") as file:
        content = file.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise ValueError(f"{path} is larger than {LONGEST} bytes; the published files have a few thousand")
    if b"\0" in content:  # a parser of XML would take it for UTF-16 and see what a look at the text does not
        raise ValueError(f"{path} is not UTF-8 text (it has a zero byte); copy it again")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error}); copy it again") from error
