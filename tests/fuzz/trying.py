"""Inputs tried in a child process, so that whatever a reader does with them is found: it cannot take the fuzzer along.

A child that dies, that is at one input for too long or that needs too much memory ends, with the input known; the next
inputs get another child.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import pickle
import resource
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from tests.fuzz.guiding import Lines
from tests.fuzz.reader import REFUSALS, Reader

TIMES_FILE = 4
"""A reader may need so many times its file, beside what it is allowed, before that is a finding."""
AT_LEAST = 2 << 30
"""Bytes of address space that a child has beside what it starts with; more is refused to it."""
STUCK, SLOW = 20.0, 3.0
"""Seconds by the clock until a child is stopped; of the processor's time until an input counts as hanging."""
LAST = 500
"""Characters of what a child said before it crashed."""
_AT, _READ, _REFUSED, _PEAK, _SLOWEST, _DONE = range(6)
"""Places of numbers that a child shares with its parent."""


Feed = Callable[["Trying"], object]
"""Calls what it is given with one input after the other, as long as that returns True."""


def each(inputs: Iterable[bytes]) -> Feed:
    """Inputs in a row."""
    return lambda trying: all(map(trying, inputs))


@dataclass(frozen=True)
class Finding:
    """An input that a reader did not withstand."""

    kind: str
    """foreign, crash, hang, memory or executed."""
    said: str
    """What happened, and where; findings that say the same are one."""
    data: bytes


@dataclass
class Tally:
    """What became of inputs."""

    tried: int = 0
    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    """Seconds of processor time of the slowest input."""
    growth: int = 0
    """Bytes by which the memory of a child grew over one input or over many, the most of it."""
    findings: list[Finding] = field(default_factory=list)
    reached: list[bytes] = field(default_factory=list)
    """Inputs that reached a line of the readers that none before had."""

    def add(self, other: Tally) -> None:
        """Count those of another too."""
        self.tried += other.tried
        self.read += other.read
        self.refused += other.refused
        self.slowest = max(self.slowest, other.slowest)
        self.growth = max(self.growth, other.growth)
        self.findings += other.findings
        self.reached += other.reached


def lay_out(reader: Reader, folder: Path) -> Path:
    """Make a folder with what has to lie around a reader's file."""
    (folder / reader.file).parent.mkdir(parents=True)
    reader.around(folder)
    return folder


def attempt(
    reader: Reader,
    folder: Path,
    feed: Feed,
    mark: Path | None = None,
    watch: Lines | None = None,
) -> Tally:
    """Try inputs in a child until they, or it, end; ``tried`` says how many were.

    Args:
        reader: The reader.
        folder: Laid out for it.
        feed: Gives the inputs, in the child: see `each`.
        mark: A folder that is there only if something was executed.
        watch: Says whether an input reached anything new; lines that were reached are added to it.
    """
    shared = mmap.mmap(-1, 8 * 6)
    numbers = memoryview(shared).cast("Q")
    path, log = folder / reader.file, folder.with_suffix(".found")
    log.touch()
    alive, ended = os.pipe()
    child = os.fork()
    if not child:
        os.close(alive)
        _child(feed, Trying(reader, path, numbers, watch), log)
    os.close(ended)
    stuck = _wait(child, alive, numbers)
    os.close(alive)
    status = os.waitpid(child, 0)[1]
    tried, read, refused = (int(numbers[i]) for i in (_AT, _READ, _REFUSED))
    tally = Tally(tried, read, refused, numbers[_SLOWEST] / 1e9, int(numbers[_PEAK]))
    for kind, said, data in _logged(log):
        if kind == "new" and watch is not None:
            watch.seen.update(said)
            tally.reached.append(data)
        else:
            tally.findings.append(Finding(kind, said, data))
    if status and not numbers[_DONE]:
        data = path.read_bytes() if path.is_file() else b""
        number = os.waitstatus_to_exitcode(status)
        said = signal.Signals(-number).name if number < 0 else f"exit status {number}"
        said += f": {log.with_suffix('.said').read_text(errors='replace')[-LAST:]}"
        kind = "hang" if stuck else "crash"
        tally.findings.append(Finding(kind, f"over {STUCK:.0f} s" if stuck else said, data))
    if mark is not None and mark.exists():
        tally.findings.append(Finding("executed", "a pickle or a tag of YAML", path.read_bytes()))
        mark.rmdir()
    return tally


