"""SIGKILL: at a change of the disk, at a moment, and again and again."""

from __future__ import annotations

import math
import signal
import time

from tests.faults.fault import Fault, Trial, began_nothing

LONGEST = 0.02
"""Seconds after a change in which a writer in C may be hit in its midst."""


def _where(trial: Trial, process: int = 0) -> tuple[int, str]:
    """A random change that a process made in the unbroken run, and how to be killed there."""
    at = trial.random.randint(1, len(trial.unbroken.changes[process]))
    delay = math.exp(trial.random.uniform(math.log(1e-5), math.log(LONGEST)))
    return at, trial.random.choice(["kill", "kill all", f"kill after {delay:.6f}", f"kill after {delay:.6f}"])


def kill_at_a_change(trial: Trial) -> str:
    """Kill where the disk is being changed."""
    process = trial.random.randrange(trial.command.processes)
    at, action = _where(trial, process)
    victim = trial.start(at=at, action=action, process=process)
    if trial.command.processes > 1 and trial.random.random() < 0.5 and victim.wait(60, process) != [0]:
        victim.signal(signal.SIGKILL)  # as torchrun does; else the others must see by themselves
    made = trial.unbroken.changes[process]
    trial.where.append(f"{action} at change {at} of {len(made)} ({made[at - 1]})")
    return f"{trial.where[-1]}: {victim.ended()}"


def kill_at_a_moment(trial: Trial) -> str:
    """Kill anywhere in the life of the process, its start included."""
    seconds = trial.random.uniform(0, trial.unbroken.seconds)
    victim = trial.start()
    time.sleep(seconds)
    victim.signal(signal.SIGKILL)
    trial.where.append(f"killed after {seconds:.3f} s of {trial.unbroken.seconds:.1f}")
    return f"{trial.where[-1]}: {victim.ended()}"


def kill_again(trial: Trial) -> str:
    """Kill it, go on, kill that, go on, kill that."""
    for number in range(3):
        at, action = _where(trial)
        victim = trial.start(again=number > 0, at=at, action=action)
        victim.ended()
        if began_nothing(victim):
            victim = trial.start(at=at, action=action)
            victim.ended()
        trial.where.append(f"{action} at change {at}")
    return "; then ".join(trial.where)


FAULTS = [
    Fault(
        "kill -9 at a change of the disk",
        "SIGKILL just before one of the command's changes of the disk, drawn uniformly, or up to "
        f"{1000 * LONGEST:.0f} ms into it: files opened, written, synced, renamed, linked or removed, commits of a "
        "database. Sometimes its workers go with it.",
        kill_at_a_change,
        points=6,
    ),
    Fault(
        "kill -9 at a moment",
        "SIGKILL to all its processes after a time drawn uniformly over the life of the unbroken run.",
        kill_at_a_moment,
        points=4,
    ),
    Fault(
        "kill -9 three times",
        "Killed at a change of the disk, gone on with, killed again, gone on with, killed again.",
        kill_again,
        fits=lambda command: command.processes == 1,
        points=2,
    ),
]
