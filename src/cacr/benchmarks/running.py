"""An evaluation on disk: answers are kept as they are made, so that a stopped one goes on, alone or among processes.

OUT/NAME.parts/settings.json     what is asked of what; another model may not add to it
OUT/NAME.parts/part-00012        the answers to a part, whole
OUT/NAME.jsonl, OUT/NAME.json    records and what was measured with what, when all parts are there

Which questions are in a part depends on the data alone, and a part is computed by itself: the records are the same
bytes whether the evaluation was stopped or not, and by however many processes it was done.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cacr._files import beside, write_text_whole
from cacr.benchmarks.benchmark import Benchmark, Options, Record, Work
from cacr.benchmarks.records import read_about, write_records
from cacr.data import Scorer
from cacr.data.fingerprint import describe

Report = Callable[[int, int], None]
"""Called with the parts done and the parts in all."""


def parts_folder(out: Path, benchmark: Benchmark) -> Path:
    """Where unfinished work is kept."""
    return out / f"{benchmark.name}.parts"


def answer(
    benchmark: Benchmark,
    work: Work,
    scorer: Scorer,
    out: Path,
    options: Options,
    *,
    worker: int = 0,
    workers: int = 1,
    report: Report = lambda done, parts: None,
) -> None:
    """Ask this worker's share of the parts that are not there yet; `finish` makes the records.

    Args:
        benchmark: What is measured.
        work: It, opened.
        scorer: The model.
        out: Folder of the evaluation; several benchmarks may share it.
        options: Those that ``work`` was opened with.
        worker: This process's number, from 0.
        workers: How many processes share the parts.
        report: Called as parts are done.

    Raises:
        FileExistsError: There are records of this benchmark.
        ValueError: The parts there are of another model, data or options.
    """
    refuse_existing(out, benchmark)
    folder = parts_folder(out, benchmark)
    folder.mkdir(parents=True, exist_ok=True)
    _check_settings(folder, _settings(benchmark, work, describe(scorer), options))
    mine = range(worker, work.parts, workers)
    for done, part in enumerate(mine, start=1):
        file = folder / f"part-{part:05d}"
        if not file.is_file():
            written = beside(file)
            written.write_bytes(work.ask(scorer, part))
            written.replace(file)
        report(done, len(mine))


def finish(
    benchmark: Benchmark,
    work: Work,
    scorer: Scorer,
    out: Path,
    options: Options,
    environment: dict[str, Any],
) -> list[Record]:
    """Records from the answers of all workers, written to ``out``; the parts are removed.

    Raises:
        FileNotFoundError: A part is not there: a worker has not come to its end.
    """
    folder = parts_folder(out, benchmark)
    files = [folder / f"part-{part:05d}" for part in range(work.parts)]
    lost = [file for file in files if not file.is_file()]
    if lost:
        raise FileNotFoundError(
            f"{len(lost)} of {len(files)} parts of {benchmark.name} are not there, the first is {lost[0]}; give the "
            "same command again with --resume"
        )
    records = work.records([file.read_bytes() for file in files])
    write_records(out, benchmark, records, scorer, environment, options, work.version, work.notes)
    shutil.rmtree(folder)
    return records


def check_finished(benchmark: Benchmark, work: Work, scorer: Scorer, out: Path, options: Options) -> None:
    """Records that are there must be those that would be made now; parts that a kill left beside them are removed.

    Raises:
        ValueError: They are of another model, data or options.
    """
    then = read_about(out, benchmark.name)
    now = json.loads(json.dumps(_settings(benchmark, work, describe(scorer), options)))
    differ = [name for name in ("version", "options") if then.get(name) != now[name]]
    if not same_scorer(now["scorer"], then.get("scorer", {})):
        differ.append("scorer")
    if differ:
        raise ValueError(
            f"{out} holds records of {benchmark.name} from another evaluation: {', '.join(differ)} differ "
            f"({out / benchmark.name}.json). Give another folder with --out"
        )
    shutil.rmtree(parts_folder(out, benchmark), ignore_errors=True)


def refuse_existing(out: Path, benchmark: Benchmark) -> None:
    """Raises FileExistsError where there are records of the benchmark."""
    path = out / f"{benchmark.name}.jsonl"
    if path.exists():
        raise FileExistsError(f"{path} exists and is not overwritten; give another folder with --out")


def _settings(benchmark: Benchmark, work: Work, scorer: dict[str, Any], options: Options) -> dict[str, Any]:
    return {
        "benchmark": benchmark.name,
        "version": work.version,
        "parts": work.parts,
        "scorer": scorer,
        "options": options.to_json(),
    }


def _check_settings(folder: Path, settings: dict[str, Any]) -> None:
    file = folder / "settings.json"
    now = json.loads(json.dumps(settings))
    if not file.is_file():
        write_text_whole(file, json.dumps(settings, indent=1) + "\n")
        return
    then = json.loads(file.read_text(encoding="utf-8"))
    differ = [name for name in now if name != "scorer" and now[name] != then.get(name)]
    if not same_scorer(now["scorer"], then.get("scorer", {})):
        differ.append("scorer")
    if differ:
        raise ValueError(
            f"{folder} holds answers of another evaluation: {', '.join(differ)} differ ({file}). Go on with the same "
            "model, data and options, or give another folder with --out"
        )


def same_scorer(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two descriptions are of the same scorer: all alike, and fingerprints that differ by rounding only."""
    a, b = one.get("fingerprint", ()), other.get("fingerprint", ())
    close = len(a) == len(b) and np.allclose(a, b, rtol=1e-3, atol=1e-4, equal_nan=True)
    return close and {**one, "fingerprint": 0} == {**other, "fingerprint": 0}
