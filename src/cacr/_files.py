"""Files appear under their final names only when they are whole; what killed writers left is cleaned up.

And one process at a time is at work in a folder.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def read_toml(path: Path, missing: str) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        FileNotFoundError: No such file; it says ``missing``.
        ValueError: Not TOML.
    """
    if not path.is_file():
        raise FileNotFoundError(missing)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from error


def write_text_whole(path: Path, text: str) -> None:
    """Write a file of text beside its place and rename it, over an older one if there is."""
    write_bytes_whole(path, text.encode())


def write_bytes_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it, over an older one if there is."""
    written = beside(path)
    with written.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    written.replace(path)


def write_bytes_new(path: Path, content: bytes) -> None:
    """Write a file beside its place and give it its name, unless that is taken; its folder is made if need be.

    Raises:
        FileExistsError: There is a file of that name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    written = beside(path)
    try:
        written.write_bytes(content)
        publish(written, path)
    finally:
        written.unlink(missing_ok=True)


def write_whole(folder: Path, write: Callable[[Path], None]) -> None:
    """Fill a folder beside its place and rename it: it is either whole or not there."""
    remove_leftovers(folder.parent, folder.name)
    written = beside(folder)
    write(written)
    written.rename(folder)


def beside(path: Path, ending: str = "tmp") -> Path:
    """A hidden name next to a file, for what is not whole yet; it says who writes."""
    return path.with_name(f".{path.name}.{_host()}.{os.getpid()}.{ending}")


def publish(written: Path, path: Path) -> None:
    """Give a whole file its final name, unless that is taken.

    Raises:
        FileExistsError: There is a file of that name.
    """
    try:
        os.link(written, path)
        written.unlink()
    except FileExistsError:
        raise FileExistsError(
            f"{path} exists and is not overwritten; give another name or remove it first"
        ) from None
    except OSError:  # a file system without links
        written.rename(path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        except OSError:  # some network file systems sync no folders
            pass
        finally:
            os.close(folder)


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Remove what killed writers of this machine left beside files of a name; that of living ones stays."""
    owner = re.compile(rf"\..*\.{re.escape(_host())}\.(\d+)\.(?:tmp|parts)")
    for left in folder.glob(f".{name}.{_host()}.*"):
        match = owner.fullmatch(left.name)
        if match and not _lives(int(match[1])):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


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
