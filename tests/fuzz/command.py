"""Fuzz readers: ``python -m tests.fuzz [NAME …] --inputs 100000 --seed 0 --jobs 2``; NAME is a part of a name."""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.fuzz.fuzzing import counted, fuzz, slowest_seed
from tests.fuzz.guiding import has_atheris
from tests.fuzz.registry import corpus_of, readers
from tests.fuzz.table import row, store

STORED = 10_000
"""Runs of fewer inputs are trials: they are printed, not stored."""


def main() -> int:
    """Fuzz the named readers, or all; 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names of readers; all if none")
    parser.add_argument("--inputs", type=int, default=STORED)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="readers at a time")
    given = parser.parse_args()
    chosen = [
        reader.name
        for reader in readers()
        if not given.names or any(name.lower() in reader.name.lower() for name in given.names)
    ]
    if not chosen:
        parser.error(f"no such reader; known: {', '.join(reader.name for reader in readers())}")
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("fork"), max_tasks_per_child=None) as pool:
        found = list(pool.map(_one, chosen, [given.inputs] * len(chosen), [given.seed] * len(chosen)))
    return int(any(found))


def _one(name: str, inputs: int, seed: int) -> bool:
    reader = next(reader for reader in readers() if reader.name == name)
    seed_time, start = slowest_seed(reader), time.monotonic()
    tally = fuzz(reader, inputs, seed, corpus_of(reader), has_atheris())
    values = row(tally, seed, seed_time, time.monotonic() - start)
    print(f"{name}: {values}", flush=True)
    for one in tally.findings:
        print(f"  {one.kind}: {one.said}", flush=True)
    if inputs >= STORED:
        store(name, values)
    return any(counted(tally).values())
