"""What a file of captions says of one picture, checked the same way whatever the file was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

from cacr._messages import shortly
from cacr.data.matching import NameIndex


class Entry(NamedTuple):
    """One picture's captions. A picture may have several entries: a file may give a line to each caption."""

    image: str
    """Its path inside the folder of pictures."""
    captions: Sequence[str]
    splits: tuple[str, ...] = ()
    """The parts of the data that it belongs to."""


def entry(image: Any, captions: Any, where: str, splits: tuple[str, ...] = ()) -> Entry:
    """An entry from what stands in a file.

    Args:
        image: The picture's path inside the folder of pictures.
        captions: A sentence or a list of them; blanks around a sentence are dropped.
        where: File and place, for messages.
        splits: The parts of the data that it belongs to.

    Raises:
        ValueError: No name, a name that leads out of the folder, or captions that are not sentences.
    """
    if not isinstance(image, str) or not image.strip():
        raise ValueError(f'{where} names no picture; expected {{"image": "a.jpg", "captions": ["…"]}}')
    if not inside(image):
        raise ValueError(
            f"{where}: the picture {shortly(image)} lies outside of the folder; give a path inside it"
        )
    captions = [captions] if isinstance(captions, str) else captions
    if not isinstance(captions, list) or not captions:
        raise ValueError(f'{where} has no captions for {image}; expected "captions": a list of sentences')
    return Entry(image, [sentence(caption, image, where) for caption in captions], splits)


def sentence(caption: Any, image: str, where: str) -> str:
    """A caption without blanks around it. Raises ValueError where it is no text or empty."""
    if not isinstance(caption, str):
        raise ValueError(
            f"{where} has no captions for {image} but {shortly(caption)}; expected sentences: correct it or "
            "take it out"
        )
    caption = caption.strip()
    if not caption:
        raise ValueError(
            f"{where} has no captions for {image}: an empty one among them; correct it or take it out"
        )
    return caption


def split_names(split: Any, where: str) -> tuple[str, ...]:
    """The splits of an entry from a column of names: none where it is empty."""
    if split is None or split == "":
        return ()
    if not isinstance(split, str):
        raise ValueError(f'{where}: split is {shortly(split)}; expected a name, e.g. "train"')
    return (split.strip(),)


def of_split(entries: Sequence[Entry], split: str | None, source: Path) -> Sequence[Entry]:
    """The entries of one part of the data.

    Args:
        entries: All entries of the file.
        split: Name of a part; or path of a text file with a picture's name or number a line; all if None.
        source: The file, for messages.

    Raises:
        ValueError: No such part, or the list names pictures that the captions do not know.
    """
    if split is None:
        return entries
    chosen = [one for one in entries if split in one.splits]
    if chosen:
        return chosen
    if Path(split).is_file():
        return _listed(entries, Path(split), source)
    counts = Counter(name for name, _ in {(name, one.image) for one in entries for name in one.splits})
    known = ", ".join(
        f"{name} ({number} picture{'s' * (number > 1)})" for name, number in sorted(counts.items())
    )
    raise ValueError(
        f"{source} has no split {shortly(split)}; "
        + (f"its splits are: {known}" if known else "it has no splits")
        + ". A text file with a picture's name a line may be given instead"
    )


def _listed(entries: Sequence[Entry], file: Path, source: Path) -> Sequence[Entry]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"the list {file} is not text ({error}); expected a picture's name a line"
        ) from error
    names = dict.fromkeys(line.strip() for line in lines if line.strip())
    index = NameIndex(names)
    found = {image: index.find(image) for image in {one.image for one in entries}}
    strange = names.keys() - found.values()
    if not names or strange:
        first = next((name for name in names if name in strange), "none")
        raise ValueError(
            f"{file} lists {len(names)} pictures, and {source} has captions for {len(names) - len(strange)} of "
            f"them. First without: {first}. Expected names or numbers of its pictures, e.g. {entries[0].image}"
        )
    return [one for one in entries if found[one.image] is not None]


def each_once(names: Iterable[str], what: str, path: Path) -> None:
    """Raises ValueError where one of the names comes twice."""
    seen: set[str] = set()
    for number, name in enumerate(names, start=1):
        if name in seen:
            raise ValueError(f"{path}, {what} {number}: {name} was there before; take one of them out")
        seen.add(name)


def inside(name: str) -> bool:
    r"""Whether a picture's name is a path inside of whatever folder it is looked for in, on every system.

    Examples:
        >>> [inside(name) for name in ("val2014/a.jpg", "../a.jpg", "/a.jpg", "a\\..\\..\\b.jpg", "C:a.jpg")]
        [True, False, False, False, False]
    """
    parts = name.replace("\\", "/").split("/")
    drive = ":" in name and PureWindowsPath(name).drive
    named = parts[0] and parts[-1] not in ("", ".")
    return bool(named) and ".." not in parts and not drive and "\0" not in name
