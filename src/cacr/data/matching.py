"""Which features belong to which picture, by name: the published sets name one picture in several ways.

COCO_val2014_000000058350.jpg    the picture's file           1000092795.jpg
COCO_val2014_000000058350        without ending               1000092795
coco_val2014_000000058350.npz    UNITER (MIT, Microsoft)      flickr30k_001000092795.npz
58350, 000000058350              bottom-up attention, VinVL   1000092795
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from posixpath import basename, splitext

NUMBERED = re.compile(r"(.*?)([0-9]{1,18})", re.ASCII | re.DOTALL)
COCO = re.compile(r"coco_(train|val|test)\d{4}_", re.ASCII)
COLLECTIONS = re.compile(r"coco_(train|val|test)\d{4}_|flickr30k_", re.ASCII)
"""What may stand before a number that others write alone. The number of ``dog_1.jpg`` says nothing by itself."""


class NameIndex:
    """Names of a store, found by the names of pictures. Made once per store."""

    def __init__(self, names: Iterable[str]):
        self._names = frozenset(names)
        self._by_number: dict[int, str | None] | None = None

    def find(self, name: str) -> str | None:
        """The store's name for a picture, or None.

        The first that fits: the same name; the path without ending; the name without folder; that without ending;
        with ``.npz`` for an ending; UNITER's name; the number at its end, where just one name of the store has it
        and what stands before it does not speak against it.

        Examples:
            >>> NameIndex(["58350", "b"]).find("val2014/COCO_val2014_000000058350.jpg")
            '58350'
        """
        if name in self._names:
            return name
        for other in _other_names(name):
            if other in self._names:
                return other
        return self._of_number(name)

    def _of_number(self, name: str) -> str | None:
        before, number = _number(name)
        if number is None:
            return None
        if self._by_number is None:
            self._by_number = {}
            for known in self._names:
                its = _number(known)[1]
                if its is not None:
                    self._by_number[its] = None if its in self._by_number else known
        found = self._by_number.get(number)
        return found if found is not None and _fit(before, _number(found)[0]) else None


def same_photograph(one: str, other: str) -> bool:
    """Whether two names are COCO's for one photograph: its numbers are the same in all years and splits.

    Examples:
        >>> same_photograph("val2014/COCO_val2014_000000058350.jpg", "000000058350.jpg")
        True
    """
    (a, number), (b, another) = _number(one), _number(other)
    named = [before for before in (a, b) if COCO.fullmatch(before)]
    return (
        number is not None and number == another and bool(named) and all(n in named or not n for n in (a, b))
    )


def _other_names(name: str) -> Iterator[str]:
    file = basename(name)
    stem = splitext(file)[0]
    yield splitext(name)[0]
    yield file
    yield stem
    yield f"{stem}.npz"
    digits = stem.isascii() and stem.isdecimal()
    lower = f"flickr30k_{stem.lstrip('0').zfill(12)}" if digits else stem.lower()
    yield f"{lower}.npz"
    yield lower


def _number(name: str) -> tuple[str, int | None]:
    stem = splitext(basename(name))[0]
    match = NUMBERED.fullmatch(stem)
    return (match[1].lower(), int(match[2])) if match else (stem, None)


def _fit(one: str, other: str) -> bool:
    if one == other:
        return True
    return not (one and other) and COLLECTIONS.fullmatch(one or other) is not None
