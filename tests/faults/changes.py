"""In a victim: count what it does to the disk, and act at a chosen change, or some microseconds into it.

Python tells of files opened, renamed, linked and removed by its audit hooks; what they do not tell of (fsync, the
writers of torch and safetensors, commits of a database) is wrapped. Changes elsewhere than in the victim's folder do
not count.
"""

from __future__ import annotations

import functools
import mmap
import os
import signal
import struct
import sys
from collections.abc import Callable
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
PATHS = {
    "open": 1,
    "os.rename": 2,
    "os.link": 2,
    "os.remove": 1,
    "os.rmdir": 1,
    "os.mkdir": 1,
    "os.truncate": 1,
}
"""Audit event -> how many of its arguments are paths."""


class Changes:
    """Counts changes below a folder, in this process and those forked from it, and acts at one of them.

    Args:
        folder: Only what is done below it counts.
        log: A file outside of the folder that gets a line per change.
        at: The change to act at, from 1; 0: none.
        action: What to do then, see `act`.
    """

    def __init__(self, folder: str, log: str, at: int = 0, action: str = "kill"):
        self.folder, self.at, self.action = os.path.realpath(folder), at, action
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.count = mmap.mmap(-1, 8)  # forked workers count on

    def watch(self) -> None:
        """Count from now on."""
        sys.addaudithook(self._hear)
        self._wrap(os, "fsync", lambda file: f"fsync {_name(file)}")
        import torch

        self._wrap(torch, "save", lambda value, file, *rest, **named: f"torch.save {_name(file)}")
        from safetensors import torch as tensors

        self._wrap(tensors, "serialize_file", lambda value, file, *rest, **named: f"tensors {_name(file)}")
        try:
            from sqlalchemy.engine.default import DefaultDialect
        except ImportError:  # no search without it
            return
        self._wrap(DefaultDialect, "do_commit", lambda *rest: "commit")

    def _wrap(self, owner: Any, name: str, says: Callable[..., str]) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        def counted(*arguments: Any, **named: Any) -> Any:
            self.happens(says(*arguments, **named))
            return original(*arguments, **named)

        setattr(owner, name, counted)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in PATHS or (event == "open" and not (arguments[2] or 0) & WRITES):
            return
        paths = [_name(path) for path in arguments[: PATHS[event]]]
        if any(os.path.abspath(path).startswith(self.folder + os.sep) for path in paths):  # noqa: PTH100
            shown = " to ".join(path.removeprefix(self.folder + os.sep) for path in paths)
            self.happens(f"{event.removeprefix('os.')} {shown}")

    def happens(self, what: str) -> None:
        """A change is about to be made."""
        (before,) = struct.unpack("q", self.count[:8])
        self.count[:8] = struct.pack("q", before + 1)
        os.write(self.log, f"{what}\n".encode(errors="replace"))
        if before + 1 == self.at:
            act(self.action)


def act(action: str) -> None:
    """Do to this process what is asked.

    ``kill`` and ``kill all`` (with its workers); ``stop``; ``term``, which goes to the first process where a
    worker is at the change, and ``term all``; ``kill after SECONDS``, which hits the writers that are not Python's in
    their midst: the alarm's default is to end a process at once, as SIGKILL does.
    """
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "kill all":
        os.killpg(0, signal.SIGKILL)
    elif action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action == "term":
        os.kill(os.getpgrp(), signal.SIGTERM)
    elif action == "term all":
        os.killpg(0, signal.SIGTERM)
    elif action.startswith("kill after "):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, float(action.removeprefix("kill after ")))
    else:
        raise ValueError(f"unknown action {action!r}")


def _name(path: Any) -> str:
    if isinstance(path, int):
        try:
            return os.readlink(f"/proc/self/fd/{path}")  # noqa: PTH115
        except OSError:
            return f"file {path}"
    return os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else type(path).__name__
