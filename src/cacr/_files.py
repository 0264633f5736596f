"""Writing so that a kill leaves the old file or the new one, and one process at a time at work in a folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def write_text_whole(path: Path, text: str) -> None:
    """Write a file beside its place and rename it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def write_whole(folder: Path, write: Callable[[Path], None]) -> None:
    """Fill a folder beside its place and rename it: it is either whole or not there."""
    for leftover in folder.parent.glob(f".{folder.name}.*.part"):  # of a kill while it was written
        shutil.rmtree(leftover, ignore_errors=True)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    write(beside)
    beside.rename(folder)


@contextmanager
def working_in(folder: Path, worker: int = 0) -> Iterator[None]:
    """Hold the folder for this process; the lock ends with the process, however that ends.

    Args:
        folder: The folder.
        worker: Processes that work together have different numbers.

    Raises:
        BlockingIOError: Another process is at work there.
    """
    try:
        import fcntl
    except ImportError:  # no such locks on Windows
        yield
        return
    with (folder / (f".lock-{worker}" if worker else ".lock")).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BlockingIOError(
                f"another process is at work in {folder}; wait for its end, or stop it"
            ) from error
        yield
