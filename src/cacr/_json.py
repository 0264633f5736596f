r"""JSON from anywhere: values that can be worked with, or a sentence that names the file.

Beside what is no JSON at all, two things are refused that Python's reader lets pass and that would fail later, far from
the file: half a surrogate pair (``"\ud800"``), which no tokenizer and no file takes, and nesting so deep that Python
gives up on it. Values take more memory than their text, a multiple of it, never more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cacr._messages import shortly

CURE = "copy it again, or correct it there"
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""What may be half a pair; most often it is one of two."""


def read_json(path: Path, cure: str = CURE) -> Any:
    """The content of a JSON file.

    Args:
        path: The file.
        cure: What to do where it is none, for the message.

    Raises:
        ValueError: It is no JSON, or no file that can be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error}); {cure}") from error
    return parse_json(content, str(path), cure)


def read_object(path: Path, cure: str = CURE) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ValueError: It is no JSON, or another value; or no file that can be read.
    """
    found = read_json(path, cure)
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds {shortly(found)}; expected an object: {cure}")
    return found


def json_lines(path: Path, cure: str = CURE) -> Iterator[tuple[int, Any]]:
    """The values of a file of JSON lines, one in memory at a time, each with the number of its line, from 1.

    Raises:
        ValueError: A line is no JSON; it is named by its number. Empty ones are passed over.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, parse_json(line, f"{path}, line {number}", cure)


def parse_json(text: str | bytes, where: str, cure: str = CURE, what: str = "not JSON") -> Any:
    """A JSON value. Raises ValueError, naming the place, where it is none.

    Examples:
        >>> parse_json(b'{"image": "a.jpg"}', "a.json")
        {'image': 'a.jpg'}
    """
    try:
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text))  # json itself would let halves of pairs through
        value = json.loads(text)
        if _HALF.search(text):
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is {what} ({error}); {cure}") from error
