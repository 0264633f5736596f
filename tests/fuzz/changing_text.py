"""Changes of text that know its structure: values of JSON, lines, fields, base64 in a field."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from random import Random
from typing import Any

from tests.fuzz.changing_bytes import change_bytes

DEEP = 1_500
"""Brackets of a deeply nested value, more than Python's limit of recursion."""
STRINGS = (
    "",
    " ",
    "\0",
    "a\0b",
    "../../../etc/passwd",
    "/etc/passwd",
    "..",
    "C:\\x",
    "\ud800",
    "\u202e\u200b\ufeff",
    "e\u0301" * 50,
    "\U0001f3f3\ufe0f\u200d\U0001f308",
    "<script>alert(1)</script>",
    "x" * 300,
    "y" * 100_000,
    "%s%n{0}{x}",
    "\t",
    "a\tb\nc\r\nd",
    '"',
    "1e400",
    "NaN",
    "-1",
    "\x1b[31m",
)
NUMBERS = (0, -1, 1, 2**31, 2**53 + 1, 2**63, -(2**63) - 1, 10**30, 10**400, 0.5, -0.0, 1e308, 1e-320)
OTHERS = (None, True, False, [], {}, [[]], [None], {"": None}, float("nan"), float("inf"), -float("inf"))
RAW = (
    b"[" * DEEP,
    b'{"a":' * DEEP,
    b"[" * DEEP + b"]" * DEEP,
    b"9" * 5_000,
    b"1e999999999",
    b"'",
    b'""',
    b"\xff",
)
"""What is written in a field's place as it is."""
BASE64 = re.compile(rb"[A-Za-z0-9+/]{16,}={0,2}")


def change_text(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One change of a text: of the JSON that it is or that is in one of its lines or fields, or of lines and fields."""
    if rng.random() < 0.2 and (changed := _base64(rng, data, others)):
        return changed
    lines = data.split(b"\n")
    if (lines[0].strip() in (b"{", b"[") or len(lines) <= 2) and (changed := _json(rng, data)):
        return changed
    at = rng.randrange(len(lines))
    kind = rng.random()
    if kind < 0.1:
        del lines[at]
    elif kind < 0.2:
        lines[at:at] = [lines[rng.randrange(len(lines))]] * rng.choice((1, 1, 2, 50))
    elif kind < 0.3:
        other = rng.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    else:
        lines[at] = _line(rng, lines[at], others)
    return b"\n".join(lines)


def _line(rng: Random, line: bytes, others: Sequence[bytes]) -> bytes:
    if rng.random() < 0.5 and (changed := _json(rng, line)):
        return changed
    separator = b"\t" if b"\t" in line else b"," if b"," in line else b":" if b":" in line else b" "
    fields = line.split(separator)
    at = rng.randrange(len(fields))
    kind = rng.random()
    if kind < 0.1:
        del fields[at]
    elif kind < 0.2:
        fields[at:at] = [rng.choice(fields)]
    elif kind < 0.3:
        fields[at] = b'"' + fields[at] + rng.choice((b'"', b"", b'""'))
    elif kind < 0.5 and (changed := _json(rng, fields[at])):
        fields[at] = changed
    elif kind < 0.7:
        fields[at] = rng.choice(RAW)
    elif kind < 0.85:
        fields[at] = str(rng.choice(NUMBERS)).encode()
    else:
        fields[at] = rng.choice(STRINGS).encode("utf-8", "surrogatepass")
    return separator.join(fields)


def _base64(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes | None:
    """Bytes changed inside of base64, which stays base64."""
    found = list(BASE64.finditer(data))
    if not found:
        return None
    match = rng.choice(found)
    try:
        raw = base64.b64decode(match[0], validate=True)
    except binascii.Error:
        return None
    return data[: match.start()] + base64.b64encode(change_bytes(rng, raw, [raw])) + data[match.end() :]


def _json(rng: Random, data: bytes) -> bytes | None:
    """JSON with a value, a key or an item changed; None if it is no list or object."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict | list) or not value:
        return None
    places: list[tuple[Any, Any]] = []
    _places(value, places)
    inside, key = rng.choice(places)
    kind = rng.random()
    if kind < 0.1:
        del inside[key]
    elif kind < 0.15 and isinstance(inside, dict):
        inside[rng.choice(STRINGS)] = inside.pop(key)
    elif kind < 0.2 and isinstance(inside, list):
        inside[key:key] = [inside[key]] * rng.choice((1, 2, 100))
    elif kind < 0.3:
        other, place = rng.choice(places)
        inside[key] = json.loads(json.dumps(other[place]))
    elif kind < 0.4:
        inside[key] = "\0raw\0"
    elif kind < 0.6 and isinstance(inside[key], int | float) and not isinstance(inside[key], bool):
        inside[key] = rng.choice(
            (-inside[key], inside[key] + 1, inside[key] * 10**6, str(inside[key]), float(inside[key]))
        )
    else:
        inside[key] = rng.choice(rng.choice((NUMBERS, STRINGS, OTHERS)))
    return json.dumps(value).encode().replace(b'"\\u0000raw\\u0000"', rng.choice(RAW))


def _places(value: Any, places: list[tuple[Any, Any]]) -> None:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in list(items)[:200]:
        places.append((value, key))
        if isinstance(one, dict | list):
            _places(one, places)