def _logged(log: Path) -> Iterator[tuple[str, Any, bytes]]:
    with log.open("rb") as lines:
        while lines.peek(1):
            yield pickle.load(lines)  # by our own child
    log.unlink()


def _wait(child: int, alive: int, numbers: memoryview) -> bool:
    """Whether the child had to be stopped; returns at its end."""
    at, since = -1, time.monotonic()
    while not select.select([alive], [], [], 0.5)[0]:
        if numbers[_AT] != at:
            at, since = numbers[_AT], time.monotonic()
        elif time.monotonic() - since > STUCK:
            os.kill(child, signal.SIGKILL)
            return True
    return False


def _child(feed: Feed, trying: Trying, log: Path) -> None:
    """Try the inputs; never returns."""
    status = 70
    try:
        quiet = os.open(os.devnull, os.O_RDWR)
        noise = os.open(log.with_suffix(".said"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream, where in enumerate((quiet, quiet, noise)):
            os.dup2(where, stream)
        faulthandler.disable()
        os.environ["RUST_BACKTRACE"] = "0"  # to say where a panic was takes seconds, once a child
        warnings.simplefilter("ignore")
        room = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + AT_LEAST
        resource.setrlimit(resource.RLIMIT_AS, (room, room))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with log.open("ab", buffering=0) as trying.found:
            trying.base = _peak()
            feed(trying)
        status = 0
    finally:
        os._exit(status)


class Trying:
    """Tries inputs one by one and notes what became of them where the parent can read it."""

    found: BinaryIO
    base: int

    def __init__(self, reader: Reader, path: Path, numbers: memoryview, watch: Lines | None):
        self.reader, self.path, self.numbers, self.watch = reader, path, numbers, watch

    def __call__(self, data: bytes) -> bool:
        """Whether the child can go on."""
        numbers, path = self.numbers, self.path
        path.unlink(missing_ok=True)  # a new file, since an old one may still be mapped
        path.write_bytes(data)
        numbers[_AT] += 1
        trial = lambda: outcome(self.reader, path)
        started = time.process_time_ns()
        said, new = (trial(), set()) if self.watch is None else self.watch.during(trial)
        took = time.process_time_ns() - started
        numbers[_SLOWEST] = max(numbers[_SLOWEST], took)
        if said in ("read", "refused"):
            numbers[_READ if said == "read" else _REFUSED] += 1
        else:
            self._note("foreign", said, data)
        if new:
            self._note("new", new, data)
        if took > SLOW * 1e9:
            self._note("hang", f"over {SLOW:.0f} s of the processor", data)
        grown = _peak() - self.base
        if grown > TIMES_FILE * len(data) + self.reader.allowed:
            # this one, or what those before left: it is tried again alone
            self._note("memory", f"over {TIMES_FILE} x the file + {self.reader.allowed >> 20} MiB", data)
            return False
        numbers[_PEAK] = max(numbers[_PEAK], grown)
        return True

    def end(self) -> None:
        """End the child at once, without what others do at an exit."""
        self.numbers[_DONE] = 1
        os.kill(os.getpid(), signal.SIGKILL)

    def _note(self, kind: str, said: Any, data: bytes) -> None:
        self.found.write(pickle.dumps((kind, said, data)))


def outcome(reader: Reader, path: Path) -> str:
    """read, refused, or what else happened and where."""
    try:
        reader.read(path)
        return "read"
    except REFUSALS as error:
        said = str(error)
        if path.name in said or any(str(folder) in said for folder in path.parents[:2]):  # of several files
            return "refused"
        return f"{type(error).__name__} without the file's name at {_where(error)}: {said[:200]!r}"
    except BaseException as error:
        return f"{type(error).__name__} at {_where(error)}: {str(error)[:200]!r}"


def _where(error: BaseException) -> str:
    """The last place in our own code that an error came through, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f"{os.sep}cacr{os.sep}" in f.filename]
    places = [*own[-1:], frames[-1]] if frames else []
    return " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(places))


def _peak() -> int:
    """The most bytes that this process had in memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
