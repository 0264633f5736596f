"""Several processes: one of a run is lost, or two runs want one folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.faults.fault import Fault, Miss, Trial, tail
from tests.faults.laboratory import ROOT
from tests.faults.stopping import RESUMABLE

LOST = ("the connection to another process of this run broke", "was told to stop", "Told to stop")
AT_WORK = ("another process is at work", "exists and is not overwritten", "to resume in")
WAITING = 180.0
"""Seconds in which a process must see that another was lost."""
TORCHRUN = [
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--nproc-per-node",
    "2",
    "-m",
    "cacr",
]


def lose_one(trial: Trial) -> str:
    """Kill one of several processes; the others must see it by themselves."""
    process = trial.random.randrange(trial.command.processes)
    seconds = trial.random.uniform(0.2, 1) * trial.unbroken.seconds
    victim = trial.start()
    time.sleep(seconds)
    victim.signal(signal.SIGKILL, process)
    trial.where.append(f"process {process} killed after {seconds:.3f} s")
    codes = victim.ended(WAITING)
    trial.where[-1] += f": {codes}"
    if codes[process] == 0:
        return trial.where[-1]  # it had ended before
    others = [code for number, code in enumerate(codes) if number != process]
    if 0 in others and not (trial.folder / trial.command.out / "model").is_dir():
        raise Miss(f"the other ended with 0 without a result: {tail(victim.said)}")
    if any(others) and not any(words in victim.said for words in LOST):
        raise Miss(f"the other does not say why it ended: {tail(victim.said)}")
    if "Traceback" in victim.said:
        raise Miss(f"a traceback: {tail(victim.said)}")
    return trial.where[-1]


def two_at_once(trial: Trial) -> str:
    """Halt one run at a change of the disk, start another in its folder, and let the first go on."""
    at = trial.random.randint(1, len(trial.unbroken.changes[0]))
    again = trial.random.random() < 0.5
    first = trial.start(at=at, action="stop")
    until = time.monotonic() + 120
    while len(first.changes_of()) < at and time.monotonic() < until:
        time.sleep(0.005)
    time.sleep(0.05)
    held = any("/.lock" in change for change in first.changes_of()[:-1])
    try:
        second = trial.start(again=again)
        (code,) = second.ended()
    finally:
        first.signal(signal.SIGCONT)
    (own,) = first.ended()
    trial.where.append(
        f"the first halted at change {at} of {len(trial.unbroken.changes[0])} ({first.changes_of()[at - 1]}), the "
        f"second{' with --resume' if again and trial.command.resume else ''}: {[own, code]}"
    )
    if held and (code != 1 or not any(words in second.said for words in AT_WORK)):
        raise Miss(f"the second was not refused: {tail(second.said)}")
    if {own, code} - {0, 1} or 0 not in (own, code) or (held and own != 0):
        raise Miss(f"codes {[own, code]}; the first: {tail(first.said)}; the second: {tail(second.said)}")
    if "Traceback" in first.said + second.said:
        raise Miss(f"a traceback: {tail(first.said)}; {tail(second.said)}")
    return trial.where[-1]


def torchrun_loses_one(trial: Trial) -> str:
    """The same under torchrun itself, which ends the other one."""
    return _under_torchrun(trial, signal.SIGKILL)


def torchrun_is_stopped(trial: Trial) -> str:
    """SIGTERM to torchrun and all its processes."""
    return _under_torchrun(trial, signal.SIGTERM)


def _under_torchrun(trial: Trial, number: signal.Signals) -> str:
    """Signal one process (SIGKILL), or all of them, when some lines of metrics are there."""
    lines, delay = trial.random.randint(1, 4), trial.random.uniform(0, 0.2)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "10000"}
    process = subprocess.Popen(
        [*TORCHRUN, *trial.command.arguments],
        cwd=trial.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    metrics = trial.folder / trial.command.out / "metrics.jsonl"
    while process.poll() is None and not (
        metrics.is_file() and len(metrics.read_text().splitlines()) >= lines
    ):
        time.sleep(0.005)
    time.sleep(delay)
    workers = _children(process.pid)
    hit = workers if number == signal.SIGTERM else [trial.random.choice(workers)] if workers else []
    for pid in hit:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
    if number == signal.SIGTERM and trial.random.random() < 0.5:
        process.send_signal(number)
    try:
        said, _ = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        for pid in [*_children(process.pid), process.pid]:
            os.kill(pid, signal.SIGKILL)
        raise Miss("torchrun did not end within 120 s") from None
    trial.where.append(
        f"{number.name} after {lines} lines of metrics and {delay:.3f} s: {process.returncode}"
    )
    if process.returncode != 0 and not any(words in said for words in LOST):
        raise Miss(f"no process says why it ended: {tail(said)}")
    if number == signal.SIGTERM and process.returncode != 0 and f"exitcode  : {RESUMABLE}" not in said:
        trial.where.append("torchrun tells no exit code of ours")
    return trial.where[-1]


def _children(pid: int) -> list[int]:
    """The processes that a process started."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


FAULTS = [
    Fault(
        "one of two processes lost",
        "SIGKILL to one of the processes at a random moment, while nobody ends the other: it must end with a sentence.",
        lose_one,
        fits=lambda command: command.processes > 1,
        points=5,
    ),
    Fault(
        "torchrun loses a process",
        "The same under torchrun itself.",
        torchrun_loses_one,
        fits=lambda command: command.processes > 1,
        points=2,
    ),
    Fault(
        "SIGTERM under torchrun",
        "SIGTERM to all processes under torchrun itself, and to torchrun in half of the trials.",
        torchrun_is_stopped,
        fits=lambda command: command.processes > 1,
        points=2,
    ),
    Fault(
        "two runs in one folder",
        "The first is halted at a change of the disk, a second is started in its folder, the first goes on: where the "
        "first held the folder the second is refused with a sentence; the results are those of one run.",
        two_at_once,
        fits=lambda command: command.processes == 1,
        points=3,
        goes_on=False,
    ),
]
