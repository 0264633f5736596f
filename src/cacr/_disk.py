"""What a disk refused, in a sentence: which file, why, how much room there is, and what to do.

Python says it by an ``OSError``, torch, safetensors, tokenizers and SQLite by errors of their own, most of them without
a file's name.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

ROOM = "Make room and give the same command again, with --resume where it has one: what was finished is kept"
ELSEWHERE = "Make it writable or name another place, and give the same command again"
REASONS = {
    errno.ENOSPC: ("no space is left on the disk", ROOM),
    errno.EDQUOT: ("the quota of disk space is used up", ROOM),
    errno.EFBIG: ("a file may not be that large there", "Raise the limit (ulimit -f), or name another place"),
    errno.EROFS: ("the disk is read-only", ELSEWHERE),
    errno.EACCES: ("permission is denied", ELSEWHERE),
    errno.EPERM: ("permission is denied", ELSEWHERE),
    errno.EIO: ("the disk reports an error", "Check the disk, and give the same command again"),
    errno.ESTALE: ("the disk is not connected any more", "Connect it, and give the same command again"),
}
"""Error number -> what happened, what to do."""
OPENING = "unable to open database file"
"""SQLite of a disk that refuses files, whatever its reason."""
SIGNS = (
    ("database or disk is full", errno.ENOSPC),
    ("readonly database", errno.EROFS),
    ("disk I/O error", errno.EIO),
    (OPENING, errno.EACCES),
    *((os.strerror(number), number) for number in REASONS if number != errno.EPERM),
)
"""How libraries say it: SQLite in its own words, Rust's and C++'s in those of the system."""
TORCH = (
    "PytorchStreamWriter failed",
    "unexpected pos",
    "iostream error",
    "cannot be opened",
    "enforce fail at inline",
)
"""How ``torch.save`` says that it could not write; why not, it does not say."""
TRIED = 2**20
"""Bytes that are written to see why the disk refused."""
HIDDEN = re.compile(r"\.(.+)\.[A-Za-z0-9-]+\.\d+\.(?:tmp|parts)", re.DOTALL)
"""Names of what is not whole yet; see `cacr._files.beside`."""


class NotWritten(OSError):
    """A file or folder that could not be written; the text is a sentence. ``errno`` is set."""

    def __init__(self, said: str, number: int | None = None):
        super().__init__(said)
        self.errno = number


@contextmanager
def writing(path: Path, size: int | None = None) -> Iterator[None]:
    """What the disk refuses while a file or folder is written becomes one sentence that names it.

    Args:
        path: Its final name.
        size: Bytes that are needed, where that is known.

    Raises:
        NotWritten: The disk refused something.
    """
    try:
        yield
    except Exception as error:
        number = refused(error, path)
        if number is None:
            raise
        raise NotWritten(sentence(path, number, size), number) from error


def refused(error: BaseException, path: Path | None = None) -> int | None:
    """The number of the error by which a disk refused something; None of other errors, and of what is said already.

    Args:
        error: What was raised.
        path: What was being written: errors that name a file elsewhere are not of it.
    """
    if isinstance(error, OSError):
        if error.errno not in REASONS or isinstance(error, NotWritten):
            return None
        if path is None or not isinstance(error.filename, str | os.PathLike):
            return error.errno
        named, path = Path(error.filename).absolute(), path.absolute()
        return error.errno if named.is_relative_to(path.parent) or path.is_relative_to(named) else None
    if isinstance(error, ValueError | ImportError):  # sentences of ours
        return None
    texts: list[str] = []
    one: BaseException | None = error
    while one is not None and len(texts) < 8:
        texts.append(str(one))
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    for text in texts:
        if found := re.search(r"os error (\d+)", text):
            return int(found[1]) if int(found[1]) in REASONS else None
        for sign, number in SIGNS:
            if sign in text:
                return _likely(path, number) if sign == OPENING and path is not None else number
    if path is not None and any(sign in text for text in texts for sign in TORCH):
        return _likely(path)
    return None


def told(error: BaseException) -> str | None:
    """What to tell a person of an error of the disk that nobody has made a sentence of; None of other errors."""
    name = error.filename if isinstance(error, OSError) else None
    number = refused(error)
    if number is None:
        known = isinstance(error, OSError) and isinstance(name, str) and error.strerror
        return f"{name}: {error.strerror.lower()}" if known else None  # type: ignore[attr-defined]
    if number in (errno.EACCES, errno.EPERM) and name is not None:
        return f"{_final(Path(name))} could not be read or written: {REASONS[number][0]}. {ELSEWHERE}"
    return sentence(Path.cwd() if name is None else Path(os.fsdecode(name)), number, tried="read or written")


def sentence(path: Path, number: int, size: int | None = None, tried: str = "written") -> str:
    """What could not be done to a file, why, the room there is, and what to do."""
    why, cure = REASONS[number]
    free = _free(path) if cure == ROOM else None
    room = "" if free is None else f" ({free:,} bytes are free"
    room += f", {size:,} are needed)" if room and size is not None else ")" if room else ""
    return f"{_final(path)} could not be {tried}: {why}{room}. {cure}"


def _final(path: Path) -> Path:
    """What a person knows of a path: the name that was to be, where it is hidden until it is whole."""
    for place, part in enumerate(path.parts):
        if hidden := HIDDEN.fullmatch(part):
            return Path(*path.parts[:place], hidden[1])
    return path


def _free(path: Path) -> int | None:
    there = next((folder for folder in path.absolute().parents if folder.is_dir()), None)
    try:
        return None if there is None else shutil.disk_usage(there).free
    except OSError:
        return None


def _likely(path: Path, otherwise: int = errno.EIO) -> int:
    """Why nothing could be written there, by trying: a file without a name, of a size that is soon written."""
    there = next((folder for folder in path.absolute().parents if folder.is_dir()), Path.cwd())
    try:
        with TemporaryFile(dir=there, buffering=0) as file:
            left = TRIED
            while left > 0:
                left -= file.write(bytes(left))
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno in REASONS:
            return error.errno
    return otherwise
