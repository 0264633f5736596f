"""Runs compared on the same examples: paired differences, tests, and what the comparison could have found.

    records of each run  ->  matched by example  ->  one `Difference` per group, metric and pair of runs

A family, for Holm's adjustment, is all pairs of runs of one group and metric: it answers "which of these models
differ?" Groups and metrics are other questions, asked of the same answers; how many p-values the whole table holds is
said beside (`Difference.looks_of_table`), for a reader who wants to divide by that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from cacr._messages import unknown
from cacr.benchmarks.benchmark import Benchmark, Record, clusters_of
from cacr.benchmarks.power import detectable_from, holm, paired_test
from cacr.statistics import LEVEL, Estimate, paired_difference

ASKED = ("captions", "pictures", "label", "answers", "pool", "own", "cluster")
"""What a record holds of the question; the rest of it is the answer."""


@dataclass(frozen=True)
class Difference:
    """One run minus another, on one metric of one group of examples. Fractions."""

    group: str
    metric: str
    ours: str
    theirs: str
    estimate: Estimate
    """ours − theirs, with its interval."""
    p: float
    """Two-sided, of no difference."""
    test: str
    """Which test: exact McNemar, or clustered t where examples share pictures."""
    detectable: float
    """The smallest difference that this comparison finds with a power of 80 %; nan where outcomes do not vary."""
    adjusted: float = math.nan
    """p after Holm, over the pairs of runs of this group and metric."""
    looks: int = 1
    """p-values in that family."""
    looks_of_table: int = 1
    """p-values in the whole table, which are not adjusted for."""
    level: float = LEVEL

    @property
    def resolved(self) -> bool:
        """Whether 0 is outside of the interval and the adjusted p below 1 − level."""
        return self.estimate.resolved and self.adjusted < 1 - self.level

    def to_json(self) -> dict[str, Any]:
        """Plain values; nan becomes None."""
        own = {
            name: getattr(self, name)
            for name in ("group", "metric", "ours", "theirs", "p", "test", "detectable", "adjusted", "looks")
        }
        own |= {"looks_of_table": self.looks_of_table, "level": self.level, "resolved": self.resolved}
        own = {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in own.items()}
        return own | {"difference": self.estimate.to_json()}


def compare(
    runs: Mapping[str, Sequence[Record]],
    benchmark: Benchmark,
    against: str | None = None,
    shared: bool = False,
    level: float = LEVEL,
) -> list[Difference]:
    """Paired differences of runs on one benchmark: every group, metric and pair.

    Args:
        runs: Name -> records, in any order. Whether the data had the same version is the caller's to check.
        benchmark: Which the records are of.
        against: Compare every other run with this one alone, as other − this; else each with each later one,
            as first − second.
        shared: Compare on the examples that all runs have, where they differ; each `Difference` says how many.
        level: Of confidence, 0-1.

    Raises:
        ValueError: Fewer than two runs, an unknown one, an example that comes twice, or other examples.
    """
    if len(runs) < 2:
        raise ValueError(f"{len(runs)} run to compare ({', '.join(runs)}); expected two or more")
    if against is not None and against not in runs:
        raise ValueError(unknown("run", against, runs))
    matched = match_records(runs, benchmark.name, shared)
    outcomes = {name: benchmark.right(records) for name, records in matched.items()}
    first = next(iter(matched.values()))
    members: dict[str, list[int]] = {}
    for index, record in enumerate(first):
        for group in benchmark.groups(record):
            members.setdefault(group, []).append(index)
    pairs = [(name, against) for name in runs if name != against] if against else list(combinations(runs, 2))
    found: list[Difference] = []
    for group, indices in members.items():
        clusters = clusters_of([first[i] for i in indices])
        for metric in outcomes[pairs[0][0]]:
            family = []
            for ours, theirs in pairs:
                a, b = outcomes[ours][metric][indices], outcomes[theirs][metric][indices]
                test = paired_test(a, b, clusters)
                estimate = paired_difference(a, b, clusters, level)
                smallest = detectable_from(a, b, clusters, level=level)
                family.append(
                    Difference(
                        group, metric, ours, theirs, estimate, test.p, test.method, smallest, level=level
                    )
                )
            looks = sum(not math.isnan(one.p) for one in family)
            adjusted = holm([one.p for one in family])
            found += [replace(one, adjusted=p, looks=looks) for one, p in zip(family, adjusted, strict=True)]
    in_all = sum(not math.isnan(one.p) for one in found)
    return [replace(one, looks_of_table=in_all) for one in found]


def match_records(
    runs: Mapping[str, Sequence[Record]], benchmark: str, shared: bool = False
) -> dict[str, list[Record]]:
    """Each run's records of the examples that all have, in the order of the first run.

    Args:
        runs: Name -> records.
        benchmark: Its name, for messages.
        shared: Whether runs with different examples are cut to those that all have.

    Raises:
        ValueError: An example that comes twice, other examples, or other questions under the same ids.
    """
    by_id: dict[str, dict[Any, Record]] = {}
    for name, records in runs.items():
        by_id[name] = {(record.get("direction"), record["example"]): record for record in records}
        if len(by_id[name]) < len(records):
            raise ValueError(
                f"{benchmark}: {len(records)} records of {name} are of {len(by_id[name])} examples; expected each "
                "example once"
            )
    (first, order), *others = by_id.items()
    common = [key for key in order if all(key in there for _, there in others)]
    for name, there in others:
        if shared or there.keys() == order.keys():
            continue
        odd = next((key for key in order if key not in there), None) or next(
            key for key in there if key not in order
        )
        raise ValueError(
            f"{benchmark}: {first} has {len(order)} examples and {name} has {len(there)}, {len(order.keys() & there)} "
            f"of them the same; {odd[1]} is in one of them alone. Measure the same examples, or compare on those that "
            "all have (--shared)"
        )
    if not common:
        raise ValueError(f"{benchmark}: the runs {', '.join(runs)} have no example in common")
    matched = {name: [there[key] for key in common] for name, there in by_id.items()}
    for name, records in matched.items():
        for ours, theirs in zip(matched[first], records, strict=True):
            if odd_parts := [part for part in ASKED if ours.get(part) != theirs.get(part)]:
                raise ValueError(
                    f"{benchmark}: {first} and {name} asked different things under the example {ours['example']}: "
                    f"{', '.join(odd_parts)} differ. Measure both on the same data with the same options"
                )
    return matched


@dataclass(frozen=True)
class Correlation:
    """Whether two benchmarks order models alike."""

    first: str
    second: str
    estimate: Estimate
    """Spearman's rank correlation, -1 to 1; ``n`` counts models."""


