"""The table of readers: docs/trust/readers.json, a row per reader, and readers.md, written from it."""

from __future__ import annotations

import fcntl
import json
import platform
import sys
from pathlib import Path
from typing import Any

from PIL.Image import MAX_IMAGE_PIXELS

from cacr._files import write_text_whole
from tests.fuzz.fuzzing import KINDS, counted
from tests.fuzz.reader import Reader
from tests.fuzz.readers_regions import PICTURE
from tests.fuzz.trying import SLOW, STUCK, TIMES_FILE, Tally

TRUST = Path(__file__).parents[2] / "docs" / "trust"
HEAD = f"""# Readers of files from strangers

Every reader is given broken files: each beginning of its small seeds, pickles that would act if they were unpickled,
and changes of its seeds and of what they became: flipped bytes, blocks moved, doubled and lost, extreme integers,
members of archives and headers changed with their checksums made right, values of JSON and fields of text replaced by
others. Inputs that reach new lines of the package are changed further. Each input is either read or refused by a
`ValueError` or `FileNotFoundError` that names the file. Half of the changed inputs are guided by atheris where it is
installed (`pip install atheris`), the others by lines.

Everything else is a finding, counted once per place: a foreign exception, a crash of the process, a hang (over
{SLOW:.0f} s of the processor or {STUCK:.0f} s by the clock), memory beyond {TIMES_FILE} x the file
and {Reader.allowed >> 20} MiB more, or anything executed. Pictures may need {PICTURE >> 20} MiB: what Pillow's limit of
{MAX_IMAGE_PIXELS:,} pixels comes to in its decoder and as RGB. Slowest and memory are the most that any input took; for
the slowest also in multiples of the slowest whole seed. What was once found is kept in `tests/fuzz/corpus` and tried
again by `make test`.

This table is written by `python -m tests.fuzz --inputs 100000`; naming readers replaces their rows alone.

"""


def row(tally: Tally, seed: int, seed_time: float, seconds: float) -> dict[str, Any]:
    """What is stored of a reader's run."""
    return {
        "inputs": tally.tried,
        "read": tally.read,
        "refused": tally.refused,
        **counted(tally),
        "slowest_ms": round(1e3 * tally.slowest, 1),
        "times_slowest_seed": round(tally.slowest / max(seed_time, 1e-9), 1),
        "growth_mib": round(tally.growth / 2**20, 1),
        "seconds": round(seconds),
        "seed": seed,
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
    }


def store(name: str, values: dict[str, Any], folder: Path = TRUST) -> None:
    """Put a row into the table, in place of an older one of the reader."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".readers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = folder / "readers.json"
        rows = json.loads(path.read_text()) if path.exists() else {}
        rows[name] = values
        rows = dict(sorted(rows.items()))
        write_text_whole(path, json.dumps(rows, indent=1) + "\n")
        write_text_whole(folder / "readers.md", HEAD + markdown(rows))
    (folder / ".readers.lock").unlink(missing_ok=True)


def markdown(rows: dict[str, dict[str, Any]]) -> str:
    """The table and what all rows come to."""
    names = ["reader", "inputs", "read", "refused", *KINDS, "slowest, ms", "x seed", "memory, MiB"]
    lines = ["| " + " | ".join(names) + " |", "| --- |" + " ---: |" * (len(names) - 1)]
    for name, r in rows.items():
        counts = [f"{r[key]:,}" for key in ("inputs", "read", "refused", *KINDS)]
        cells = [name, *counts, r["slowest_ms"], r["times_slowest_seed"], r["growth_mib"]]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    found = ", ".join(f"{kind} {sum(r[kind] for r in rows.values())}" for kind in KINDS)
    tried = sum(r["inputs"] for r in rows.values())
    lines += ["", f"{len(rows)} readers, {tried:,} inputs. Findings: {found}.", ""]
    return "\n".join(lines)
