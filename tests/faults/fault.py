"""What a fault is: one way to break a command. `driver.py` resumes the broken run and compares it.

A file of faults exposes ``FAULTS``, a list of these. ``strike`` breaks the run of one trial, waits for its end, and
says in a few words where it was broken; what must hold then is seen by the driver, the same for all faults: whole
files under final names, the user's own files untouched, a resumed run that ends with code 0, equal results.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.faults.commands import Command
from tests.faults.laboratory import Laboratory, Miss, Victim, tail

NOTHING = re.compile(r"no (?:run|search|demo|study) to resume")
"""What is said where a run was broken before there was anything to go on with."""

__all__ = ["Fault", "Miss", "Trial", "Unbroken", "began_nothing", "tail"]


@dataclass(frozen=True)
class Unbroken:
    """The run that was never broken."""

    changes: list[list[str]]
    """Of each process what it did to the disk, in order."""
    seconds: float
    results: dict[str, str]
    """Name of a result -> its digest; see `results.py`."""


@dataclass
class Trial:
    """One command in one fresh folder, to be broken once or more."""

    command: Command
    folder: Path
    """Where the command runs; its inputs are there."""
    random: Random
    """Draws where to break; seeded by the trial."""
    unbroken: Unbroken
    laboratory: Laboratory
    where: list[str] = field(default_factory=list)

    def start(self, again: bool = False, **broken: object) -> Victim:
        """Start the command; ``again``: as one goes on after a fault. ``broken``: see `Laboratory.start`."""
        arguments = self.command.again if again else self.command.arguments
        return self.laboratory.start(arguments, self.folder, self.command.processes, **broken)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Fault:
    """One way to break a command.

    Args:
        name: Of its row in the table.
        says: What is done, in a sentence.
        strike: Breaks the trial's run, and says where; a `Miss` where it did not end as it must.
        fits: Which commands it can be done to.
        points: Trials per command, if not told otherwise; a command may take a share of them.
        goes_on: Whether the driver resumes and compares; else ``strike`` sees to everything.
    """

    name: str
    says: str
    strike: Callable[[Trial], str]
    fits: Callable[[Command], bool] = lambda command: True
    points: int = 10
    goes_on: bool = True


def began_nothing(victim: Victim) -> bool:
    """Whether a run that was to go on found nothing to go on with."""
    return any(victim.wait(0)) and bool(NOTHING.search(victim.said))
