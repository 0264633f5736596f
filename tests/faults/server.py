"""The process that victims are forked from: it imports, and does nothing else that a run would find done.

Requests come as lines of JSON: ``start`` answers with a process id, ``wait`` with an exit code or null.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
import time
from contextlib import suppress
from importlib import import_module
from typing import Any

from tests.faults.changes import Changes

ROOMS = (
    "cacr.training.run",
    "cacr.training.pretraining",
    "cacr.benchmarks.running",
    "cacr.scorers.looking",
    "cacr.scorers.opening",
    "cacr.regions.collecting",
    "cacr.regions.detector",
    "cacr.explore.analysis",
    "cacr.explore.page",
    "cacr.models.checkpoints",
    "cacr.models.families",
    "cacr.demo.report",
    "cacr.study.report",
    "cacr.sweep.run",
    "matplotlib.backends.backend_agg",
    "accelerate",
    "transformers.models.bert",
    "torch.distributed.distributed_c10d",
)
CHILD_SUBREAPER = 36  # linux/prctl.h


def main() -> int:
    """Answer until the harness closes the line; in a victim: what its command ends with."""
    ctypes.CDLL(None).prctl(
        CHILD_SUBREAPER, 1, 0, 0, 0
    )  # what a killed victim leaves behind is ours to wait for
    _import_all()
    gc.freeze()
    living: set[int] = set()
    for line in sys.stdin:
        request = json.loads(line)
        if request.pop("do") == "wait":
            answer = wait(**request)
            living -= {request["pid"]} if answer is not None else set()
        elif answer := os.fork():
            os.setpgid(answer, answer)  # as the victim does: whoever is first
            living.add(answer)
        else:
            return victim(**request)
        print(json.dumps(answer), flush=True)
    for pid in living:  # the harness was ended in the midst of a trial
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    return 0


def _import_all() -> None:
    from cacr.cli import COMMANDS

    for place in (*ROOMS, *(function.partition(":")[0] for function, _ in COMMANDS.values())):
        try:
            import_module(place)
        except ImportError as error:  # an extra that is not installed
            print(f"{place}: {error}", file=sys.stderr)
    for extra in ("optuna", "lmdb"):
        try:
            import_module(extra)
        except ImportError:
            print(f"{extra} is not installed", file=sys.stderr)


def victim(
    arguments: list[str],
    folder: str,
    log: str,
    environment: dict[str, str],
    more: dict[str, Any],
    at: int = 0,
    action: str = "kill",
) -> int:
    """Run a command line in this forked process; its exit code."""
    os.setpgid(0, 0)
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.chdir(folder)
    os.environ.update(environment)
    sys.argv = ["cacr", *arguments]
    _fork_workers()
    Changes(folder, log.removesuffix(".said") + ".changes", at, action).watch()
    if more:
        module, name = more["call"].split(":")
        getattr(import_module(module), name)(**more.get("with", {}))
    from cacr.cli import main

    return main()


def _fork_workers() -> None:
    """Worker processes are forked, too, where the command would start them anew and import for seconds.

    As new ones would, they do not hear the signals that the first process does.
    """
    import multiprocessing

    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))

    usual = multiprocessing.get_context
    multiprocessing.get_context = lambda method=None: usual("fork" if method == "spawn" else method)  # type: ignore


def wait(pid: int, seconds: float) -> int | None:
    """The exit code of a victim whose whole group of processes has ended, or None after some seconds."""
    end, code = time.monotonic() + seconds, _CODES.pop(pid, None)
    while True:
        try:
            one, status = os.waitpid(-pid, os.WNOHANG)
        except ChildProcessError:  # nobody is left
            return code
        if one == pid:
            code = os.waitstatus_to_exitcode(status)
        elif not one:
            if time.monotonic() > end:
                if code is not None:
                    _CODES[pid] = code
                return None
            time.sleep(0.003)


_CODES: dict[int, int] = {}
"""Of victims that have ended while their workers have not."""

if __name__ == "__main__":
    sys.exit(main())
