"""SIGTERM with a grace period: what a cluster sends before it takes a machine away."""

from __future__ import annotations

import signal
import time

from tests.faults.fault import Fault, Miss, Trial, tail
from tests.faults.laboratory import Victim

RESUMABLE = 75
GRACE = 30.0
"""Seconds: what clusters give at least."""


def stop_at_a_change(trial: Trial) -> str:
    """SIGTERM where the disk is being changed; workers and other processes hear it too, or not."""
    process = trial.random.randrange(trial.command.processes)
    at = trial.random.randint(1, len(trial.unbroken.changes[process]))
    action = trial.random.choice(["term", "term all"])
    victim = trial.start(at=at, action=action, process=process)
    if trial.random.random() < 0.5 and victim.wait(0, process) == [None]:
        _wait_for(victim, process, at)
        victim.signal(signal.SIGTERM)  # a launcher sends it once more, and to the others
    made = trial.unbroken.changes[process][at - 1]
    return _ended(
        trial, victim, f"{action} at change {at} of {len(trial.unbroken.changes[process])} ({made})"
    )


def stop_at_a_moment(trial: Trial) -> str:
    """SIGTERM to all processes anywhere in their lives."""
    seconds = trial.random.uniform(0, trial.unbroken.seconds)
    victim = trial.start()
    time.sleep(seconds)
    victim.signal(signal.SIGTERM)
    return _ended(trial, victim, f"SIGTERM after {seconds:.3f} s of {trial.unbroken.seconds:.1f}")


def _wait_for(victim: Victim, process: int, at: int) -> None:
    until = time.monotonic() + 60
    while len(victim.changes_of(process)) < at and time.monotonic() < until:
        if victim.wait(0, process) != [None]:
            return
        time.sleep(0.005)


def _ended(trial: Trial, victim: Victim, where: str) -> str:
    trial.where.append(where)
    codes = victim.ended(GRACE)
    checkpoints = sorted(file.parent.name for file in trial.folder.glob("run/checkpoints/*/complete"))
    trial.where[-1] += f": {codes} {' '.join(checkpoints)}".rstrip()
    made, usual = [victim.changes_of(process) for process in range(len(codes))], trial.unbroken.changes
    idle = not any(made) or all(len(one) >= len(other) for one, other in zip(made, usual, strict=True))
    if (
        set(codes) - {0, RESUMABLE} - ({-signal.SIGTERM} if idle else set())
    ):  # idle: before its work, or after it
        raise Miss(f"exit codes {codes}, expected {RESUMABLE}: {tail(victim.said)}")
    if "Traceback" in victim.said:
        raise Miss(f"it printed a traceback: {tail(victim.said)}")
    return trial.where[-1]


FAULTS = [
    Fault(
        "SIGTERM at a change of the disk",
        "SIGTERM at one of the command's changes of the disk, to the first process, or to its workers as well, "
        f"sometimes twice. It must end within {GRACE:.0f} s with code {RESUMABLE}, or 0 where it was done.",
        stop_at_a_change,
        points=3,
    ),
    Fault(
        "SIGTERM at a moment",
        "SIGTERM to all its processes after a time drawn uniformly over the life of the unbroken run.",
        stop_at_a_moment,
        points=2,
    ),
]
