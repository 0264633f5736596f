"""From the measures of pairs to numbers with intervals: means, differences, correlations. Plain, for JSON.

A model named ARM:SEED is one of several of the arm ARM; their means cross seeds and clusters (see `intervals`).
Correlations are of one model over examples; of an arm with three or more seeds also their mean with Student's interval
over seeds, which speaks of other seeds and these examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cacr.explore.analysis.correlations import correlations, explained, group_right, soft_score
from cacr.explore.analysis.intervals import LEVEL, Interval, mean
from cacr.explore.analysis.measures import CORRELATED, MEASURES
from cacr.explore.analysis.pairs import Measured

Row = dict[str, Any]
SEEDS = 3
"""Models of an arm from which on an interval over seeds is made."""


@dataclass(frozen=True, eq=False)
class Subject:
    """One model, and what was measured of it.

    Args:
        name: As it was given: a name, or ARM:SEED.
        pairs: The measures of its true pairs; the same pairs in the same order for every model.
        match: [example, 2, 2], where the data are Winoground-like: match[n][c][i] of caption c with picture i.
        examples: Names of the examples.
        clusters: What examples share; the same length.

    Raises:
        ValueError: No pairs, matches of another shape or that are no numbers, or pairs of different layers.
    """

    name: str
    pairs: Sequence[Measured]
    match: NDArray[np.float64] | None = None
    examples: Sequence[str] = ()
    clusters: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.pairs:
            raise ValueError(f"no pair of {self.name} was measured; expected one or more")
        kinds = {(one.layers, tuple(one.values)) for one in self.pairs}
        if len(kinds) > 1:
            raise ValueError(f"the pairs of {self.name} were measured in different ways; measure all alike")
        if self.match is not None:
            wanted = (len(self.examples), 2, 2)
            if self.match.shape != wanted or len(self.clusters) != len(self.examples):
                raise ValueError(
                    f"{self.name}: matches of shape {self.match.shape} and {len(self.clusters)} clusters; expected "
                    f"{wanted} and a cluster an example"
                )
            if not np.isfinite(self.match).all():
                raise ValueError(f"{self.name} gives no number for some pairs; check the model's weights")

    @property
    def arm(self) -> str:
        """What stands before the last colon of its name."""
        return self.name.rpartition(":")[0] or self.name

    @property
    def seed(self) -> str:
        """What stands after it; empty where there is none."""
        return self.name.rpartition(":")[2] if ":" in self.name else ""

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that were measured."""
        return self.pairs[0].layers

    @property
    def heads(self) -> int:
        """Heads of a layer; 0 where they were not kept apart."""
        return next(iter(self.pairs[0].values.values())).shape[1] - 1

    def values(self, measure: str) -> NDArray[np.float64] | None:
        """[pair, layer, 1 + head] of a measure; None where the model or the data do not have it."""
        if measure not in self.pairs[0].values:
            return None
        return np.stack([one.values[measure] for one in self.pairs])


def summarize(
    subjects: Sequence[Subject], seed: int = 0, progress: Callable[[str], None] = lambda said: None
) -> dict[str, Any]:
    """All that follows from the measures: "models", "means", "scores", "explained", "correlations", "differences".

    Args:
        subjects: The models; differences are from the first one's arm.
        seed: Of the bootstraps.
        progress: Called with what is done next.

    Raises:
        ValueError: Two models of one name, or models that were measured on different pairs.
    """
    arms = _arms(subjects)
    found: dict[str, Any] = {"models": [_model(one) for one in subjects]}
    progress("means")
    found["means"] = [row for arm, own in arms.items() for row in _means(arm, own)]
    found["scores"] = [row for arm, own in arms.items() for row in _scores(arm, own)]
    found["explained"], found["correlations"] = [], []
    for arm, own in arms.items():
        progress(f"correlations of {arm}")
        found["explained"] += _over_seeds(arm, [_explained(one, seed) for one in own], own)
        found["correlations"] += _over_seeds(arm, [_correlations(one, seed) for one in own], own)
    progress("differences")
    first = next(iter(arms))
    found["differences"] = [
        row for arm, own in arms.items() if arm != first for row in _differences(arm, own, first, arms[first])
    ]
    return found


def _arms(subjects: Sequence[Subject]) -> Mapping[str, list[Subject]]:
    names = [one.name for one in subjects]
    if not names or len(set(names)) < len(names):
        twice = next((name for name in names if names.count(name) > 1), "none")
        raise ValueError(
            f"{len(names)} models, {twice} more than once; give one or more under names of their own"
        )
    asked = [one.pair for one in subjects[0].pairs]
    arms: dict[str, list[Subject]] = {}
    for one in subjects:
        if [pair.pair for pair in one.pairs] != asked:
            raise ValueError(f"{one.name} and {subjects[0].name} were measured on different pairs")
        arms.setdefault(one.arm, []).append(one)
    for arm, own in arms.items():
        kinds = {(one.layers, one.heads, tuple(one.pairs[0].values)) for one in own}
        if len(kinds) > 1:
            raise ValueError(
                f"the models of {arm} have different layers or heads; give them names without a colon"
            )
    return arms


def _model(one: Subject) -> Row:
    undefined = [name for name in MEASURES if name not in one.pairs[0].values]
    return {
        "name": one.name,
        "arm": one.arm,
        "seed": one.seed,
        "layers": list(one.layers),
        "heads": one.heads,
        "pairs": len(one.pairs),
        "undefined": undefined,
    }


