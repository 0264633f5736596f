"""A disk that refuses: full, over its quota, read-only, with errors, at a byte or a call drawn from the unbroken run.

Refused is what a preloaded library (`refusing.c`, compiled when it is needed) says, which works for any user and for
all that writes through the C library; and, where this user may mount, what a small disk of its own says.
"""

from __future__ import annotations

import atexit
import errno
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import mkdtemp

from tests.faults.commands import Command
from tests.faults.driver import check_equal
from tests.faults.fault import Fault, Miss, Trial
from tests.faults.laboratory import Laboratory, Victim

SOURCE = Path(__file__).with_name("refusing.c")
WRITES, SYNCS, NEW, CHANGES = 1, 2, 4, 8
"""What is refused: bytes, waiting for the disk, new files and folders, every change of names; see refusing.c."""
BYTES, SYNCED, CHANGED, REFUSED = range(4)
"""Counters."""
NEVER = 2**62
SENTENCE = re.compile(r"Error: (.+)")
PAGE = 4096
DATABASE = ".db could not be "
"""SQLite says of every refused sync that it is an error of the disk."""


@dataclass(frozen=True)
class Refusal:
    """What is answered with which error, from when on.

    Args:
        error: Of errno.
        parts: What is refused.
        counted: The counter that says when.
        single: Whether one call is refused, or all from then on.
        says: Words of the sentence that must be told.
    """

    error: int
    parts: int
    counted: int
    says: str
    single: bool = False
    at_start: bool = False

    def strike(self, trial: Trial) -> str:
        """Run the command on such a disk; a Miss where it does not end with one sentence that says so."""
        most = totals(trial)[self.counted]
        after = 0 if self.at_start else trial.random.randrange(max(1, most))
        victim, counters = _start(trial, self, after)
        codes = victim.ended()
        refused = _read(counters)[REFUSED]
        unit = ("bytes", "syncs", "changes")[self.counted]
        where = f"{os.strerror(self.error)} after {after} of {most} {unit}: {codes}"
        trial.where.append(where)
        if refused and not any(codes):  # what is not needed any more could not be removed
            check_equal(trial.folder, trial.command, trial.unbroken.results)
        elif refused:
            check_said(victim, codes, trial, self.says)
        elif any(codes):
            raise Miss(f"nothing was refused, and it ended with {codes}: {victim.said[-300:]}")
        return where


def check_said(victim: Victim, codes: list[int | None], trial: Trial, words: str) -> None:
    """Raises Miss where a refused command did not end with code 1 and one sentence that names a file and the reason."""
    if None in codes:
        raise Miss(f"it did not end: {victim.said[-300:]}")
    if "Traceback" in victim.said or "Exception ignored" in victim.said:
        raise Miss(f"a traceback: {' '.join(victim.said.split())[-600:]}")
    if any(code not in (0, 1) for code in codes) or not any(codes):
        raise Miss(f"it ended with {codes}: {' '.join(victim.said.split())[-300:]}")
    sentences = SENTENCE.findall(victim.said)
    told = [one for one in sentences if words in one or (DATABASE in one and BROKEN.says in one)]
    if len(told) != 1 or len(sentences) > trial.command.processes:
        raise Miss(f"{len(told)} of {len(sentences)} sentences say {words!r}: {' '.join(sentences)[-400:]}")
    if not _names_a_file(told[0], trial):
        raise Miss(f"the sentence names no file of the run: {told[0]}")


def _names_a_file(told: str, trial: Trial) -> bool:
    named = told.split(" could not be ")[0]
    return named.startswith(trial.command.out) or named.startswith(str(trial.folder.resolve()))


def totals(trial: Trial) -> list[int]:
    """Bytes, syncs and changes of the unbroken run; it is run once more to count them."""
    if trial.command.name not in _TOTALS:
        given = trial.folder.with_name(f"{trial.folder.name} counted")
        shutil.copytree(trial.folder, given)
        whole = Trial(trial.command, given, trial.random, trial.unbroken, trial.laboratory)
        victim, counters = _start(whole, Refusal(errno.EIO, 0, BYTES, ""), NEVER)
        codes = victim.ended(300)
        shutil.rmtree(given)
        if any(codes):
            raise RuntimeError(f"counting ended with {codes}: {victim.said[-500:]}")
        _TOTALS[trial.command.name] = _read(counters)
    return _TOTALS[trial.command.name]


_TOTALS: dict[str, list[int]] = {}
_NUMBERS = count()


def _start(trial: Trial, refusal: Refusal, after: int) -> tuple[Victim, Path]:
    laboratory = preloaded()
    counters = laboratory.folder / f"counters-{next(_NUMBERS)}"
    given = {
        "folder": str(trial.folder),
        "parts": refusal.parts,
        "counted": refusal.counted,
        "after": after,
        "error": refusal.error,
        "single": refusal.single,
        "counters": str(counters),
    }
    more = {"call": "tests.faults.refusing:refuse", "with": given}
    arguments, processes = trial.command.arguments, trial.command.processes
    return laboratory.start(arguments, trial.folder, processes, more=more), counters


