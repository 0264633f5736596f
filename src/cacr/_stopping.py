"""What SIGTERM means: a cluster takes the machine away in some seconds. Work stops whole, and the exit code says so."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

RESUMABLE = 75
"""Exit code after SIGTERM: what was finished is kept, start again (EX_TEMPFAIL of sysexits.h)."""
INTERRUPTED = 130
"""Exit code after Ctrl-C."""
STOPPED = "Told to stop (SIGTERM). What was finished is kept: give the same command again, with --resume if it has that"


class Preempted(KeyboardInterrupt):
    """SIGTERM came. What catches Ctrl-C to leave things whole catches this too."""


_told = False


def exit_code() -> int:
    """Of work that was stopped: `RESUMABLE` if SIGTERM stopped it, else `INTERRUPTED`."""
    return RESUMABLE if _told else INTERRUPTED


@contextmanager
def preemptible(to_the_end: bool = False) -> Iterator[None]:
    """The first SIGTERM raises `Preempted` where the main thread is; later ones change nothing.

    A scheduler may signal every process of a job, and a launcher its workers once more.

    Args:
        to_the_end: The process ends after the block: what comes while it does changes nothing either.
    """

    def stop(number: int, frame: Any) -> None:
        global _told
        if not _told:
            _told = True
            raise Preempted(STOPPED)

    with _handling(stop, to_the_end):
        yield


@contextmanager
def after_this_step() -> Iterator[Callable[[], bool]]:
    """SIGTERM interrupts nothing until the end of the block, and is told by what is given: for steps that end soon."""

    def note(number: int, frame: Any) -> None:
        global _told
        _told = True

    with _handling(note):
        yield lambda: _told


def reader(worker: int) -> None:
    """For a process that reads for this one (``worker_init_fn``): it ends with this one, not by a signal to all."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def stop_if_told() -> None:
    """Between two pieces of work: the first may have ended although it was told to stop.

    Raises:
        Preempted: SIGTERM came.
    """
    if _told:
        raise Preempted(STOPPED)


@contextmanager
def _handling(handler: Callable[[int, Any], None], to_the_end: bool = False) -> Iterator[None]:
    global _told
    if threading.current_thread() is not threading.main_thread():  # only that one may set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, handler)
    if before in (signal.SIG_DFL, signal.SIG_IGN):
        _told = False  # nobody around was told
    try:
        yield
    finally:
        after = before if before is not None else signal.SIG_DFL
        signal.signal(signal.SIGTERM, signal.SIG_IGN if to_the_end and _told else after)
