"""What is read off the records of finished runs: scores and paired differences of each arm, as numbers and as text.

Seeds and examples are crossed (`cacr.statistics`). A starting model has no seed: it serves for all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cacr.benchmarks import BENCHMARKS, Estimate, chance_of, clusters_of, crossed, paired_difference
from cacr.benchmarks.records import read_records
from cacr.study.workers import Job


@dataclass(frozen=True)
class Measure:
    """A column of the report's table."""

    title: str
    benchmark: str
    group: str
    metric: str

    @property
    def path(self) -> str:
        """As a plan names it."""
        return f"{self.benchmark}/{self.group}/{self.metric}"


MEASURES = (
    Measure("relation group", "scenes", "relation", "group"),
    Measure("relation pairing", "scenes", "relation", "group match"),
    Measure("attribute group", "scenes", "attribute", "group"),
    Measure("retrieval R@1", "scenes-retrieval", "both directions", "R@1"),
)


@dataclass
class Column:
    """The outcomes behind a column of the table."""

    chance: float
    clusters: NDArray[Any]
    """What each example shares with others."""
    arms: dict[str, dict[int | None, NDArray[np.bool_]]] = field(default_factory=dict)
    """Arm -> seed -> outcome per example; a starting model has the seed None."""

    def stack(self, arm: str, seeds: Iterable[int | None] | None = None) -> NDArray[np.bool_]:
        """[seed, example] of an arm, all its seeds or some."""
        return np.stack([self.arms[arm][seed] for seed in seeds or self.arms[arm]])

    def paired(self, arm: str, other: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
        """[seed, example] of both over the seeds that both have (a start serves for all); None if they share none."""
        if arm not in self.arms or other not in self.arms:
            return None
        start = None in self.arms[other]
        shared = self.arms[arm].keys() if start else self.arms[arm].keys() & self.arms[other].keys()
        seeds = sorted(seed for seed in shared if seed is not None)
        if not seeds:
            return None
        theirs = np.repeat(self.stack(other), len(seeds), 0) if start else self.stack(other, seeds)
        return self.stack(arm, seeds), theirs

    def score(self, arm: str) -> Estimate:
        """Mean over seeds and examples."""
        return crossed(self.stack(arm), self.clusters)

    def difference(self, arm: str, other: str) -> Estimate | None:
        """Arm - other over the seeds that both have; None if they share none."""
        pair = self.paired(arm, other)
        return None if pair is None else paired_difference(*pair, self.clusters)


def columns_of(jobs: Sequence[Job]) -> dict[str, Column]:
    """Outcomes of the finished jobs, by the title of the measure."""
    found: dict[str, Column] = {}
    for job in jobs:
        records = read_records(job.folder / "records")
        for measure in MEASURES:
            benchmark = BENCHMARKS[measure.benchmark]
            rows = [row for row in records[measure.benchmark] if measure.group in benchmark.groups(row)]
            column = found.setdefault(
                measure.title, Column(chance_of(benchmark, rows, measure.metric), clusters_of(rows))
            )
            column.arms.setdefault(job.arm, {})[job.seed] = benchmark.right(rows)[measure.metric]
    return found


def difference_json(estimate: Estimate) -> dict[str, Any]:
    """A difference and whether its own interval leaves 0 out."""
    return estimate.to_json() | {"verdict": "resolved" if estimate.resolved else "not resolved"}


def scores_markdown(table: dict[str, Any], starts: Sequence[str]) -> list[str]:
    """The lines of the table of scores; ``table``: title -> {"chance", "scores": arm -> estimate}."""
    arms = list(dict.fromkeys(arm for column in table.values() for arm in column["scores"]))
    titles = list(table)
    lines = ["Scores in percent, mean over seeds, with 95 % intervals.", ""]
    lines += ["| arm | seeds | " + " | ".join(titles) + " |", "|---|---|" + "---|" * len(titles)]
    for arm in arms:
        cells = [score_text(table[title]["scores"].get(arm)) for title in titles]
        seeds = next(c["scores"][arm]["seeds"] for c in table.values() if arm in c["scores"])
        lines.append(f"| {arm} | {'-' if arm in starts else seeds} | " + " | ".join(cells) + " |")
    lines.append("| *chance* | | " + " | ".join(percent(table[title]["chance"]) for title in titles) + " |")
    n = [next(iter(table[title]["scores"].values()))["n"] for title in titles]
    lines.append("| *n examples* | | " + " | ".join(str(value) for value in n) + " |")
    return lines


def percent(value: float | None) -> str:
    """A fraction in percent."""
    return "-" if value is None or math.isnan(value) else f"{100 * value:.1f}"


def score_text(score: dict[str, Any] | None) -> str:
    """A score with its interval, in percent."""
    if score is None:
        return "-"
    return f"{percent(score['value'])} [{percent(score['low'])}, {percent(score['high'])}]"


def interval_text(score: dict[str, Any]) -> str:
    """A difference with its interval, in points."""
    if score["low"] is None:
        return f"{100 * score['value']:+.1f} (no interval: no variation)"
    return f"{100 * score['value']:+.1f} [{100 * score['low']:+.1f}, {100 * score['high']:+.1f}]"


def difference_text(score: dict[str, Any] | None) -> str:
    """A difference with its interval, in points, and "not resolved" where 0 lies inside."""
    if score is None:
        return "-"
    shown = interval_text(score)
    return shown if score["low"] is None or score["verdict"] == "resolved" else f"{shown} not resolved"
