"""An evaluation on disk: answers are kept as they are made, so that a stopped one goes on, alone or among processes.

OUT/NAME.parts/settings.json     what is asked of what; another model may not add to it
OUT/NAME.parts/part-00012        the answers to a part, whole
OUT/NAME.jsonl, OUT/NAME.json    records and what was measured with what, when all parts are there

Which questions are in a part depends on the data alone, and a part is computed by itself: the records are the same
bytes whether the evaluation was stopped or not, and by however many processes it was done.

A part that is there but not whole is asked again. A ``Work`` may say what is whole by ``whole(part, answer)``; for one
that has no such method, all that is not empty is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from cacr._files import remove_whole, write_bytes_whole, write_text_whole
from cacr._json import read_object
from cacr.benchmarks.benchmark import Benchmark, Options, Record, Work
from cacr.benchmarks.examples import hash_of_text
from cacr.benchmarks.records import read_about, stores_of, strict_json, write_records
from cacr.data import Scorer
from cacr.data.fingerprint import describe

Report = Callable[[int, int], None]
"""Called with the parts done and the parts in all."""
PATHS = {"data", "images", "features"}
"""Options that may differ on going on: the data has a version and the features a size and a time, wherever they lie."""


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
    """Ask this worker's share of the parts that are not there yet, or not whole; `finish` makes the records.

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
        ValueError: The parts there are of another model, data, features or options, or nothing says of which.
    """
    refuse_existing(out, benchmark)
    folder = parts_folder(out, benchmark)
    folder.mkdir(parents=True, exist_ok=True)
    settings = _settings(benchmark, work, describe(scorer), options)
    _check_settings(folder, settings)
    if (out / f"{benchmark.name}.json").is_file():  # killed before its records, or these were taken away
        _refuse_other_records(out, benchmark, settings)
    mine = range(worker, work.parts, workers)
    for done, part in enumerate(mine, start=1):
        file = folder / f"part-{part:05d}"
        if not file.is_file() or not _is_whole(work, part, file.read_bytes()):
            write_bytes_whole(file, work.ask(scorer, part))
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
        ValueError: A part is not whole: its file was changed or lost its end.
    """
    folder = parts_folder(out, benchmark)
    files = [folder / f"part-{part:05d}" for part in range(work.parts)]
    lost = [file for file in files if not file.is_file()]
    if lost:
        raise FileNotFoundError(
            f"{len(lost)} of {len(files)} parts of {benchmark.name} are not there, the first is {lost[0]}; give the "
            "same command again with --resume"
        )
    answers = [file.read_bytes() for file in files]
    for part, (file, answered) in enumerate(zip(files, answers, strict=True)):
        if not _is_whole(work, part, answered):
            raise ValueError(
                f"{file} is not whole ({len(answered)} bytes); give the same command again with --resume: it is asked "
                "again"
            )
    records = work.records(answers)
    write_records(out, benchmark, records, scorer, environment, options, work.version, work.notes)
    remove_whole(folder)
    return records


def check_finished(benchmark: Benchmark, work: Work, scorer: Scorer, out: Path, options: Options) -> None:
    """Records that are there must be those that would be made now; parts that a kill left beside them are removed.

    Raises:
        ValueError: They are of another model, data, features or options.
    """
    _refuse_other_records(out, benchmark, _settings(benchmark, work, describe(scorer), options))
    if parts_folder(out, benchmark).is_dir():
        remove_whole(parts_folder(out, benchmark))


def _refuse_other_records(out: Path, benchmark: Benchmark, settings: dict[str, Any]) -> None:
    then = read_about(out, benchmark.name)
    if differ := _differing(settings, then, ("version", "options", "stores", "scorer")):
        raise ValueError(
            f"{out} holds records of {benchmark.name} from another evaluation: {', '.join(differ)} differ "
            f"({out / benchmark.name}.json). Give another folder with --out"
        )


def refuse_existing(out: Path, benchmark: Benchmark) -> None:
    """Raises FileExistsError where there are records of the benchmark."""
    path = out / f"{benchmark.name}.jsonl"
    if path.exists():
        raise FileExistsError(f"{path} exists and is not overwritten; give another folder with --out")


def same_scorer(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two descriptions are of the same scorer: all alike, and fingerprints that differ by rounding only.

    A fingerprint may hold nan, or null as a file has it: they are the same. With a hash of the weights, the name and
    the place on the hub do not count: the path as it was typed, and a commit that may have changed a word of the card.
    """
    try:
        a, b = (np.array(of.get("fingerprint", ()), dtype=np.float64) for of in (one, other))
    except (TypeError, ValueError, OverflowError):
        return False
    with np.errstate(over="ignore"):
        close = a.shape == b.shape and np.allclose(a, b, rtol=1e-3, atol=1e-4, equal_nan=True)
    told_apart = ["fingerprint"]
    if "weights" in one and "weights" in other:
        told_apart += ["name", "hub"]
    return bool(close) and all(
        one.get(part) == other.get(part) for part in (one.keys() | other.keys()) - set(told_apart)
    )


def _is_whole(work: Work, part: int, answered: bytes) -> bool:
    whole = getattr(work, "whole", None)
    return bool(answered) if whole is None else whole(part, answered)


def _settings(benchmark: Benchmark, work: Work, scorer: dict[str, Any], options: Options) -> dict[str, Any]:
    """What is asked of what, as it is read back from JSON."""
    settings = {
        "benchmark": benchmark.name,
        "version": work.version,
        "parts": work.parts,
        "scorer": scorer,
        "options": options.to_json(),
        "stores": stores_of(options),
    }
    if examples := getattr(work, "examples", ()):  # some may be left out, for want of their pictures
        settings["examples"] = hash_of_text("\n".join(str(one.example) for one in examples))
    return json.loads(strict_json(settings))


def _check_settings(folder: Path, settings: dict[str, Any]) -> None:
    """The settings of the parts that are there must be these; where there are no parts yet, these are written."""
    file = folder / "settings.json"
    if not any(folder.glob("part-*")):
        write_text_whole(file, strict_json(settings, indent=1) + "\n")
        return
    cure = f"remove {folder} to ask all again, or give another folder with --out"
    if not file.is_file():
        raise ValueError(
            f"{folder} holds parts and no settings.json that says of which model and data; {cure}"
        )
    then = read_object(file, cure)
    if differ := _differing(settings, then, settings):
        raise ValueError(
            f"{folder} holds answers of another evaluation: {', '.join(differ)} differ ({file}). Go on with the same "
            "model, data and options, or give another folder with --out"
        )


def _differing(now: dict[str, Any], then: dict[str, Any], names: Iterable[str]) -> list[str]:
    """Which of the named settings are not the same; where files lie does not count."""

    def of(settings: dict[str, Any], name: str) -> Any:
        found = settings.get(name, {})
        if name == "options" and isinstance(found, dict):
            return {key: value for key, value in found.items() if key not in PATHS}
        return found

    differ = []
    for name in names:
        a, b = of(now, name), of(then, name)
        same = isinstance(b, dict) and same_scorer(a, b) if name == "scorer" else a == b
        if not same:
            differ.append(name)
    return differ
