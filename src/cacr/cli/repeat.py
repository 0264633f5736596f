"""``cacr repeat``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from cacr.cli.exits import DIFFERS
from cacr.cli.show import console, finish, tell, voice
from cacr.repeating import Repeated
from cacr.repeating import repeat as do_again


def repeat(run: Path, /, *, out: Path | None = None, resume: bool = False, anyway: bool = False) -> int:
    """Run again what a folder holds, and compare: the same, bit for bit, or what differs. Exit code 0 or 3.

    Says first what is not as it was then: versions, code, machine, data. Works on folders of train, eval, sweep, demo,
    study and analyze. The new run has the threads and environment variables of then. The exit code
    is 3 where something differs, and 1 where it could not be run or compared.

    Args:
        run: The folder; it is only read.
        out: A new folder for the repetition; RUN-repeat beside it, if not given.
        resume: Go on with a repetition that was stopped.
        anyway: Go on where data are missing or not those of then.
    """
    from cacr.repeating.report import as_json, sentences, write_repeated

    out = out or run.resolve().with_name(f"{run.resolve().name}-repeat")
    found = do_again(run, out, resume=resume, anyway=anyway, seen=seen_now, tell=_show)
    write_repeated(found, out)
    where = f"The new run is in {out}/again, all differences in {out}/repeat.json."
    wrote = {"run": out / "again", "differences": out / "repeat.json", "page": out / "README.md"}
    finish("\n".join([*sentences(found), where]), wrote, {}, **as_json(found))
    return 0 if found.same else DIFFERS


def _show(known: Repeated) -> None:
    """What differs from then, before anything runs."""
    if voice.quiet:
        return
    differs = [*known.data, *known.differs]
    if not differs:
        tell("Nothing that was recorded then is another now.")
    else:
        table = Table(title="Not as then", title_justify="left")
        for name in ("", "then", "now"):
            table.add_column(name)
        for one in differs:
            table.add_row(*(Text(str(value)) for value in (one.what, one.then, one.now)))
        console.print(table)
    for command in known.commands:
        tell(f"Again:  cacr {' '.join(command)}")


def seen_now(command: list[str]) -> dict[str, dict[str, Any]]:
    """What a command of `cacr eval` would measure now: benchmark -> version of the data, hash of the weights.

    Raises:
        FileNotFoundError: Data or a model that are no longer there.
        ValueError: Data or a model that cannot be read, or a command that is none.
    """
    from cyclopts import CycloptsError

    from cacr.cli import parsed
    from cacr.cli.evaluate import OF_THE_FOLDER, evaluate, open_works

    try:
        function, bound = parsed(command)
    except CycloptsError as error:
        raise ValueError(f"{_told(command)} is no command of this version: {error}") from error
    if function is not evaluate:
        raise ValueError(f"{_told(command)} measures nothing")
    bound.apply_defaults()
    given = {name: value for name, value in bound.arguments.items() if name not in OF_THE_FOLDER}
    scorer, works = open_works(**given | {"device": "cpu"})  # the GPU's memory is the new run's
    weights = scorer.describe().get("weights")
    return {benchmark.name: {"version": work.version, "weights": weights} for benchmark, _, work in works}


def _told(command: list[str]) -> str:
    return f"`cacr {' '.join(command)}`, which the folder recorded,"
