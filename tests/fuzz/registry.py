"""All readers that are fuzzed: every ``READERS`` of the files ``readers_*.py`` beside this one."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from tests.fuzz.reader import Reader

FOLDER = Path(__file__).parent
CORPUS = FOLDER / "corpus"
"""Inputs that a reader once did not withstand, in a folder per reader: they stay mended."""


def readers() -> list[Reader]:
    """Every reader, by the name of its file and its place there."""
    names = sorted(file.stem for file in FOLDER.glob("readers_*.py"))
    return [reader for name in names for reader in import_module(f"tests.fuzz.{name}").READERS]


def corpus_of(reader: Reader) -> Path:
    """The folder of a reader's kept inputs."""
    return CORPUS / re.sub(r"[^a-z0-9+]+", "-", reader.name.lower()).strip("-")