def correlations(scores: Mapping[str, Mapping[str, float]], level: float = LEVEL) -> list[Correlation]:
    """Spearman's correlation of every two benchmarks, over the models that have both.

    The interval is Fisher's with the variance (1 + r² / 2) / (models − 3). It is nan with fewer than four models, where
    one of the benchmarks gives all the same score, and at ±1; ``estimate.method`` says which.

    Args:
        scores: Model -> benchmark -> score.
        level: Of confidence, 0-1.

    Examples:
        >>> scores = {"a": {"x": 0.1, "y": 0.2}, "b": {"x": 0.2, "y": 0.3}, "c": {"x": 0.3, "y": 0.1}}
        >>> found = correlations(scores)[0].estimate
        >>> found.value, found.method
        (-0.5, 'spearman, no interval: fewer than 4 models')

    Source: Bonett & Wright 2000, Psychometrika 65, for the variance.
    """
    names = list(dict.fromkeys(name for one in scores.values() for name in one))
    return [
        Correlation(first, second, _spearman(scores, first, second, level))
        for first, second in combinations(names, 2)
    ]


def _spearman(scores: Mapping[str, Mapping[str, float]], first: str, second: str, level: float) -> Estimate:
    both = [(one[first], one[second]) for one in scores.values() if first in one and second in one]
    n = len(both)
    x, y = np.array(both, dtype=float).reshape(n, 2).T
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(f"a score of {first} or {second} is not finite; leave that model out of it")
    if n < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        why = "fewer than 2 models" if n < 2 else "all models score the same"
        return Estimate(math.nan, math.nan, math.nan, n, method=f"no correlation: {why}")
    r = float(stats.spearmanr(x, y).statistic)
    why = "fewer than 4 models" if n < 4 else "the order is the same" if abs(r) > 1 - 1e-9 else ""
    if why:
        return Estimate(r, math.nan, math.nan, n, method=f"spearman, no interval: {why}")
    reach = float(stats.norm.ppf((1 + level) / 2)) * math.sqrt((1 + r**2 / 2) / (n - 3))
    low, high = math.tanh(math.atanh(r) - reach), math.tanh(math.atanh(r) + reach)
    return Estimate(r, low, high, n, method="spearman")