def _means(arm: str, own: Sequence[Subject]) -> list[Row]:
    clusters = [one.cluster for one in own[0].pairs]
    rows = []
    for name, measure in MEASURES.items():
        tables = [one.values(name) for one in own]
        if any(table is None for table in tables):
            continue
        x = np.stack([table for table in tables if table is not None])  # [seed, pair, layer, 1 + head]
        for i, layer in enumerate(own[0].layers):
            for head in range(x.shape[3]):
                its = mean(x[:, :, i, head], clusters, measure.share)
                rows.append(
                    {"arm": arm, "measure": name, "layer": layer, "head": "mean" if head == 0 else head - 1}
                    | its.to_json()
                )
    return rows


def _scores(arm: str, own: Sequence[Subject]) -> list[Row]:
    rows = []
    for name, (values, share) in _score_values(own).items():
        rows.append({"arm": arm, "score": name} | mean(values, own[0].clusters, share).to_json())
    return rows


def _score_values(own: Sequence[Subject]) -> dict[str, tuple[NDArray[np.float64], bool]]:
    matches = [one.match for one in own if one.match is not None]
    if len(matches) < len(own):
        return {}
    soft = np.stack([soft_score(match) for match in matches])
    right = np.stack([group_right(match) for match in matches]).astype(float)
    return {"soft": (soft, False), "group": (right, True)}


def _explained(one: Subject, seed: int) -> list[tuple[Row, Interval]]:
    rows = []
    clusters = [pair.cluster for pair in one.pairs]
    for name in one.pairs[0].sums:
        target, _, direction = name.partition("_")
        sums = np.stack([pair.sums[name] for pair in one.pairs])
        for i, layer in enumerate(one.layers):
            for what, interval in explained(sums[:, i, 0], clusters, seed).items():
                key = {"direction": direction, "target": target, "layer": layer, "what": what}
                rows.append((key, interval))
    return rows


def _correlations(one: Subject, seed: int) -> list[tuple[Row, Interval]]:
    if one.match is None:
        return []
    place = {name: i for i, name in enumerate(one.examples)}
    names = [name for name in CORRELATED if name in one.pairs[0].values]
    columns = np.full((len(one.examples), len(names), len(one.layers)), np.nan)
    counts = np.zeros((len(one.examples), 1, 1))
    for pair in one.pairs:
        own = np.stack([pair.values[name][:, 0] for name in names])
        row = place[pair.example]
        columns[row] = np.where(np.isnan(columns[row]), 0, columns[row]) + own
        counts[row] += 1
    flat = (columns / np.maximum(counts, 1)).reshape(len(columns), -1)
    made = correlations(flat, soft_score(one.match), group_right(one.match), one.clusters, seed)
    keys = [{"measure": name, "layer": layer} for name in names for layer in one.layers]
    return [
        ({"what": what} | key, its) for what, row in made.items() for key, its in zip(keys, row, strict=True)
    ]


def _over_seeds(arm: str, made: Sequence[list[tuple[Row, Interval]]], own: Sequence[Subject]) -> list[Row]:
    """Rows of each model, and of an arm of several the mean over seeds."""
    rows = [
        {"arm": arm, "model": one.name} | key | interval.to_json()
        for one, its in zip(own, made, strict=True)
        for key, interval in its
    ]
    if len(own) < SEEDS:
        return rows
    for same in zip(*made, strict=True):
        values = np.array([interval.value for _, interval in same])
        value, reach = float(values.mean()), math.nan
        error = float(values.std(ddof=1)) / math.sqrt(len(values))
        if error > 0:
            reach = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1)) * error
        key, one = same[0]
        its = Interval(
            value,
            value - reach,
            value + reach,
            one.n,
            one.clusters,
            len(values),
            "Student over seeds, these examples",
        )
        rows.append({"arm": arm, "model": None} | key | its.to_json())
    return rows


def _differences(arm: str, ours: Sequence[Subject], first: str, theirs: Sequence[Subject]) -> list[Row]:
    """Paired differences of the mean over heads: by seed, or from the one model that there is."""
    pairs = _paired(ours, theirs)
    if not pairs:
        return []
    rows: list[Row] = []
    how = "by seed" if len(theirs) > 1 else f"from the one model {theirs[0].name}"
    clusters = [one.cluster for one in ours[0].pairs]
    shared = [layer for layer in ours[0].layers if layer in theirs[0].layers]
    for name in MEASURES:
        tables = [(a.values(name), b.values(name)) for a, b in pairs]
        if any(x is None or y is None for x, y in tables):
            continue
        for layer in shared:
            i, j = ours[0].layers.index(layer), theirs[0].layers.index(layer)
            off = np.stack([x[:, i, 0] - y[:, j, 0] for x, y in tables])  # type: ignore[index]
            rows.append(
                {"arm": arm, "less": first, "paired": how, "measure": name, "layer": layer}
                | mean(off, clusters).to_json()
            )
    a, b = _score_values([one for one, _ in pairs]), _score_values([other for _, other in pairs])
    for name in a.keys() & b.keys():
        off = a[name][0] - b[name][0]
        rows.append(
            {"arm": arm, "less": first, "paired": how, "score": name} | mean(off, ours[0].clusters).to_json()
        )
    return sorted(rows, key=lambda row: "score" not in row)


def _paired(ours: Sequence[Subject], theirs: Sequence[Subject]) -> list[tuple[Subject, Subject]]:
    if len(theirs) == 1:
        return [(one, theirs[0]) for one in ours]
    by_seed = {one.seed: one for one in theirs}
    return [(one, by_seed[one.seed]) for one in ours if one.seed in by_seed]


__all__ = ["SEEDS", "Subject", "summarize"]
