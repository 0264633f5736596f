"""One trial after the other: break a run, look at what it left, go on, and compare with the run never broken."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from tests.faults.commands import Command
from tests.faults.fault import Fault, Miss, Trial, Unbroken, began_nothing, tail
from tests.faults.laboratory import Laboratory
from tests.faults.results import results
from tests.faults.whole import belongings, broken_files, leave_belongings

FINISHED = ("has finished; its model is", "exists and is not overwritten")
"""What is said where a run was broken after its result was there."""
SHOWN = 5


@dataclass
class Row:
    """A cell of the table: one fault on one command."""

    fault: str
    command: str
    says: str
    """What the fault is."""
    tried: int = 0
    survived: int = 0
    seed: int = 0
    misses: list[str] = field(default_factory=list)


class Bench:
    """Folders and unbroken runs of commands. Use `bench`.

    Args:
        folder: Scratch.
        laboratory: Where victims come from.
    """

    def __init__(self, folder: Path, laboratory: Laboratory):
        self.folder, self.laboratory = folder, laboratory
        self._unbroken: dict[str, Unbroken] = {}

    def fresh(self, command: Command, name: str) -> Path:
        """A new folder with the command's inputs and a user's own files."""
        given = self.folder / f"inputs of {command.name}"
        if not given.is_dir():
            given.mkdir()
            command.prepare(given)
            leave_belongings(given, command.out)
        return Path(shutil.copytree(given, self.folder / name))

    def unbroken(self, command: Command) -> Unbroken:
        """The run never broken, done once."""
        if command.name not in self._unbroken:
            folder = self.fresh(command, f"whole {command.name}")
            before = belongings(folder, command.out)
            begun = time.monotonic()
            victim = self.laboratory.start(command.arguments, folder, command.processes)
            codes = victim.ended()
            seconds = time.monotonic() - begun
            if any(codes):
                raise RuntimeError(f"cacr {' '.join(command.arguments)} ended with {codes}:\n{victim.said}")
            check_left(folder, command, before)
            changes = [victim.changes_of(process) for process in range(command.processes)]
            self._unbroken[command.name] = Unbroken(changes, seconds, results_of(folder, command))
            shutil.rmtree(folder)
        return self._unbroken[command.name]

    def trial(self, fault: Fault, command: Command, number: int, seed: int) -> str | None:
        """Do one trial; None where it survived, else the reason with all that repeats it."""
        unbroken = self.unbroken(command)
        folder = self.fresh(command, "trial")
        before = belongings(folder, command.out)
        trial = Trial(
            command, folder, Random(f"{seed} {fault.name} {command.name} {number}"), unbroken, self.laboratory
        )
        where = "nowhere"
        try:
            where = fault.strike(trial)
            if fault.goes_on:
                check_left(folder, command, before)
                go_on(trial)
            check_left(folder, command, before)
            check_equal(folder, command, unbroken.results)
        except Miss as miss:
            return f"number {number}: {'; then '.join(trial.where) or where}: {miss}"
        finally:
            shutil.rmtree(folder)
        return None

    def row(self, fault: Fault, command: Command, points: int | None, seed: int) -> Row:
        """Do all trials of a cell."""
        row = Row(fault.name, command.name, fault.says, seed=seed)
        for number in range(max(1, round(command.share * fault.points)) if points is None else points):
            why = self.trial(fault, command, number, seed)
            row.tried += 1
            row.survived += why is None
            row.misses += [] if why is None else [why]
        return row


@contextmanager
def bench() -> Iterator[Bench]:
    """A bench in a folder in memory where there is one, for time is spent on files alone."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None, prefix="faults-") as name:
        folder = Path(name)
        with Laboratory(folder / "logs") as laboratory:
            yield Bench(folder, laboratory)


def go_on(trial: Trial) -> None:
    """Resume to the end, as the sentences tell a person to.

    Raises:
        Miss: It did not end with code 0.
    """
    victim = trial.start(again=True)
    codes = victim.ended()
    if began_nothing(victim):
        victim = trial.start()
        codes = victim.ended()
    elif any(codes) and any(words in victim.said for words in FINISHED):
        if "Traceback" in victim.said:
            raise Miss(f"a finished run is refused with a traceback: {tail(victim.said)}")
        return  # whether it is finished indeed shows in its results
    if any(codes):
        raise Miss(f"going on ended with {codes}: {tail(victim.said)}")
    if "Traceback" in victim.said:
        raise Miss(f"going on printed a traceback: {tail(victim.said)}")


def check_left(folder: Path, command: Command, before: dict[str, str]) -> None:
    """Raises Miss where a file under a final name is not whole, or a user's own is not as it was."""
    if broken := broken_files(folder, before):
        raise Miss("; ".join(broken[:SHOWN]))
    after = belongings(folder, command.out)
    if lost := [name for name in before if before[name] != after.get(name)]:
        raise Miss(f"a user's own files have changed: {', '.join(lost[:SHOWN])}")
    if strange := [name for name in after if name not in before]:
        raise Miss(f"files are left beside: {', '.join(strange[:SHOWN])}")


def results_of(folder: Path, command: Command) -> dict[str, str]:
    """Digests of a command's results."""
    out = folder / command.out
    return results(out, command.results) if out.is_dir() else results(folder, (command.out,))


def check_equal(folder: Path, command: Command, wanted: dict[str, str]) -> None:
    """Raises Miss where results are not those of the unbroken run."""
    found = results_of(folder, command)
    lost = [name for name in wanted if name not in found]
    new = [name for name in found if name not in wanted]
    other = [name for name in wanted if name in found and wanted[name] != found[name]]
    said = [
        f"{what} {', '.join(names[:SHOWN])}{f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''}"
        for what, names in (("missing", lost), ("not in the unbroken run", new), ("not equal", other))
        if names
    ]
    if said:
        raise Miss("; ".join(said))


def chosen(names: Sequence[str], known: dict[str, object], what: str) -> list[str]:
    """The names asked for, all known ones if none is."""
    if strange := [name for name in names if name not in known]:
        raise ValueError(f"unknown {what} {strange[0]!r}; known: {', '.join(known)}")
    return list(names) or list(known)
