"""What a benchmark is: a question, records of a model's answers, and outcomes that follow from the records alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cacr.benchmarks.statistics import Estimate, proportion
from cacr.data import Scorer

Record = dict[str, Any]
"""One example: its id, its tags, its cluster, and the match scores or ranks. JSON."""


@dataclass(frozen=True)
class Options:
    """What a benchmark may be told."""

    data: Path | None = None
    """Folder of the benchmark's files, where it is not embedded."""
    features: Path | None = None
    """Region features for the pictures."""
    split: str | None = None
    """Only this part of a folder."""
    n: int | None = None
    """Only the first examples of the embedded world; all if None."""
    seed: int | None = None
    """Album of the embedded world; the test album if None."""

    def __post_init__(self) -> None:
        if self.n is not None and self.n < 1:
            raise ValueError(f"n is {self.n}; expected 1 example or more")


@dataclass(frozen=True)
class Benchmark:
    """A benchmark, stated so that a number can be trusted."""

    name: str
    asks: str
    paper: str
    licence: str
    size: str
    ties: str
    version: str
    chance: Callable[[Record], dict[str, float]]
    """Metric -> how often a random scorer gets this example right."""
    measure: Callable[[Scorer, Options], list[Record]]
    """Ask the model; one record per example."""
    right: Callable[[Sequence[Record]], dict[str, np.ndarray]]
    """Metric -> outcome per record, from the records alone."""
    groups: Callable[[Record], list[str]]
    """The rows of the table that a record counts for."""


@dataclass(frozen=True)
class Row:
    """A line of a table."""

    group: str
    metric: str
    estimate: Estimate
    chance: float


def clusters_of(records: Sequence[Record]) -> np.ndarray:
    """What each example shares with others: its picture, or nothing."""
    return np.array([record.get("cluster", record["example"]) for record in records])


def chance_of(benchmark: Benchmark, records: Sequence[Record], metric: str) -> float:
    """What a random scorer gets on these examples."""
    return float(np.mean([benchmark.chance(record)[metric] for record in records]))


def table(benchmark: Benchmark, records: Sequence[Record]) -> list[Row]:
    """Every group and metric with its interval."""
    outcomes = benchmark.right(records)
    members: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        for group in benchmark.groups(record):
            members.setdefault(group, []).append(index)
    rows = []
    for group, indices in members.items():
        clusters = clusters_of([records[i] for i in indices])
        for metric, right in outcomes.items():
            rows.append(
                Row(
                    group,
                    metric,
                    proportion(right[indices], clusters),
                    chance_of(benchmark, [records[i] for i in indices], metric),
                )
            )
    return rows
