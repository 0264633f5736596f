"""What commands share in talking to a person: a console, a progress bar, tables of scores."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from logging import getLogger
from pathlib import Path
from typing import Any

from huggingface_hub.utils import are_progress_bars_disabled, enable_progress_bars
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers.utils import logging

from cacr.benchmarks import Benchmark, Row, table
from cacr.benchmarks.benchmark import Record
from cacr.benchmarks.records import strict_json
from cacr.benchmarks.tables import Form, percent, render
from cacr.cli.voice import beside, console, voice

# the order by numbers is the one that is meant, on any disk
getLogger("transformers.trainer_utils").addFilter(lambda said: "mtime" not in said.getMessage())
downloads = sys.stderr.isatty() and not voice.quiet and not are_progress_bars_disabled()
logging.disable_progress_bar()  # ours tells more, but of downloads
if downloads:
    enable_progress_bars()
PICTURES = {".png", ".pdf", ".svg"}


def bar(visible: bool = True) -> Progress:
    """A progress bar with the time left and the latest numbers; none where nobody watches it."""
    watched = visible and not voice.quiet and sys.stderr.isatty()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=beside,
        disable=not watched,
    )


def print_evaluation(
    benchmark: Benchmark, records: Sequence[Record], about: Mapping[str, Any], form: Form
) -> dict[str, Any]:
    """Print the table of a benchmark with what a reader must know beside it; the same as JSON has it."""
    title = f"{benchmark.name}: {benchmark.asks} Ties: {benchmark.ties}."
    notes, split = [*about.get("notes", ()), *benchmark.cautions], about.get("options", {}).get("split")
    rows = table(benchmark, records)
    if form != "json":
        print(render(rows, form, benchmark.name, title, notes, split) + "\n")
    found = json.loads(render(rows, "json", benchmark.name, title, notes, split))
    return found | {"version": about.get("version")}


def tell(text: str, form: Form = "text") -> None:
    """Say something beside the results: on the screen, and not in what a table or JSON is piped to."""
    if not voice.quiet:
        _print(text, form)


def finish(
    said: str,
    wrote: Mapping[str, Path | Sequence[Path]],
    then: Mapping[str, str],
    form: Form = "text",
    **results: Any,
) -> None:
    """End a command: where it wrote and what to run next; for a machine all results, as one JSON document.

    Args:
        said: The sentence of where it wrote; nothing is said if it is empty.
        wrote: What -> file or folder.
        then: What for -> the command to run next.
        form: Of the tables of this command.
        results: What was found, plain values.
    """
    if voice.json or form == "json":
        print(strict_json(results | {"wrote": _plain(wrote), "next": dict(then)}, indent=1))
        return
    if said:
        _print(said, form)
    for what, command in then.items():
        tell(f"{what}:  {command}", form)


def _plain(wrote: Mapping[str, Any]) -> dict[str, Any]:
    return {what: [*map(str, one)] if isinstance(one, list) else str(one) for what, one in wrote.items()}


def _print(text: str, form: Form) -> None:
    (console if form == "text" else beside).print(
        text,
        markup=False,
        highlight=False,
        soft_wrap=True,  # a path in two lines cannot be copied
    )


def asked_form(form: Form) -> Form:
    """The form of tables, where ``--json`` is one as well."""
    return "json" if voice.json else form


def check_plot(file: Path) -> None:
    """Raises FileExistsError or ValueError where a plot could not be written, before the work is done."""
    if file.suffix not in PICTURES:
        raise ValueError(f"a plot named {file}; expected a name that ends in {', '.join(sorted(PICTURES))}")
    if file.exists():
        raise FileExistsError(f"{file} exists and is not overwritten; give another name")


def draw_scores(
    file: Path, benchmark: str, rows: Mapping[str, Sequence[Row]], split: str | None = None
) -> None:
    """Write a plot of scores with error bars, of one or several models, with published ones beside.

    Raises:
        FileExistsError: The file exists.
        ValueError: It does not end like a picture.
    """
    from cacr.benchmarks.references import references_for
    from cacr.explore import estimates_plot, save_figure

    check_plot(file)
    groups = dict.fromkeys(row.group for some in rows.values() for row in some)
    published = [one for group in groups for one in references_for(benchmark, group)] if split is None else []
    title = f"{benchmark}: {next(iter(groups))}" if len(groups) == 1 else benchmark
    save_figure(estimates_plot(rows, title, published), file)


def headline(rows: Sequence[Row]) -> Row:
    """The row that stands for a benchmark: of its first group the strictest metric."""
    first = [row for row in rows if row.group == rows[0].group]
    by_metric = {row.metric: row for row in first}
    return next(
        (by_metric[name] for name in ("set", "group", "both", "accuracy", "R@1") if name in by_metric),
        first[0],
    )


__all__ = [
    "asked_form",
    "bar",
    "check_plot",
    "console",
    "draw_scores",
    "finish",
    "headline",
    "percent",
    "print_evaluation",
    "tell",
    "voice",
]
