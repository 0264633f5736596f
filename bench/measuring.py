"""What every bench shares: its setting, a row of the page, and the machine that made it."""

import datetime
import inspect
import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from cacr._measure import rounds

__all__ = ["Bench", "Row", "Setting", "in_a_process", "machine", "ratios", "rounds", "row"]


@dataclass(frozen=True)
class Setting:
    """How a bench is asked to run."""

    device: str = "cpu"
    quick: bool = False
    """Tiny sizes and two rounds: to see that it runs, not to learn anything."""
    release: Path | None = None
    """A folder of the public release of CACR or IAIS, whose own functions are then timed as well."""
    pictures: Path | None = None
    """captions.jsonl and features.safetensors (docs/data.md), for what needs real captions and regions."""

    def count(self, full: int) -> int:
        """Rounds to run."""
        return 2 if self.quick else full


@dataclass(frozen=True)
class Row:
    """One ratio, measured in one run."""

    name: str
    """What tells it from the other rows of its bench."""
    divides: str
    """"A / B" in words."""
    minimum: float
    """The smallest A over the smallest B: what a quiet machine would show."""
    median: float
    """The median of A / B, round by round."""
    rounds: int
    size: str
    device: str
    floor: float | None = None
    """At least this was asked for."""
    ceiling: float | None = None
    """At most this was asked for."""
    warm_minimum: float | None = None
    """The same with an allocator that keeps freed memory."""
    warm_median: float | None = None
    note: str = ""
    machine: str = ""
    date: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether both ratios are as asked; None where nothing was."""
        if self.floor is None and self.ceiling is None:
            return None
        low, high = sorted((self.minimum, self.median))
        return (self.floor is None or low >= self.floor) and (self.ceiling is None or high <= self.ceiling)

    def as_json(self) -> dict[str, Any]:
        """Its fields, without those that say nothing."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}


@dataclass(frozen=True)
class Bench:
    """A section of the page: a generator of rows. A string it yields says what is missing, and is only printed."""

    run: Callable[[Setting], Iterator[Row | str]]
    columns: tuple[str, str] = ("minimum", "median")
    """What its two numbers are called."""

    @property
    def title(self) -> str:
        """First line of the docstring of ``run``."""
        return self._lines()[0].rstrip(".")

    @property
    def about(self) -> str:
        """The rest of it: how it is measured."""
        return "\n".join(self._lines()[1:]).strip()

    def _lines(self) -> list[str]:
        return (inspect.getdoc(self.run) or " ").splitlines()


def ratios(above: Sequence[float], below: Sequence[float]) -> tuple[float, float]:
    """The ratio of the minima, and the median of the ratios round by round."""
    each = [a / b for a, b in zip(above, below, strict=True)]
    return min(above) / min(below), statistics.median(each)


def row(
    name: str,
    divides: str,
    above: Sequence[float],
    below: Sequence[float],
    *,
    size: str,
    device: str = "cpu",
    warm: tuple[Sequence[float], Sequence[float]] | None = None,
    **more: Any,
) -> Row:
    """A row out of the measurements of both sides, round by round."""
    minimum, median = ratios(above, below)
    if warm is not None:
        more["warm_minimum"], more["warm_median"] = ratios(*warm)
    return Row(name, divides, minimum, median, len(above), size, device, **more)


def in_a_process(
    what: str, module: str, *arguments: str, allocator: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The last line that a module prints, run in a process with as many threads as this one.

    Args:
        what: It does, for messages.
        module: As for ``python -m``.
        arguments: What it is given.
        allocator: Settings of malloc; the usual ones if empty, whatever this process has.

    Raises:
        RuntimeError: The process failed, for want of memory for example; the message is its own.
    """
    threads = str(torch.get_num_threads())
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    environment = {**plain, **allocator, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"the process of {what} failed ({done.returncode}):\n{done.stderr}")
    return done.stdout.splitlines()[-1]


def machine(device: str = "cpu") -> str:
    """The machine in words: processor, cores, memory, GPU, torch, threads."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = [_processor(), f"{os.cpu_count()} cores", f"{memory:.0f} GiB"]
    if torch.device(device).type == "cuda":
        parts.append(torch.cuda.get_device_name(device))
    threads = torch.get_num_threads()
    parts += [f"torch {torch.__version__}", f"{threads} thread" + "s" * (threads > 1)]
    return ", ".join(parts)


def today() -> str:
    """The date, as it stands in a row."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    text = about.read_text() if about.exists() else ""
    found = re.search(r"model name\s*:\s*(.+)", text)
    name = found[1].strip() if found else platform.processor() or platform.machine()
    wide = " with AVX-512" if " avx512f" in text else ""
    return name + wide
