"""What commands share in talking to a person: a console, a progress bar, tables of scores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from transformers.utils import logging

from cacr.benchmarks import Benchmark, Row, table
from cacr.benchmarks.benchmark import Record
from cacr.benchmarks.statistics import Estimate

console = Console()
_beside = Console(stderr=True)  # progress is no result: a pipe gets the results alone
logging.disable_progress_bar()  # ours tells more


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


def percent(estimate: Estimate) -> str:
    """``47.8 [43.0, 52.7]``, in percent."""
    if math.isnan(estimate.value):
        return "-"
    if math.isnan(estimate.low):
        return f"{100 * estimate.value:.1f} [no interval]"
    return f"{100 * estimate.value:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def score_table(title: str, rows: Iterable[Row]) -> Table:
    """Groups and metrics with intervals, n and chance."""
    shown = Table(title=title, title_justify="left")
    for name in ("group", "metric", "% [95 % interval]", "n", "chance %"):
        shown.add_column(name, justify="left" if name in ("group", "metric") else "right")
    last = None
    for row in rows:
        shown.add_row(
            "" if row.group == last else row.group,
            row.metric,
            percent(row.estimate),
            str(row.estimate.n),
            f"{100 * row.chance:.1f}",
        )
        last = row.group
    return shown


def print_evaluation(
    benchmark: Benchmark, records: Sequence[Record], about: Mapping[str, Any], form: str
) -> list[dict[str, Any]]:
    """Print the table of a benchmark with what a reader must know beside it; its numbers."""
    rows = table(benchmark, records)
    if form != "json":
        console.print(score_table(f"{benchmark.name}: {benchmark.asks} Ties: {benchmark.ties}.", rows))
        for note in (*about.get("notes", ()), *benchmark.cautions):
            console.print(f"Note: {note}", markup=False, highlight=False)
    return [
        {"group": row.group, "metric": row.metric, "chance": row.chance} | row.estimate.to_json()
        for row in rows
    ]
