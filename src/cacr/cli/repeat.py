"""``cacr repeat``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from cacr.cli.show import console, tell
from cacr.repeating import Repeated
from cacr.repeating import repeat as do_again

OF_SCORER = (
    *(
        "score",
        "device",
        "memory",
        "dtype",
        "template",
        "answer",
        "normalize",
        "pool",
        "quick_gelu",
        "tokenizer",
    ),
)
OF_BENCHMARK = ("data", "features", "images", "missing", "split", "n", "seed", "errata")


def repeat(run: Path, /, *, out: Path | None = None, resume: bool = False, anyway: bool = False) -> int:
    """Run again what a folder holds, and compare: the same, bit for bit, or what differs. Exit code 0 or 1.

    Says first what is not as it was then: versions, code, machine, data. Works on folders of train, eval, sweep, demo,
    study and analyze. The new run has the threads and environment variables of then.

    Args:
        run: The folder; it is only read.
        out: A new folder for the repetition; RUN-repeat beside it, if not given.
        resume: Go on with a repetition that was stopped.
        anyway: Go on where data are missing or not those of then.
    """
    from cacr.repeating.report import sentences, write_repeated

    out = out or run.resolve().with_name(f"{run.resolve().name}-repeat")
    found = do_again(run, out, resume=resume, anyway=anyway, seen=seen_now, tell=_show)
    write_repeated(found, out)
    for sentence in sentences(found):
        tell(sentence)
    tell(f"The new run is in {out}/again, all differences in {out}/repeat.json.")
    return 0 if found.same else 1


def _show(known: Repeated) -> None:
    """What differs from then, before anything runs."""
    differs = [*known.data, *known.differs]
    if not differs:
        tell("Nothing that was recorded then is another now.")
    else:
        table = Table(title="Not as then", title_justify="left")
        for name in ("", "then", "now"):
            table.add_column(name)
        for one in differs:
            table.add_row(one.what, str(one.then), str(one.now))
        console.print(table)
    for command in known.commands:
        tell(f"Again:  cacr {' '.join(command)}")


def seen_now(command: list[str]) -> dict[str, dict[str, Any]]:
    """What a command of `cacr eval` would measure now: benchmark -> version of the data, hash of the weights.

    Raises:
        FileNotFoundError: Data or a model that are no longer there.
        ValueError: Data or a model that cannot be read, or a command that is none.
    """
    import torch

    from cacr.benchmarks import Options
    from cacr.cli import app
    from cacr.cli.evaluate import known_benchmark, options_of
    from cacr.demo.start import open_scorer

    given = app().parse_args(command, exit_on_error=False, print_error=False)[1].arguments
    benchmarks = [known_benchmark(name) for name in dict.fromkeys(given["benchmarks"])]
    asked = {name: given[name] for name in OF_SCORER if given.get(name) is not None}
    if "dtype" in asked:
        asked["dtype"] = getattr(torch, asked["dtype"])
    scorer = open_scorer(given["model"], **asked)
    blind = getattr(scorer, "looks_at", "pixels") == "nothing"
    chosen = {name: given[name] for name in OF_BENCHMARK if given.get(name) is not None}
    chosen["images"] = tuple(chosen.get("images", ()))
    options = options_of(benchmarks, Options(**chosen))
    weights = scorer.describe().get("weights")
    found = {}
    for benchmark in benchmarks:
        one = options[benchmark.name]
        if blind:
            one = Options(**{**one.__dict__, "blind": True, "features": None, "images": ()})
        found[benchmark.name] = {"version": benchmark.open(one).version, "weights": weights}
    return found
