"""``cacr rescore`` and ``cacr compare``: tables from records, without a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.table import Table

from cacr.benchmarks import BENCHMARKS, clusters_of, paired_difference, table
from cacr.benchmarks.records import read_records
from cacr.benchmarks.statistics import mcnemar_p
from cacr.cli.show import console, percent, score_table


def rescore(run: Path, /) -> int:
    """Make the tables of an evaluation again from its records, without the model.

    Args:
        run: A folder made by `cacr eval`.
    """
    for name, records in read_records(run).items():
        console.print(score_table(name, table(BENCHMARKS[name], records)))
    return 0


def compare(first: Path, second: Path, /) -> int:
    """Paired differences (first − second) of two evaluations of the same examples.

    Args:
        first: A folder made by `cacr eval`.
        second: Another one.
    """
    ours, theirs = read_records(first), read_records(second)
    shared = [name for name in ours if name in theirs]
    if not shared:
        raise ValueError(
            f"{first} has {', '.join(ours)} and {second} has {', '.join(theirs)}; no benchmark is in both"
        )
    for name in shared:
        benchmark = BENCHMARKS[name]
        a, b = ours[name], theirs[name]
        if [r["example"] for r in a] != [r["example"] for r in b]:
            raise ValueError(
                f"{name}: the two evaluations are of different examples, so they cannot be paired"
            )
        shown = Table(title=f"{name}: {first} − {second}", title_justify="left")
        for column in ("group", "metric", "points [95 % interval]", "exact McNemar p", "n", ""):
            shown.add_column(column)
        outcomes_a, outcomes_b = benchmark.right(a), benchmark.right(b)
        groups = list(dict.fromkeys(group for record in a for group in benchmark.groups(record)))
        for group in groups:
            rows = np.array([group in benchmark.groups(record) for record in a])
            for metric in outcomes_a:
                x, y = outcomes_a[metric][rows], outcomes_b[metric][rows]
                clusters = clusters_of([record for record, counts in zip(a, rows, strict=True) if counts])
                d = paired_difference(x, y, clusters)
                independent = len(set(clusters.tolist())) == len(clusters)
                p = f"{mcnemar_p(x, y):.3f}" if independent else "-"
                shown.add_row(group, metric, percent(d), p, str(d.n), "" if d.resolved else "not resolved")
        console.print(shown)
    return 0
