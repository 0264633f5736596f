"""What a folder says of how it was made, held to what our commands write: whoever made the folder wrote it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cacr._json import read_object
from cacr._messages import shortly

DAMAGED = "it was changed or damaged after the run"
MOST = 4096
"""Processes and threads that a run may have had."""
Check = tuple[Callable[[Any], bool], str]


def read_environment(file: Path) -> dict[str, Any]:
    """What a run or a record was made with; of a record, empty where it does not say.

    Args:
        file: environment.json of a run, which holds nothing else, or a .json file that has it under that name.

    Raises:
        ValueError: No JSON object, or a value that a repetition goes by is of another type than is written.
    """
    found = read_object(file, DAMAGED)
    if file.name != "environment.json":
        found = found.get("environment", {})
    if not isinstance(found, dict):
        raise ValueError(f"{file}: environment is {shortly(found)}; expected an object: {DAMAGED}")
    for name, (fits, expected) in WRITTEN.items():
        if found.get(name) is not None and not fits(found[name]):
            raise ValueError(f"{file}: {name} is {shortly(found[name])}; expected {expected}: {DAMAGED}")
    return found


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) and "\0" not in word for word in value)


def _is_hash(value: Any) -> bool:
    return isinstance(value, str | None) or (isinstance(value, dict) and type(value.get("bytes")) is int)


_COUNT: Check = (_is_count, f"a whole number from 1 to {MOST}")
WRITTEN: dict[str, Check] = {
    "processes": _COUNT,
    "threads": _COUNT,
    "command": (_are_words, "a list of words"),
    "folder": (lambda value: isinstance(value, str), "a path"),
    "variables": (lambda value: isinstance(value, dict), "an object"),
    "data": (
        lambda value: isinstance(value, dict) and all(map(_is_hash, value.values())),
        "an object of hashes",
    ),
    "resumed": (
        lambda value: isinstance(value, list) and all(isinstance(one, dict) for one in value),
        "a list of objects",
    ),
}
"""What a repetition goes by; all else is shown as it is."""
