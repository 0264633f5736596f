"""What commands share in talking to a person: a console, a progress bar, tables of scores."""

from __future__ import annotations

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
    """Print the table of a benchmark with what a reader must know beside it; its numbers as JSON has them."""
    rows = table(benchmark, records)
    if form != "json":
        print(
            render(rows, form, benchmark.name, f"{benchmark.name}: {benchmark.asks} Ties: {benchmark.ties}.")
        )
        for note in (*about.get("notes", ()), *benchmark.cautions):
            console.print(f"Note: {note}", markup=False, highlight=False)
        print()
    return {
        "notes": list(about.get("notes", ())),
        "version": about.get("version"),
        "rows": [row.to_json() for row in rows],
    }


def draw_scores(file: Path, title: str, rows: Mapping[str, Sequence[Row]]) -> None:
    """Write a plot of scores with error bars, of one or several models, with published ones beside.

    Raises:
        FileExistsError: The file exists.
        ValueError: It does not end like a picture.
    """
    from cacr.benchmarks.references import references_for
    from cacr.explore.plots import estimates_plot

    if file.suffix not in PICTURES:
        raise ValueError(f"a plot named {file}; expected a name that ends in {', '.join(sorted(PICTURES))}")
    if file.exists():
        raise FileExistsError(f"{file} exists and is not overwritten; give another name")
    groups = {row.group for some in rows.values() for row in some}
    published = [one for group in sorted(groups) for one in references_for(title, group)]
    file.parent.mkdir(parents=True, exist_ok=True)
    estimates_plot(rows, title, published).savefig(file, dpi=150)


def headline(rows: Sequence[Row]) -> Row:
    """The row that stands for a benchmark: of its first group the strictest metric."""
    first = [row for row in rows if row.group == rows[0].group]
    by_metric = {row.metric: row for row in first}
    return next(
        (by_metric[name] for name in ("group", "both", "accuracy", "R@1") if name in by_metric), first[0]
    )


__all__ = ["bar", "console", "draw_scores", "headline", "percent", "print_evaluation"]
