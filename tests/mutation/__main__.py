"""Mutation check of the losses and metrics: ``python -m tests.mutation [FILE …]`` (``make mutation``).

Writes docs/trust/mutations.json and the page docs/trust/mutations.md from it. Files (below src/cacr, such as
losses/iais.py) are tried alone, and the others' counts kept; --page writes the page again and tries nothing.
"""

import argparse
import math
import os
import random
from collections.abc import Sequence

from tests.mutation import report
from tests.mutation.areas import AREAS, FILES, ROOT, tests_for
from tests.mutation.mutants import Mutant, mutants_of, source_of


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    found.add_argument("files", nargs="*", metavar="FILE", help=f"all if none: {', '.join(FILES)}")
    found.add_argument("--page", action="store_true", help="write the page from the JSON again, try nothing")
    found.add_argument("--again", action="store_true", help="try the survivors again, after tests were added")
    found.add_argument("--minutes", type=float, default=math.inf, help="for each of both areas; then stop")
    found.add_argument("--seed", type=int, default=0, help="of the order, in which a part is a random sample")
    found.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1), help="mutants at a time")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Try mutants and write what came out.

    Returns:
        0, or 1 where fewer than 90 % were noticed or a survivor has no reason yet.
    """
    asked = parser().parse_args(arguments)
    for file in asked.files:
        if file not in FILES:
            parser().error(f"no file {file!r}; known: {', '.join(FILES)}")
    files = report.kept()
    for area in AREAS:
        chosen = [file for file in area if file in (asked.files or FILES)]
        if chosen and not asked.page:
            made = {file: mutants_of(file, source_of(ROOT, file)) for file in chosen}
            if asked.again:
                files = report.again(files, made, _tried(report.survivors(files, made), chosen, asked))
            else:
                tried = _tried([one for some in made.values() for one in some], chosen, asked)
                files = report.with_outcomes(files, made, tried)
            report.write(files)
    report.write(files)
    noticed, tried = report.share(files.values())
    left = report.unexplained(files)
    print(
        f"{noticed} of {tried} mutants noticed; {len(left)} survivors without a reason. See {report.FOLDER}"
    )
    return int(bool(left) or noticed < report.WANTED * tried)


def _tried(mutants: list[Mutant], files: Sequence[str], asked: argparse.Namespace) -> dict[Mutant, str]:
    """In an order drawn at random, so that those tried until the time is up are a sample of all."""
    from tests.mutation.running import try_mutants

    random.Random(asked.seed).shuffle(mutants)
    return try_mutants(mutants, tests_for(files), asked.processes, 60 * asked.minutes)


if __name__ == "__main__":
    raise SystemExit(main())
