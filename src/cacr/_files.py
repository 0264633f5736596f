"""Files appear under their final names only when they are whole; what killed writers left is cleaned up.

And one process at a time is at work in a folder.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import socket
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from cacr._disk import HIDDEN, writing

logger = logging.getLogger(__name__)
WITHOUT_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)
WITHOUT_SYNC = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)
WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
"""How file systems say that they have no hard links, sync no folders, have no locks."""


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
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from error


def write_text_whole(path: Path, text: str) -> None:
    """Write a file of text beside its place and rename it, over an older one if there is."""
    write_bytes_whole(path, text.encode())


def write_bytes_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it, over an older one if there is.

    Raises:
        NotWritten: The disk refused it; an older file is as it was.
    """
    with _new_beside(path, content) as written:
        written.replace(path)
        sync(path.parent)


def write_bytes_new(path: Path, content: bytes) -> None:
    """Write a file beside its place and give it its name, unless that is taken; its folder is made if need be.

    Raises:
        FileExistsError: There is a file of that name.
        NotWritten: The disk refused it.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with _new_beside(path, content) as written:
        publish(written, path)


@contextmanager
def _new_beside(path: Path, content: bytes) -> Iterator[Path]:
    """A whole file beside a place, on the disk; it is gone after the block unless it was given another name."""
    remove_leftovers(path.parent, path.name)
    written = beside(path)
    try:
        with writing(path, len(content)):
            with written.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield written
    finally:
        _remove(written)


def write_whole(folder: Path, write: Callable[[Path], None]) -> None:
    """Fill a folder beside its place and rename it: it is either whole, and on the disk, or not there.

    Args:
        folder: The folder to be; those above it are made if need be.
        write: Makes and fills the folder that it is given.

    Raises:
        FileExistsError: There is something of that name.
        NotWritten: The disk refused it.
    """
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder.parent, folder.name)
        written = beside(folder)
        try:
            write(written)
            for place, _, names in os.walk(written):
                for name in names:
                    sync(Path(place, name))
                sync(Path(place))
            _refuse_existing(folder)  # an empty folder would be renamed over
            written.rename(folder)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                _refuse_existing(folder)
            raise
        finally:
            _remove(written)
        sync(folder.parent)


def beside(path: Path, ending: str = "tmp") -> Path:
    """A hidden name next to a file, for what is not whole yet; it says who writes."""
    return path.with_name(f".{path.name}.{_host()}.{os.getpid()}.{ending}")


def publish(written: Path, path: Path) -> None:
    """Give a whole file its final name, unless that is taken.

    Raises:
        FileExistsError: There is a file of that name.
        NotWritten: The disk refused it.
    """
    with writing(path):
        try:
            os.link(written, path)
            written.unlink()
        except OSError as error:
            _refuse_existing(path)
            if error.errno not in WITHOUT_LINKS:
                raise
            written.rename(path)
        sync(path.parent)


def _refuse_existing(path: Path) -> None:
    if os.path.lexists(path):
        raise FileExistsError(f"{path} exists and is not overwritten; give another name or remove it first")


def sync(path: Path) -> None:
    """Wait until a file is on the disk, or of a folder the names in it. Within `writing`, which names what is made.

    Raises:
        OSError: The disk refused it.
    """
    if os.name != "posix" and path.is_dir():  # no such thing on Windows
        return
    opened = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(opened)
    except OSError as error:
        if not (path.is_dir() and error.errno in WITHOUT_SYNC):
            raise
    finally:
        os.close(opened)


def remove_whole(folder: Path) -> None:
    """Remove a folder that is not needed any more: none or all of it is there, also after a kill.

    What a kill leaves has a name that `remove_leftovers` knows.
    """
    with writing(folder):
        away = beside(folder)
        folder.rename(away)
    _remove(away)


def next_name(pattern: str) -> Path:
    """The first of numbered names that nothing has.

    Examples:
        >>> next_name("no such folder/demo-{:03d}").name
        'demo-001'
    """
    return next(path for path in map(Path, map(pattern.format, count(1))) if not path.exists())


def may_begin(folder: Path) -> bool:
    """Whether a folder is not there, or has nothing in it but what a process left that ended at its beginning."""
    if not folder.exists():
        return True
    names = [one.name for one in folder.iterdir()] if folder.is_dir() else [folder.name]
    return all(name.startswith(".lock") or HIDDEN.fullmatch(name) for name in names)


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove what killed writers of this machine left in a folder; that of living ones stays.

    Args:
        folder: The folder.
        name: Only what was to become a file or folder of this name.
    """
    which = ".+" if name is None else re.escape(name)
    left = re.compile(rf"\.{which}\.{re.escape(_host())}\.(\d+)\.(?:tmp|parts)", re.DOTALL)
    try:
        names = [one.name for one in folder.iterdir()]
    except FileNotFoundError:
        return
    for one in names:
        if (match := left.fullmatch(one)) and not _lives(int(match[1])):
            _remove(folder / one)


def _remove(path: Path) -> None:
    """What cannot be removed stays: the next run tries again."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


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

    What killed writers left in the folder is removed.

    Args:
        folder: The folder.
        worker: Processes that work together have different numbers.

    Raises:
        BlockingIOError: Another process is at work there.
        NotWritten: The disk refused the file of the lock.
    """
    try:
        import fcntl
    except ImportError:  # no such locks on Windows
        yield
        return
    with ExitStack() as stack:
        with writing(folder):
            place = folder / (f".lock-{worker}" if worker else ".lock")
            file = stack.enter_context(place.open("w"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BlockingIOError(
                    f"another process is at work in {folder}; wait for its end, or stop it"
                ) from None
            except OSError as error:
                if error.errno not in WITHOUT_LOCKS:
                    raise
                logger.warning(
                    "%s has no locks (%s): start nothing else there meanwhile", folder, error.strerror
                )
            if not (place.exists() and os.path.samestat(os.fstat(file.fileno()), place.stat())):
                raise BlockingIOError(
                    f"another process has just ended its work in {folder}; give the same command again"
                )
        remove_leftovers(folder)
        yield
