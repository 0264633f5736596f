"""Msgpack of strangers as maps, lists, numbers and bytes: nothing is built that the value does not pay for.

The msgpack package makes a list as long as a header claims, and an object of every byte; a value of 256 MB could so
ask for gigabytes. Here things are counted, and long bytes stay where they are: an array of features is not copied.

Source of the format: github.com/msgpack/msgpack, spec.md.
"""

from __future__ import annotations

import struct
from typing import Any

MOST_THINGS = 20_000
"""Maps, lists, strings and numbers in one value; a picture of UNITER's has about 60."""
DEEPEST = 8
LONG = 1024
"""Bytes from which on a string or binary data is a view of the value."""
NUMBERS = {
    code: struct.Struct(f">{form}")
    for code, form in zip((0xCA, 0xCB, *range(0xCC, 0xD4)), "fdBHIQbhiq", strict=True)
}
CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
LENGTHS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
"""Bytes that hold the length of binary data or a string, by code."""
COUNTS = {0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}
"""Bytes that hold the number of things in a list, or of pairs in a map (from 0xDE on), by code."""


def unpack(data: memoryview) -> Any:
    """The value that the bytes stand for: strings and binary data as bytes, or as views of the value if long.

    Raises:
        ValueError: It is not one msgpack value, holds too many things or too deep, or an extension type.
    """
    at, left = 0, MOST_THINGS

    def things(count: int, depth: int) -> list[Any]:
        nonlocal at, left
        left -= count
        if left < 0 or depth > DEEPEST:
            raise ValueError(f"it holds over {MOST_THINGS} things, or over {DEEPEST} within each other")
        found: list[Any] = []
        for _ in range(count):
            code = data[at]
            at += 1
            if code < 0x80:
                found.append(code)
            elif 0xA0 <= code < 0xC0:
                at += code & 31
                found.append(data[at - (code & 31) : at].tobytes())
            elif code in LENGTHS:
                start = at + LENGTHS[code]
                length = int.from_bytes(data[at:start], "big")
                at = start + length
                found.append(data[start:at] if length >= LONG else data[start:at].tobytes())
            elif code < 0x90:
                found.append(pairs(code & 15, depth))
            elif code < 0xA0:
                found.append(things(code & 15, depth + 1))
            elif code in CONSTANTS:
                found.append(CONSTANTS[code])
            elif code >= 0xE0:
                found.append(code - 0x100)
            elif code in NUMBERS:
                found.append(NUMBERS[code].unpack_from(data, at)[0])
                at += NUMBERS[code].size
            elif code in COUNTS:
                start = at
                at += COUNTS[code]
                inside = int.from_bytes(data[start:at], "big")
                found.append((things if code < 0xDE else pairs)(inside, depth + 1))
            else:
                raise ValueError(f"it holds a thing of code {code:#x}, an extension or none of msgpack's")
        return found

    def pairs(count: int, depth: int) -> dict[bytes, Any]:
        both = things(2 * count, depth + 1)
        if not all(type(key) is bytes for key in both[::2]):
            raise ValueError("a key of a map is no short text")
        return dict(zip(both[::2], both[1::2], strict=True))

    try:
        value = things(1, 0)[0]
    except (IndexError, struct.error):
        at = len(data) + 1
    if at > len(data):
        raise ValueError(f"it ends within a thing, after {len(data)} bytes")
    if at < len(data):
        raise ValueError(f"{len(data) - at} bytes follow it")
    return value
