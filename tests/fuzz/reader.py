"""What the fuzzer knows of a reader: files that it reads rightly, and how to read all of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

REFUSALS = (ValueError, FileNotFoundError)
"""What a reader may raise, each with a sentence; anything else is foreign."""


@dataclass(frozen=True)
class Reader:
    """A reader of files from strangers.

    Args:
        name: As the table shows it, such as "features file (.safetensors)".
        file: Name that the input is written under in an empty folder, such as "features.safetensors".
        seeds: Small whole files, which it reads without an error.
        read: Reads everything of the file, as a user's command would; gets its path. Values are looked at, not dropped.
        around: Writes what else has to lie in the folder; called once.
        text: Whether the file is text, such as JSON, so that it is changed as text too.
        allowed: Bytes that reading may need beside 4 x the file.
    """

    name: str
    file: str
    seeds: tuple[bytes, ...]
    read: Callable[[Path], object]
    around: Callable[[Path], None] = lambda folder: None
    text: bool = False
    allowed: int = 64 << 20
