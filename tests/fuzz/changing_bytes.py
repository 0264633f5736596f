"""Changes of bytes that know nothing of what they stand for: flips, cuts, blocks, extreme numbers."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from random import Random

EXTREMES = (
    0,
    1,
    -1,
    127,
    128,
    255,
    256,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**63 - 1,
    2**63,
)
FORMS = ("<I", ">I", "<Q", ">Q", "<H", ">H", "<f", "<d", "<e")
BYTES = (0, 1, 9, 10, 13, 32, 34, 44, 45, 48, 57, 91, 92, 93, 123, 125, 127, 128, 255)
"""Ends of lines, quotes, brackets, digits and the ends of the range."""
REPEATED = 1 << 15
"""Bytes that a repeated block grows to at most."""


def flip(rng: Random, data: bytearray, others: Sequence[bytes]) -> bytearray:
    """One to eight bits or bytes changed."""
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(data))
        data[at] = data[at] ^ (1 << rng.randrange(8)) if rng.random() < 0.5 else rng.choice(BYTES)
    return data


def cut(rng: Random, data: bytearray, others: Sequence[bytes]) -> bytearray:
    """Its beginning alone."""
    return data[: rng.randrange(len(data))]


def insert(rng: Random, data: bytearray, others: Sequence[bytes]) -> bytearray:
    """A few bytes more in the middle."""
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.randbytes(rng.choice((1, 1, 2, 4, 8, 64)))
    return data


def delete(rng: Random, data: bytearray, others: Sequence[bytes]) -> bytearray:
    """A part less in the middle."""
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 1, 2, 4, 8, 64, 1024))]
    return data


def copy(rng: Random, data: bytearray, others: Sequence[bytes]) -> bytearray:
    """A block of itself, at another place."""
    start, at, length = rng.randrange(len(data)), rng.randrange(len(data)), rng.choice((1, 4, 8, 32, 256))
    block = data[start : start + length]
    data[at : at + (len(block) if rng.random() < 0.5 else 0)] = block
    return data


def splice(rng: Random, data: bytearray, others: Sequence[bytes]) -> bytearray:
    """The beginning of itself and the end of another."""
    other = rng.choice(others)
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other) or 1) :]


def extreme(rng: Random, data: bytearray, others: Sequence[bytes]) -> bytearray:
    """An integer of 16 to 64 bits at an end of its range, or a float that is none, over what was there."""
    form = rng.choice(FORMS)
    if form in ("<f", "<d", "<e"):
        value = struct.pack(form, rng.choice((float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 6e4)))
    else:
        value = struct.pack(form, rng.choice(EXTREMES) & ((1 << (8 * struct.calcsize(form))) - 1))
    at = rng.randrange(len(data))
    data[at : at + len(value)] = value
    return data


def repeat(rng: Random, data: bytearray, others: Sequence[bytes]) -> bytearray:
    """A block many times."""
    start = rng.randrange(len(data))
    block = data[start : start + rng.choice((1, 2, 8, 64))]
    data[start:start] = block * min(rng.choice((2, 10, 1000, 10_000)), REPEATED // len(block))
    return data


CHANGES = (flip, flip, flip, cut, insert, delete, copy, splice, extreme, extreme, repeat)


def change_bytes(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One change of bytes."""
    if not data:
        return rng.randbytes(rng.randrange(1, 64))
    return bytes(rng.choice(CHANGES)(rng, bytearray(data), others))
