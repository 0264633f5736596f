"""After a fault: every file under a final name opens whole, and what a user had is as it was.

Not final are hidden names of what is being written, and checkpoint folders without their ``complete`` file. A log
(metrics.jsonl) may end in the middle of a line, which is made again.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import tomllib
from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path

from PIL import Image
from safetensors import safe_open

from tests.faults.results import read_tensors

HIDDEN = re.compile(r"\..*\.(?:tmp|parts)|\.lock(?:-\d+)?")
LOGS = ("metrics.jsonl",)


def broken_files(folder: Path, others: Collection[str] = ()) -> list[str]:
    """A sentence for each file under a final name that does not open whole; ``others`` are not the run's."""
    found = []
    for file in sorted(folder.rglob("*")):
        inside = file.relative_to(folder)
        if not file.is_file() or inside.as_posix() in others:
            continue
        if any(HIDDEN.fullmatch(part) for part in inside.parts):
            continue
        if _in_unfinished_checkpoint(file, folder):
            continue
        try:
            _open(file)
        except Exception as error:  # of any kind: whatever a reader says of half a file
            found.append(f"{inside} is not whole: {type(error).__name__}: {str(error)[:120]}")
    return found


def _in_unfinished_checkpoint(file: Path, folder: Path) -> bool:
    for above in file.parents:
        if above == folder:
            return False
        if above.name.startswith("checkpoint-"):
            return not (above / "complete").is_file()
    return False


def _open(file: Path) -> None:
    if file.name.startswith("part-") and file.suffix == "":  # answers of an evaluation
        lines = file.read_bytes()
        if not lines:
            raise ValueError("empty")
        return
    check = CHECKS.get(file.suffix)
    if check is not None:
        check(file)


def _safetensors(file: Path) -> None:
    with safe_open(str(file), "pt") as opened:  # checks sizes
        for name in opened.keys():  # noqa: SIM118
            opened.get_tensor(name)


def _lines(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    for line in lines[:-1] if file.name in LOGS else lines:
        json.loads(line)
        if not line.endswith("\n"):
            raise ValueError("the last line has no end")


def _database(file: Path) -> None:
    with closing(sqlite3.connect(file)) as opened:
        said = opened.execute("pragma integrity_check").fetchone()
    if said != ("ok",):
        raise ValueError(str(said))


def _picture(file: Path) -> None:
    with Image.open(file) as opened:
        opened.load()


def _page(file: Path) -> None:
    if not file.read_text(encoding="utf-8").rstrip().endswith("</html>"):
        raise ValueError("it does not end with </html>")


def _text(file: Path) -> None:
    if not file.read_text(encoding="utf-8").endswith("\n"):
        raise ValueError("its last line has no end")


CHECKS: dict[str, Callable[[Path], object]] = {
    ".safetensors": _safetensors,
    ".json": lambda file: json.loads(file.read_text(encoding="utf-8")),
    ".jsonl": _lines,
    ".toml": lambda file: tomllib.loads(file.read_text(encoding="utf-8")),
    ".pt": read_tensors,
    ".pth": read_tensors,
    ".db": _database,
    ".png": _picture,
    ".html": _page,
    ".md": _text,
}
"""Ending -> what raises where such a file is not whole."""


def leave_belongings(folder: Path, out: str) -> None:
    """Put files of a user's own beside a run's, under names close to it."""
    for name in (f"{out}.txt", f".{out}.mine.tmp", f"{out}-old/config.toml", f"{out}-old/model.safetensors"):
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("mine = true\n" * 7)


def belongings(folder: Path, out: str) -> dict[str, str]:
    """Digests of all files that are not the run's: inputs, and a user's own."""
    made = (f"{out}.parts", f"{out}.skipped.json")
    return {
        file.relative_to(folder).as_posix(): hashlib.blake2b(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
        and (top := file.relative_to(folder).parts[0]) != out
        and top not in made
        and not (top.startswith(f".{out}.") and top != f".{out}.mine.tmp")
    }
