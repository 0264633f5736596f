"""``python -m tests.faults [COMMAND…] [--fault NAME…] [--points N] [--seed 0]`` writes docs/trust/faults.md."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.faults.commands import COMMANDS
from tests.faults.driver import bench, chosen
from tests.faults.faults import FAULTS
from tests.faults.table import OUT, write_rows


def main() -> int:
    """Do the trials that are asked for; 0 if all survived."""
    asked = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    asked.add_argument("commands", nargs="*", help=f"of {', '.join(COMMANDS)}; all if none is named")
    asked.add_argument("--fault", action="append", default=[], help="by name; all if none is named")
    asked.add_argument(
        "--points", type=int, help="trials of a fault with a command; a fault's own number if not given"
    )
    asked.add_argument("--seed", type=int, default=0, help="of where to break")
    asked.add_argument("--only", type=int, help="the trial of this number alone, which is not written down")
    asked.add_argument("--out", type=Path, default=OUT, help="folder of faults.md and faults.json")
    given = asked.parse_args()
    missed = 0
    with bench() as on:
        for name in chosen(given.commands, dict(COMMANDS), "command"):
            for which in chosen(given.fault, dict(FAULTS), "fault"):
                command, fault, begun = COMMANDS[name], FAULTS[which], time.monotonic()
                if not fault.fits(command):
                    continue
                if given.only is not None:
                    print(on.trial(fault, command, given.only, given.seed) or "survived")
                    continue
                row = on.row(fault, command, given.points, given.seed)
                missed += row.tried - row.survived
                print(
                    f"{name}, {which}: {row.survived} / {row.tried} in {time.monotonic() - begun:.0f} s",
                    flush=True,
                )
                for why in row.misses:
                    print(f"    {why}", flush=True)
                write_rows([row], given.out)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
