"""Records on disk: a line of JSON per example, and beside them what was measured with what.

OUT/scenes.jsonl      one record per example: all tables can be made again from them
OUT/scenes.json       the benchmark's statement, the scorer, versions, n
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cacr._files import write_text_whole
from cacr.benchmarks.benchmark import Benchmark, Options, Record, table
from cacr.data import Scorer
from cacr.data.fingerprint import describe


def write_records(
    out: Path,
    benchmark: Benchmark,
    records: Sequence[Record],
    scorer: Scorer,
    environment: dict[str, Any],
    options: Options | None = None,
    version: str = "",
    notes: Sequence[str] = (),
) -> None:
    """Write the records of one benchmark; existing ones are not overwritten.

    Raises:
        FileExistsError: The folder already holds records of this benchmark.
    """
    path = out / f"{benchmark.name}.jsonl"
    if path.exists():
        raise FileExistsError(f"{path} exists and is not overwritten; give another folder")
    out.mkdir(parents=True, exist_ok=True)
    stated = ("name", "asks", "paper", "licence", "size", "ties", "cautions")
    about = {
        "benchmark": {name: getattr(benchmark, name) for name in stated},
        "version": version,
        "version_is": benchmark.versions.get(version, "not a version that is known here"),
        "notes": list(notes),
        "scorer": describe(scorer),
        "options": (options or Options()).to_json(),
        "n": len(records),
        "table": [row.to_json() for row in table(benchmark, records)],
        "environment": environment,
    }
    write_text_whole(out / f"{benchmark.name}.json", json.dumps(about, indent=1) + "\n")
    write_text_whole(path, "".join(json.dumps(record) + "\n" for record in records))


def read_about(folder: Path, name: str) -> dict[str, Any]:
    """What was measured with what, as `write_records` wrote it; empty where that file is not there.

    Raises:
        ValueError: The file is no JSON object.
    """
    path = folder / f"{name}.json"
    if not path.is_file():
        return {}
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}); measure again") from error
    if not isinstance(about, dict):
        raise ValueError(f"{path} is no JSON object; measure again")
    return about


def read_records(folder: Path, names: Sequence[str] | None = None) -> dict[str, list[Record]]:
    """Records by benchmark.

    Args:
        folder: Made by `cacr eval`.
        names: Only these benchmarks; all that are there if None.


    Raises:
        FileNotFoundError: No records there.
        ValueError: A broken line, named by file and number.
    """
    from cacr.benchmarks import BENCHMARKS

    files = sorted(folder.glob("*.jsonl"))
    if names is not None:
        files = [file for file in files if file.stem in names]
    if not files:
        raise FileNotFoundError(f"no records (*.jsonl) in {folder}; expected a folder made by `cacr eval`")
    found = {}
    for path in files:
        needed = BENCHMARKS[path.stem].needs if path.stem in BENCHMARKS else frozenset()
        records = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                record = json.loads(line)
                missing = ({"example"} | needed) - record.keys()
            except (ValueError, AttributeError) as error:
                raise ValueError(f"{path}, line {number} is no record ({error}); measure again") from error
            if missing:
                raise ValueError(f"{path}, line {number} has no {', '.join(sorted(missing))}; measure again")
            records.append(record)
        found[path.stem] = records
    return found
