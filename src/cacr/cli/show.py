"""What commands share in talking to a person: a console, a progress bar, tables of scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers.utils import logging

from cacr.benchmarks import Benchmark, Row, table
from cacr.benchmarks.benchmark import Record
from cacr.benchmarks.tables import Form, percent, render

console = Console()
_beside = Console(stderr=True)  # progress is no result: a pipe gets the results alone
logging.disable_progress_bar()  # ours tells more
PICTURES = {".png", ".pdf", ".svg"}


def bar(visible: bool = True) -> Progress:
    """A progress bar with the time left and the latest numbers."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=_beside,
        disable=not visible,
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
    (console if form == "text" else _beside).print(
        text,
        markup=False,
        highlight=False,
        soft_wrap=True,  # a path in two lines cannot be copied
    )


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


__all__ = ["bar", "check_plot", "console", "draw_scores", "headline", "percent", "print_evaluation", "tell"]
