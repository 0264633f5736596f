"""docs/trust/faults.md and faults.json: faults x commands, survived / tried. A part run again replaces its rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.faults.commands import COMMANDS
from tests.faults.driver import Row
from tests.faults.faults import FAULTS

OUT = Path(__file__).parents[2] / "docs" / "trust"
NONE = "-"
PAGE = """# Faults

Our commands, broken in many ways, resumed, and compared with a run that was never broken. After every fault

- no file under a final name is half written, and what a user had beside is untouched;
- the same command, with `--resume` where it has one, ends with exit code 0;
- its results are those of the unbroken run, bit for bit: weights; optimizer, scheduler and next random numbers of
  the last checkpoint; lines of metrics; records, tables, figures, features.

**{survived} of {tried} trials survived**, {killed} of them by `kill -9`; seed {seeds}. A cell is survived / tried.

{table}

## Misses

{misses}

## The faults

{faults}

## The commands

{commands}

## How

Runs are forked from a process that has imported everything, so that a random moment falls into their work and not into
their start. Processes of one run get torchrun's environment; torchrun itself starts those of the rows that name it.
A process counts its own changes of the disk, and breaks at the one drawn. Where a trial is broken depends on the seed,
the fault, the command and the trial's number alone; moments depend on the machine's speed as well.

    make faults                                                                     # all of it
    python -m tests.faults train eval --fault "kill -9 at a moment" --points 20      # replaces these cells
    python -m tests.faults train --fault "kill -9 at a moment" --only 7              # one trial again
"""


def write_rows(rows: Sequence[Row], out: Path = OUT) -> None:
    """Put cells into the table."""
    out.mkdir(parents=True, exist_ok=True)
    file = out / "faults.json"
    before = [Row(**row) for row in json.loads(file.read_text())] if file.is_file() else []
    cells = {(row.fault, row.command): row for row in [*before, *rows]}
    faults = dict.fromkeys([*FAULTS, *(fault for fault, _ in cells)])  # some need a machine of another kind
    kept = [cells[fault, command] for fault in faults for command in COMMANDS if (fault, command) in cells]
    file.write_text(json.dumps([asdict(row) for row in kept], indent=1) + "\n")
    (out / "faults.md").write_text(markdown(kept))


def markdown(rows: Sequence[Row]) -> str:
    """The page."""
    cells = {(row.fault, row.command): row for row in rows}
    commands = [name for name in COMMANDS if any(row.command == name for row in rows)]
    says = {row.fault: row.says for row in rows}
    table = [["fault", *(f"`{name}`" for name in commands)], ["---"] * (1 + len(commands))]
    for fault in says:
        found = [cells.get((fault, name)) for name in commands]
        table.append([fault, *(NONE if row is None else f"{row.survived} / {row.tried}" for row in found)])
    misses = [(row, why) for row in rows for why in row.misses]
    return PAGE.format(
        survived=sum(row.survived for row in rows),
        tried=sum(row.tried for row in rows),
        killed=sum(row.tried for row in rows if row.fault.startswith("kill -9")),
        seeds=", ".join(map(str, sorted({row.seed for row in rows}))),
        table="\n".join(f"| {' | '.join(line)} |" for line in table),
        faults="\n".join(f"- **{fault}**: {what}" for fault, what in says.items()),
        commands="\n".join(f"- `{name}`: `cacr {' '.join(COMMANDS[name].arguments)}`" for name in commands),
        misses="\n".join(f"- {row.command}, {row.fault}, seed {row.seed}, {why}" for row, why in misses)
        or "None.",
    )
