"""One reader over many inputs: in batches, each in a child, with what reached new lines changed further."""

from __future__ import annotations

import gc
import shutil
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.bombs import bombs
from tests.fuzz.guiding import Lines, libfuzzer
from tests.fuzz.inputs import changed, cuts
from tests.fuzz.reader import Reader
from tests.fuzz.registry import corpus_of
from tests.fuzz.trying import Finding, Tally, attempt, each, lay_out

BATCH, BRANCHES = 1_000, 10_000
"""Inputs of a child: guided by lines, and by atheris, which goes through its corpus at each start."""
POOL = 400
"""Inputs that are changed further, beside the seeds."""
KEPT = 100_000
"""Bytes of an input that is kept in the corpus at most."""
KINDS = ("foreign", "crash", "hang", "memory", "executed")


def scratch() -> Path:
    """A new folder for the inputs, in memory where there is such a place."""
    return Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))


def fuzz(
    reader: Reader, inputs: int, seed: int = 0, corpus: Path | None = None, atheris: bool = False
) -> Tally:
    """Try so many inputs: pickle bombs, the kept corpus, every cut of the small seeds, and changed ones.

    Args:
        reader: The reader; its seeds must be read without an error.
        inputs: How many.
        seed: Of the changes.
        corpus: Where findings are kept, as small as cutting makes them; nowhere if None.
        atheris: Half of the changed inputs are guided by atheris, under which the reader was imported.
    """
    home = scratch()
    try:
        folder, mark = lay_out(reader, home / "it"), home / "executed"
        warm(reader, folder)
        gc.collect()
        gc.freeze()
        total = Tally()
        first = [*bombs(mark).values(), *kept(reader), *cuts(reader.seeds)][:inputs]
        own = len(first) + (inputs - len(first)) // (2 if atheris else 1)
        watch, pool = Lines(), list(reader.seeds)

        def made(start: int, end: int) -> Iterator[bytes]:
            yield from first[start:end]
            for number in range(max(start, len(first)), end):
                rng = Random((seed << 32) + number)
                yield changed(rng, rng.choice(pool), pool, reader.text)

        while total.tried < inputs:
            if total.tried < own:
                feed = each(made(total.tried, min(total.tried + BATCH, own)))
            else:
                grown = home / "corpus"
                if not grown.exists():
                    grown.mkdir()
                    for number, data in enumerate(pool):
                        (grown / f"{number:04}").write_bytes(data)
                count = min(BRANCHES, inputs - total.tried)
                feed, watch = libfuzzer(reader, grown, count, seed + total.tried), None
            tally = attempt(reader, folder, feed, mark, watch)
            if not tally.tried:
                raise RuntimeError(f"the child of {reader.name} did not try anything")
            pool += tally.reached[: POOL + len(reader.seeds) - len(pool)]
            new = []
            for one in _distinct(tally.findings, total.findings):
                # inputs before it, or an exit of atheris, may have been the cause; a signal counts in any case
                if one.kind == "memory" or one.said.startswith("exit status"):
                    alone = attempt(reader, folder, each([one.data]), mark)
                    if _place(one) not in map(_place, alone.findings):
                        if one.kind == "crash":  # which had left no outcome
                            tally.read, tally.refused = tally.read + alone.read, tally.refused + alone.refused
                        continue
                new.append(one)
            tally.findings, tally.reached = new, []
            total.add(tally)
            if corpus is not None:
                for one in new:
                    keep(one, corpus, reader, folder, mark)
        return total
    finally:
        shutil.rmtree(home, ignore_errors=True)


def warm(reader: Reader, folder: Path) -> None:
    """Read every seed once, here: what is imported late is imported, and a seed that is not read is an error."""
    path = folder / reader.file
    for data in reader.seeds:
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        reader.read(path)


def kept(reader: Reader) -> list[bytes]:
    """The inputs of a reader's corpus."""
    folder = corpus_of(reader)
    return [file.read_bytes() for file in sorted(folder.glob("*.bin"))] if folder.is_dir() else []


def keep(one: Finding, corpus: Path, reader: Reader, folder: Path, mark: Path) -> None:
    """Write a finding's input into the corpus, cut as long as the same is found."""
    data = one.data
    if one.kind != "hang":
        for part in (len(data) // 2**k for k in range(1, 12)):
            while 0 < part <= len(data) and _same(reader, folder, data[:-part], one, mark):
                data = data[:-part]
    if len(data) <= KEPT:
        corpus.mkdir(parents=True, exist_ok=True)
        (corpus / f"{one.kind}-{sha256(data).hexdigest()[:12]}.bin").write_bytes(data)


def _same(reader: Reader, folder: Path, data: bytes, one: Finding, mark: Path) -> bool:
    found = attempt(reader, folder, each([data]), mark).findings
    return any(_place(other) == _place(one) for other in found)


def _place(one: Finding) -> tuple[str, Any]:
    return one.kind, one.said.split(": ")[0]


def _distinct(findings: list[Finding], known: list[Finding]) -> list[Finding]:
    """One finding of a kind and place, without those known."""
    places = {_place(one) for one in known}
    by_place = {_place(one): one for one in reversed(findings)}
    return [one for place, one in by_place.items() if place not in places]


def counted(tally: Tally) -> dict[str, int]:
    """Distinct findings by kind."""
    return {kind: sum(one.kind == kind for one in tally.findings) for kind in KINDS}


def slowest_seed(reader: Reader) -> float:
    """Seconds of processor time of the seed that takes longest, in a child as inputs are."""
    home = scratch()
    try:
        folder = lay_out(reader, home / "it")
        warm(reader, folder)
        return attempt(reader, folder, each(reader.seeds * 2)).slowest
    finally:
        shutil.rmtree(home, ignore_errors=True)
