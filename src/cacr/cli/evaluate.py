"""``cacr eval``, ``cacr rescore`` and ``cacr compare``."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
from rich.table import Table

from cacr._messages import unknown
from cacr.benchmarks import BENCHMARKS, clusters_of, paired_difference, table
from cacr.benchmarks.benchmark import Benchmark, Options
from cacr.benchmarks.records import read_records, write_records
from cacr.benchmarks.statistics import mcnemar_p
from cacr.cli.show import bar, console, percent, score_table


def evaluate(
    model: str,
    benchmarks: list[str],
    /,
    *,
    out: Path | None = None,
    data: Path | None = None,
    features: Path | None = None,
    split: str | None = None,
    n: int | None = None,
    seed: int | None = None,
    json_: bool = False,
) -> int:
    """Measure a model on benchmarks: every number with its n and interval, one record per example on disk.

    Args:
        model: A model folder (RUN/model), or scenes-start.
        benchmarks: scenes, scenes-retrieval, retrieval.
        out: A new folder for the records; evaluation-BENCHMARKS inside the model's folder, if not given.
        data: Captioned pictures for retrieval: Flickr30k, COCO, a folder, a table (docs/data.md).
        features: Their region features, if not inside the folder.
        split: Only captions of this split.
        n: Only the first examples; of the embedded world only.
        seed: Album of the embedded world; the test album if not given.
        json_: Print JSON instead of tables.
    """
    from cacr.demo.start import open_scorer
    from cacr.training.folder import environment

    chosen = [_benchmark(name) for name in benchmarks]
    out = out or Path(model if Path(model).is_dir() else "runs") / f"evaluation-{'-'.join(benchmarks)}"
    if out.exists():
        raise FileExistsError(f"{out} exists and is not overwritten; give another folder with --out")
    scorer = open_scorer(model)
    printed = {}
    for benchmark in chosen:
        with bar() as progress:
            task = progress.add_task(benchmark.name, total=None, note="pairs")
            scorer.progress = partial(progress.advance, task)
            options = Options(data=data, features=features, split=split, n=n, seed=seed)
            records = benchmark.measure(scorer, options)
        write_records(
            out, benchmark, records, scorer, environment(), options, benchmark.open(options).version
        )
        rows = table(benchmark, records)
        printed[benchmark.name] = [
            {"group": row.group, "metric": row.metric, "chance": row.chance} | row.estimate.to_json()
            for row in rows
        ]
        if not json_:
            console.print(score_table(f"{benchmark.name}: {benchmark.asks} Ties: {benchmark.ties}.", rows))
    if json_:
        print(json.dumps(printed, indent=1))
    else:
        console.print(f"Records are in {out}. Make the tables again:  cacr rescore {out}")
    return 0


def rescore(run: Path, /) -> int:
    """Make the tables of an evaluation again from its records, without the model.

    Args:
        run: A folder made by `cacr eval`.
    """
    for name, records in read_records(run).items():
        console.print(score_table(name, table(_benchmark(name), records)))
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
        benchmark = _benchmark(name)
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


def _benchmark(name: str) -> Benchmark:
    if name not in BENCHMARKS:
        raise ValueError(unknown("benchmark", name, BENCHMARKS))
    return BENCHMARKS[name]
