"""``cacr rescore`` and ``cacr compare``: tables from records, without a model."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from cacr.benchmarks import Benchmark, table
from cacr.benchmarks.benchmark import Record
from cacr.benchmarks.comparing import compare as differences_of
from cacr.benchmarks.comparing import correlations, match_records
from cacr.benchmarks.records import read_about, read_records
from cacr.benchmarks.tables import Form, render
from cacr.cli.evaluate import known_benchmark
from cacr.cli.show import (
    asked_form,
    check_plot,
    draw_scores,
    finish,
    headline,
    percent,
    print_evaluation,
    tell,
)


def rescore(run: Path, /, *, form: Form = "text", plot: Path | None = None, calibration: bool = False) -> int:
    """Make the tables of an evaluation again from its records, without the model.

    Args:
        run: A folder made by `cacr eval`.
        form: How tables are printed: text, markdown, latex, json.
        plot: A new file (.png, .pdf, .svg) with error bars; one per benchmark, its name added, if there are several.
        calibration: Say too how far the match is from a probability.
    """
    form = asked_form(form)
    found = read_records(run)
    plots = _plots(plot, list(found))
    printed = {}
    for name, records in found.items():
        benchmark, about = known_benchmark(name), read_about(run, name)
        printed[name] = print_evaluation(benchmark, records, about, form)
        if calibration:
            said, printed[name]["calibration"] = _calibration(benchmark, records)
            tell(said, form)
        if name in plots:
            rows = table(benchmark, records)
            first = [row for row in rows if row.group == rows[0].group]
            draw_scores(
                plots[name], name, {run.absolute().name: first}, about.get("options", {}).get("split")
            )
    _finish(plots, form, printed)
    return 0


def compare(
    first: Path,
    second: Path,
    /,
    *others: Path,
    against: Path | None = None,
    shared: bool = False,
    all_groups: bool = False,
    form: Form = "text",
    plot: Path | None = None,
) -> int:
    """Paired differences between evaluations of the same examples, with tests, Holm's adjustment and detectable size.

    Args:
        first: A folder made by `cacr eval`.
        second: Another one.
        others: More of them.
        against: Compare every other run with this one alone, in place of each with each.
        shared: Compare on the examples that all runs have, where they differ; scores are of these too.
        all_groups: Every row of the tables; the first of each benchmark if not set.
        form: How tables are printed: text, markdown, latex, json.
        plot: A new file (.png, .pdf, .svg) with all runs and error bars; one per benchmark, its name added, if several.
    """
    form = asked_form(form)
    folders = [first, second, *others]
    if against is not None and against.resolve() not in [folder.resolve() for folder in folders]:
        folders.append(against)
    twice = [folder for folder, count in Counter(folder.resolve() for folder in folders).items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]} is given twice; an evaluation does not differ from itself")
    names = _names(folders)
    records = {names[folder]: read_records(folder) for folder in folders}
    common = [name for name in next(iter(records.values())) if all(name in one for one in records.values())]
    if not common:
        told = "; ".join(f"{run} has {', '.join(found)}" for run, found in records.items())
        raise ValueError(f"no benchmark is in all of them: {told}")
    plots = _plots(plot, common)
    base = None if against is None else next(names[f] for f in folders if f.resolve() == against.resolve())
    printed: dict[str, Any] = {}
    scores: dict[str, dict[str, float]] = {run: {} for run in records}
    for name in common:
        benchmark, split = known_benchmark(name), _split(name, folders)
        matched = match_records({run: of[name] for run, of in records.items()}, name, shared)
        found = differences_of(matched, benchmark, base)
        tables = {run: table(benchmark, some) for run, some in matched.items()}
        for run, rows in tables.items():
            scores[run][name] = headline(rows).estimate.value
        group = found[0].group
        shown = [one for one in found if all_groups or one.group == group]
        kept = {
            run: [row for row in rows if all_groups or row.group == group] for run, rows in tables.items()
        }
        title = f"{name}: {benchmark.asks} Ties: {benchmark.ties}."
        notes = [*_notes(name, names), *benchmark.cautions]
        printed[name] = {
            "scores": json.loads(render(kept, "json", name, title, notes, split)),
            "differences": [one.to_json() for one in shown],
        }
        if form != "json":
            print(render(kept, form, name, title, split=split))
            print("\n" + render(shown, form, title=f"{name}: paired differences", notes=notes) + "\n")
        if name in plots:
            draw_scores(plots[name], name, kept, split)
    if len(common) > 1:
        printed["correlations"] = _correlations(scores, form)
    _finish(plots, form, printed)
    return 0


def _finish(plots: Mapping[str, Path], form: Form, printed: Mapping[str, Any]) -> None:
    files = list(plots.values())
    finish("\n".join(f"Wrote {file}" for file in files), {"plots": files}, {}, form, **printed)


def _names(folders: Sequence[Path]) -> dict[Path, str]:
    """Short names that tell the folders apart: their last parts, as many as it takes."""
    whole = {folder: folder.absolute().parts for folder in folders}  # "." has no part of its own
    for parts in count(1):
        names = {folder: "/".join(whole[folder][-parts:]) for folder in folders}
        if len(set(names.values())) == len(folders):
            break
    return names


def _notes(name: str, names: Mapping[Path, str]) -> list[str]:
    """What the runs note, once where all do, else with the run that does."""
    noted: dict[str, list[str]] = {}
    for folder, run in names.items():
        for note in read_about(folder, name).get("notes", ()):
            noted.setdefault(note, []).append(run)
    return [note if len(runs) == len(names) else f"{', '.join(runs)}: {note}" for note, runs in noted.items()]


def _split(name: str, folders: Sequence[Path]) -> str | None:
    """The part that the evaluations asked for; some name, if they are not the same."""
    asked = {read_about(folder, name).get("options", {}).get("split") for folder in folders}
    return asked.pop() if len(asked) == 1 else "different parts"


def _correlations(scores: Mapping[str, Mapping[str, float]], form: Form) -> list[dict[str, Any]]:
    found = correlations(scores)
    lines = [f"Do the benchmarks order these {len(scores)} models alike? Spearman's correlation:"]
    for one in found:
        e = one.estimate
        interval = f"[{e.low:+.2f}, {e.high:+.2f}]" if e.low == e.low else f"({e.method})"
        value = f"{e.value:+.2f} " if e.value == e.value else ""
        lines.append(f"  {one.first}, {one.second}: {value}{interval}")
    tell("\n".join(lines), form)
    return [{"first": one.first, "second": one.second} | one.estimate.to_json() for one in found]


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


def _plots(file: Path | None, names: Sequence[str]) -> dict[str, Path]:
    """Benchmark -> the plot to write; that each can be written is checked before anything is done."""
    if file is None:
        return {}
    several = len(names) > 1
    plots = {name: file.with_name(f"{file.stem}-{name}{file.suffix}") if several else file for name in names}
    for one in plots.values():
        check_plot(one)
    return plots
