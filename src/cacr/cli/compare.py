"""``cacr rescore`` and ``cacr compare``: tables from records, without a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cacr.benchmarks import Benchmark, Row, table
from cacr.benchmarks.benchmark import Record
from cacr.benchmarks.comparing import compare as differences_of
from cacr.benchmarks.comparing import correlations
from cacr.benchmarks.records import read_about, read_records
from cacr.benchmarks.tables import Form, render
from cacr.cli.evaluate import known_benchmark
from cacr.cli.show import console, draw_scores, headline, percent, print_evaluation


def rescore(run: Path, /, *, form: Form = "text", plot: Path | None = None, calibration: bool = False) -> int:
    """Make the tables of an evaluation again from its records, without the model.

    Args:
        run: A folder made by `cacr eval`.
        form: How tables are printed.
        plot: A new file (.png, .pdf, .svg) with error bars; one per benchmark, its name added, if there are several.
        calibration: Say too how far the match is from a probability.
    """
    found = read_records(run)
    printed = {}
    for name, records in found.items():
        benchmark = known_benchmark(name)
        printed[name] = print_evaluation(benchmark, records, read_about(run, name), form)
        if calibration:
            said, printed[name]["calibration"] = _calibration(benchmark, records)
            if form != "json":
                console.print(said, markup=False, highlight=False)
        if plot is not None:
            rows = table(benchmark, records)
            first = [row for row in rows if row.group == rows[0].group]
            _draw(_plot_of(plot, name, len(found)), benchmark, {run.name: first})
    if form == "json":
        print(json.dumps(printed, indent=1))
    return 0


def compare(
    *runs: Path,
    against: Path | None = None,
    shared: bool = False,
    all_groups: bool = False,
    form: Form = "text",
    plot: Path | None = None,
) -> int:
    """Paired differences between evaluations of the same examples, with tests, Holm's adjustment and detectable size.

    Args:
        runs: Two or more folders made by `cacr eval`.
        against: Compare every other run with this one alone, in place of each with each.
        shared: Compare on the examples that all runs have, where they differ.
        all_groups: Every row of the tables; the first of each benchmark if not set.
        form: How tables are printed.
        plot: A new file (.png, .pdf, .svg) with all runs and error bars; one per benchmark, its name added, if several.
    """
    folders = list(dict.fromkeys([*runs, *([against] if against else [])]))
    if len(folders) < 2:
        raise ValueError(
            f"{len(folders)} evaluation is given; expected two or more folders made by `cacr eval`"
        )
    names = _names(folders)
    records = {names[folder]: read_records(folder) for folder in folders}
    common = [name for name in next(iter(records.values())) if all(name in one for one in records.values())]
    if not common:
        told = "; ".join(f"{run} has {', '.join(found)}" for run, found in records.items())
        raise ValueError(f"no benchmark is in all of them: {told}")
    printed, scores = {}, {run: {} for run in records}  # type: ignore[var-annotated]
    for name in common:
        benchmark = known_benchmark(name)
        _same_version(name, folders)
        found = differences_of(
            {run: of[name] for run, of in records.items()},
            benchmark,
            names[against] if against else None,
            shared,
        )
        tables = {run: table(benchmark, of[name]) for run, of in records.items()}
        for run, rows in tables.items():
            scores[run][name] = headline(rows).estimate.value
        first = found[0].group
        shown = [one for one in found if all_groups or one.group == first]
        kept = {
            run: [row for row in rows if all_groups or row.group == first] for run, rows in tables.items()
        }
        printed[name] = {
            "scores": json.loads(render(kept, "json", name)),
            "differences": [d.to_json() for d in shown],
        }
        if form != "json":
            print(render(kept, form, name, title=f"{name}: {benchmark.asks} Ties: {benchmark.ties}."))
            print("\n" + render(shown, form, title=f"{name}: paired differences") + "\n")
        if plot is not None:
            _draw(_plot_of(plot, name, len(common)), benchmark, kept)
    if form == "json":
        print(json.dumps(printed, indent=1))
    elif len(common) > 1:
        _correlations(scores)
    return 0


def _names(folders: Sequence[Path]) -> dict[Path, str]:
    """Short names that tell the folders apart: their last parts, as many as it takes."""
    for parts in range(1, 1 + max(len(folder.parts) for folder in folders)):
        names = {folder: "/".join(folder.parts[-parts:]) for folder in folders}
        if len(set(names.values())) == len(folders):
            return names
    return {folder: str(folder) for folder in folders}


def _same_version(name: str, folders: Sequence[Path]) -> None:
    versions = {folder: read_about(folder, name).get("version") for folder in folders}
    if len({version for version in versions.values() if version}) > 1:
        told = ", ".join(f"{folder}: {version}" for folder, version in versions.items())
        raise ValueError(f"{name}: the evaluations are of different data ({told}); measure on the same files")


def _correlations(scores: Mapping[str, Mapping[str, float]]) -> None:
    print(f"Do the benchmarks order these {len(scores)} models alike? Spearman's correlation:")
    for one in correlations(scores):
        e = one.estimate
        interval = f"[{e.low:+.2f}, {e.high:+.2f}]" if e.low == e.low else f"({e.method})"
        value = f"{e.value:+.2f} " if e.value == e.value else ""
        print(f"  {one.first}, {one.second}: {value}{interval}")


def _calibration(benchmark: Benchmark, records: Sequence[Record]) -> tuple[str, dict[str, Any] | None]:
    """How far the match is from a probability, as a sentence and as numbers; None where nothing is to calibrate."""
    from cacr.benchmarks.calibration import answers, calibration

    threshold = records[0].get("threshold")
    if benchmark.kind is None or (benchmark.kind == "labelled" and threshold is None):
        why = (
            "its records are no choices"
            if benchmark.kind is None
            else "the model has no threshold of its own"
        )
        return f"{benchmark.name}: nothing to calibrate, {why}", None
    asked = answers(records, benchmark.kind, threshold or 0.0)
    found = calibration(asked.margins, asked.true, asked.clusters)
    t = found.temperature
    said = (
        f"{benchmark.name}: is the match a probability? {found.brier.n} answers; Brier score {percent(found.brier)} %, "
        f"calibration error {percent(found.error)} %, temperature {t.value:.3g} [{t.low:.3g}, {t.high:.3g}], "
        f"error after it {percent(found.error_after)} %"
    )
    names = ("brier", "error", "temperature", "error_after")
    return said, {name: getattr(found, name).to_json() for name in names}


def _draw(file: Path, benchmark: Benchmark, rows: Mapping[str, Sequence[Row]]) -> None:
    draw_scores(file, benchmark.name, rows)
    console.print(f"Wrote {file}")


def _plot_of(file: Path, name: str, several: int) -> Path:
    return file if several == 1 else file.with_name(f"{file.stem}-{name}{file.suffix}")
