"""Speed and memory as ratios to something measured in the same run: ``python -m bench`` (``make bench``).

Writes docs/speed.json and the page docs/speed.md from it. Names of benches run those alone and keep the other
rows; --quick runs tiny sizes of all and writes nothing.
"""

import argparse
import os
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from bench import page
from bench.benches import BENCHES
from bench.measuring import Row, Setting, machine, today


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    found.add_argument("names", nargs="*", metavar="NAME", help=f"benches; all if none: {', '.join(BENCHES)}")
    found.add_argument(
        "--quick", action="store_true", help="tiny sizes, to see that all of it runs; writes nothing"
    )
    found.add_argument(
        "--page", action="store_true", help="write the page from the JSON again, measure nothing"
    )
    found.add_argument("--device", default="cpu", help="cpu or cuda")
    found.add_argument("--threads", type=int, default=1, help="of each process")
    found.add_argument("--out", type=Path, default=page.FOLDER, help="folder of speed.json and speed.md")
    found.add_argument(
        "--release",
        type=Path,
        default=os.environ.get("CACR_RELEASE"),
        help="a copy of github.com/KhoomeiK/CACR or lancopku/IAIS, to time its own functions; else $CACR_RELEASE",
    )
    found.add_argument(
        "--pictures", type=Path, help="captions.jsonl and features.safetensors, for step and retrieval"
    )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run benches and write what they found.

    Returns:
        0, or 1 where a bench could not run; what the others found is written all the same.
    """
    asked = parser().parse_args(arguments)
    for name in asked.names:
        if name not in BENCHES:
            parser().error(f"no bench {name!r}; known: {', '.join(BENCHES)}")
    if asked.page:
        page.write(page.read(asked.out), BENCHES, asked.out)
        return 0
    if torch.device(asked.device).type == "cuda" and not torch.cuda.is_available():
        parser().error(
            f"--device {asked.device}: torch finds no CUDA device here; leave it out to measure the CPU"
        )
    before = torch.get_num_threads()
    torch.set_num_threads(asked.threads)
    try:
        return measure(asked)
    finally:
        torch.set_num_threads(before)


def measure(asked: argparse.Namespace) -> int:
    """Run what was asked for, bench by bench, and write after each: a run that is stopped keeps what it has."""
    setting = Setting(asked.device, asked.quick, asked.release and Path(asked.release), asked.pictures)
    print(machine(setting.device), flush=True)
    failed = []
    for name in asked.names or BENCHES:
        begun = time.perf_counter()
        print(f"\n{name}: {BENCHES[name].title}", flush=True)
        try:
            rows = run(name, setting)
        except Exception as problem:  # the others go on, and the run fails in the end
            if not isinstance(problem, ImportError | FileNotFoundError):
                traceback.print_exc()
            print(f"  did not run: {type(problem).__name__}: {problem}", flush=True)
            failed.append(name)
            continue
        seconds = time.perf_counter() - begun
        print(f"  {seconds:.0f} s", flush=True)
        if rows and not asked.quick:
            before = page.read(asked.out)
            page.write(
                page.merged(before, name, BENCHES[name], rows, setting.device, seconds), BENCHES, asked.out
            )
    if failed:
        print(f"\ndid not run: {', '.join(failed)}")
    return int(bool(failed))


def run(name: str, setting: Setting) -> list[Row]:
    """The rows of a bench, each printed when it is there, dated and with the machine's name."""
    rows = []
    where = {"machine": machine(setting.device), "date": today()}
    for found in BENCHES[name].run(setting):
        if isinstance(found, str):
            print(f"  missing: {found}", flush=True)
            continue
        rows.append(replace(found, **where))
        warm = f" (warm {page.number(found.warm_median)})" if found.warm_median is not None else ""
        holds = None if setting.quick else found.holds  # tiny sizes promise nothing
        asked = {None: "", True: ", as asked", False: ", NOT as asked"}[holds]
        numbers = f"{page.number(found.minimum):>8} {page.number(found.median):>8}{warm}"
        print(f"  {numbers}  {found.divides}: {found.name}{asked}", flush=True)
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