def _read(counters: Path) -> list[int]:
    return list(struct.unpack("4l", counters.read_bytes()))


@cache
def preloaded() -> Laboratory:
    """A laboratory whose victims can be refused; closed when this process ends."""
    folder = Path(mkdtemp(prefix="refusing-"))
    library = folder / "refusing.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    before = os.environ.get("LD_PRELOAD")
    os.environ["LD_PRELOAD"] = str(library)
    try:
        laboratory = Laboratory(folder / "logs")
    finally:
        os.environ.pop("LD_PRELOAD")
        if before is not None:
            os.environ["LD_PRELOAD"] = before

    def close() -> None:
        laboratory.__exit__(None, None, None)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(close)
    return laboratory


def can_compile() -> bool:
    """Whether there is a C compiler."""
    return shutil.which("cc") is not None


@cache
def can_mount() -> bool:
    """Whether this user may mount a disk in memory."""
    place = mkdtemp()
    try:
        if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], capture_output=True).returncode:
            return False
        subprocess.run(["umount", place], check=True)
        return True
    except FileNotFoundError:
        return False
    finally:
        Path(place).rmdir()


@contextmanager
def small_disk(folder: Path, room: int, options: str = "") -> Iterator[None]:
    """A disk of its own at a folder, with what is in it and so many bytes of room; its files stay when it is gone."""
    kept = folder.with_name(f"{folder.name} kept")
    shutil.copytree(folder, kept)
    used = sum(PAGE * (1 + -(-file.stat().st_size // PAGE)) for file in kept.rglob("*") if file.is_file())
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={used + 8 * PAGE + room}", "tmpfs", folder], check=True
    )
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        if options:
            subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)
        yield
    finally:
        shutil.rmtree(kept)
        shutil.copytree(folder, kept)
        subprocess.run(["umount", folder], check=True)
        shutil.rmtree(folder)
        kept.rename(folder)


def small(trial: Trial) -> str:
    """Run on a disk with room for a part of what the command writes."""
    room = PAGE * trial.random.randrange(max(1, totals(trial)[BYTES] // PAGE))
    with small_disk(trial.folder, room):
        victim = trial.start()
        codes = victim.ended()
        trial.where.append(f"a disk with room for {room} bytes: {codes}")
        if any(codes):
            check_said(victim, codes, trial, "no space is left on the disk")
    return trial.where[-1]


def read_only(trial: Trial) -> str:
    """Run on a disk that takes nothing."""
    with small_disk(trial.folder, PAGE, "ro"):
        victim = trial.start()
        codes = victim.ended()
        trial.where.append(f"a read-only disk: {codes}")
        check_said(victim, codes, trial, "the disk is read-only")
    return trial.where[-1]


FULL = Refusal(errno.ENOSPC, WRITES | SYNCS | NEW, BYTES, "no space is left on the disk")
QUOTA = Refusal(errno.EDQUOT, WRITES | SYNCS, BYTES, "the quota of disk space is used up")
FULL_AT_SYNC = Refusal(errno.ENOSPC, SYNCS, SYNCED, "no space is left on the disk")
BROKEN = Refusal(errno.EIO, WRITES | SYNCS, BYTES, "the disk reports an error")
BROKEN_ONCE = Refusal(errno.EIO, SYNCS, SYNCED, "the disk reports an error", single=True)
REMOUNTED = Refusal(errno.EROFS, WRITES | SYNCS | NEW | CHANGES, CHANGED, "the disk is read-only")
FORBIDDEN = Refusal(errno.EACCES, NEW | CHANGES, CHANGED, "permission is denied", at_start=True)


def _one_process(command: Command) -> bool:
    return command.processes == 1


PRELOADED = [
    Fault(
        "disk full",
        "No space is left after a byte drawn uniformly over all that the command writes: the write is cut there, later "
        "ones, syncs and new files are refused (ENOSPC).",
        FULL.strike,
        points=4,
    ),
    Fault("quota used up", "The same with EDQUOT; new names are still taken.", QUOTA.strike, points=2),
    Fault(
        "disk full at a sync",
        "All writes are taken, and a sync of a file or folder says that there was no room, as network disks do.",
        FULL_AT_SYNC.strike,
        points=2,
    ),
    Fault(
        "disk with errors",
        "EIO for every write and sync after a byte drawn uniformly.",
        BROKEN.strike,
        points=2,
    ),
    Fault("one error at a sync", "EIO from one sync, and never again.", BROKEN_ONCE.strike, points=2),
    Fault(
        "read-only from a moment on",
        "EROFS for every change from one drawn uniformly on, as where a disk with errors is mounted anew.",
        REMOUNTED.strike,
        points=2,
    ),
    Fault("no permission", "EACCES for every change from the first on.", FORBIDDEN.strike, points=1),
]
MOUNTED = [
    Fault(
        "a small disk",
        "A disk in memory with room for a part, drawn uniformly, of what the command writes in all.",
        small,
        points=2,
    ),
    Fault("a read-only disk", "A disk in memory that was mounted read-only.", read_only, points=1),
]
FAULTS = [*(PRELOADED if can_compile() else []), *(MOUNTED if can_mount() else [])]
