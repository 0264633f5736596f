"""Inputs made of a reader's seeds: every cut of the small ones, and changed ones."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tests.fuzz.changing_bytes import change_bytes
from tests.fuzz.changing_inside import change_inside
from tests.fuzz.changing_text import change_text

SMALL = 8_192
"""Bytes of a seed that is cut at every one of them."""
LARGEST = 1 << 18
"""Bytes of an input beyond its seeds."""


def cuts(seeds: Sequence[bytes]) -> list[bytes]:
    """Every beginning of the small seeds."""
    return [seed[:length] for seed in seeds if len(seed) <= SMALL for length in range(len(seed))]


def changed(rng: Random, data: bytes, pool: Sequence[bytes], text: bool) -> bytes:
    """One to eight changes of an input; parts of the others in the pool may come into it."""
    largest = LARGEST + len(data)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4, 8))):
        try:
            data = _once(rng, data, pool, text)[:largest]
        except (
            ValueError,
            RecursionError,
            OverflowError,
        ):  # JSON so deep or numbers so long that Python writes none
            data = change_bytes(rng, data, pool)[:largest]
    return data


def _once(rng: Random, data: bytes, pool: Sequence[bytes], text: bool) -> bytes:
    kind = rng.random()
    if text and kind < 0.6:
        return change_text(rng, data, pool)
    if not text and kind < 0.6:
        inside = change_inside(
            rng, data, lambda part: change_bytes(rng, part, pool), lambda part: change_text(rng, part, pool)
        )
        if inside is not None:
            return inside
    return change_bytes(rng, data, pool)
