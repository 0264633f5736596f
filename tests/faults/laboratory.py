"""Victims: runs of our command line that are started, broken, and waited for.

A victim is forked from a server that has imported everything already: it starts in a tenth of a second, so that a kill
at a random moment hits its work and not its imports. Several processes of one run get torchrun's environment.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parents[2]
LONG = 900.0
"""Seconds; what takes longer hangs."""


class Miss(AssertionError):
    """A promise that was not kept; the text says which."""


@dataclass
class Victim:
    """The processes of one run of the command line."""

    laboratory: Laboratory
    pids: list[int]
    logs: list[Path]
    """Of each process what it said, and beside it what it did to the disk."""
    codes: dict[int, int] = field(default_factory=dict)
    """Process id -> exit code, negative for a signal, of those that were waited for."""

    def wait(self, seconds: float = LONG, process: int | None = None) -> list[int | None]:
        """Exit codes of all processes, or of one; None of one that did not end in that time, with its workers."""
        until = time.monotonic() + seconds
        pids = self.pids if process is None else [self.pids[process]]
        for pid in pids:
            if pid not in self.codes:
                code = self.laboratory.ask("wait", pid=pid, seconds=until - time.monotonic())
                if code is not None:
                    self.codes[pid] = code
        return [self.codes.get(pid) for pid in pids]

    def ended(self, seconds: float = LONG) -> list[int]:
        """Exit codes of all.

        Raises:
            Miss: One did not end in that time, with its workers. It is killed.
        """
        if None in self.wait(seconds):
            self.signal(signal.SIGKILL)
            self.wait(60)
            raise Miss(f"it did not end within {seconds:.0f} s: {tail(self.said)}")
        return [self.codes[pid] for pid in self.pids]

    def signal(self, number: signal.Signals, process: int | None = None) -> None:
        """Send a signal to one of the processes and its workers, or to all of them."""
        for pid in self.pids if process is None else [self.pids[process]]:
            with suppress(ProcessLookupError):
                os.killpg(pid, number)

    @property
    def said(self) -> str:
        """What all processes printed."""
        return "".join(log.read_text(errors="replace") for log in self.logs if log.is_file())

    def changes_of(self, process: int = 0) -> list[str]:
        """What a process did to the disk."""
        log = self.logs[process].with_suffix(".changes")
        return log.read_text(errors="replace").splitlines() if log.is_file() else []


class Laboratory:
    """The server and a folder for what victims say. Use it in a ``with`` block.

    Args:
        folder: Where to keep logs, apart from where victims work.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.numbers = itertools.count()
        folder.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
        environment["COLUMNS"] = "10000"  # sentences stay in one line
        self.server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.server"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def start(
        self,
        arguments: Sequence[str],
        folder: Path,
        processes: int = 1,
        *,
        at: int = 0,
        action: str = "kill",
        process: int = 0,
        more: dict[str, Any] | None = None,
    ) -> Victim:
        """Start ``cacr ARGUMENTS`` in a folder.

        Args:
            arguments: Of the command line.
            folder: Where it runs.
            processes: How many share the run, as under torchrun.
            at: The change of the disk at which to act, from 1; 0: none.
            action: What to do then; see `changes.act`.
            process: Which of several processes does it.
            more: For ``server.Breaking``: a module:function that is called in the victim first, and its arguments.
        """
        number, pids, logs = next(self.numbers), [], []
        port = _free_port() if processes > 1 else 0
        for rank in range(processes):
            log = self.folder / f"{number:05d}-{rank}.said"
            shared = {} if processes == 1 else _as_torchrun(rank, processes, port)
            acts = {"at": at, "action": action} if rank == process else {}
            pids.append(
                self.ask(
                    "start",
                    arguments=list(map(str, arguments)),
                    folder=str(folder),
                    log=str(log),
                    environment=shared,
                    more=more or {},
                    **acts,
                )
            )
            logs.append(log)
        return Victim(self, pids, logs)

    def ask(self, what: str, **given: Any) -> Any:
        """Ask the server."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps({"do": what} | given) + "\n")
        self.server.stdin.flush()
        line = self.server.stdout.readline()
        if not line:
            raise RuntimeError(f"the server of victims has ended with code {self.server.wait()}")
        return json.loads(line)

    def __enter__(self) -> Laboratory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.server:  # closes its pipes, and it ends
            pass


def tail(said: str) -> str:
    """The end of what a run printed, in one line."""
    return " ".join(said.split())[-400:] or "nothing was printed"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _as_torchrun(rank: int, processes: int, port: int) -> dict[str, str]:
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
