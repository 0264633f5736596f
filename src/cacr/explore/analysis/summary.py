"""From the measures of pairs to numbers with intervals: means, differences, correlations. Plain, for JSON.

A model named ARM:SEED is one of several of the arm ARM; their means cross seeds and clusters (see `intervals`).
Correlations are of one model over examples; of an arm with three or more seeds also their mean with Student's interval
over seeds, which speaks of other seeds and these examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cacr.explore.analysis.correlations import correlations, explained, group_right, soft_score
from cacr.explore.analysis.intervals import mean, told
from cacr.explore.analysis.measures import CORRELATED, MEASURES
from cacr.explore.analysis.subject import Subject
from cacr.statistics import Estimate
from cacr.statistics import mean as mean_of

Row = dict[str, Any]
Made = tuple[Row, Estimate, int]
"""What a number is of, the number, and how many clusters it is made over."""
SEEDS = 3
"""Models of an arm from which on an interval over seeds is made."""
ALL, WITHIN = "all", ("relation",)
"""Tags of examples within which correlations are made too: kinds of swap differ in score and in attention alike."""


def summarize(
    subjects: Sequence[Subject], progress: Callable[[str], None] = lambda said: None
) -> dict[str, Any]:
    """All that follows from the measures: "models", "means", "scores", "explained", "correlations", "differences".

    Args:
        subjects: The models; differences are from the first one's arm.
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
        found["explained"] += _over_seeds(arm, [_explained(one) for one in own], own)
        found["correlations"] += _over_seeds(arm, [_correlations(one) for one in own], own)
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
                    | its
                )
    return rows


def _scores(arm: str, own: Sequence[Subject]) -> list[Row]:
    rows = []
    for name, (values, share) in _score_values(own).items():
        rows.append({"arm": arm, "score": name} | mean(values, own[0].clusters, share))
    return rows


def _score_values(own: Sequence[Subject]) -> dict[str, tuple[NDArray[np.float64], bool]]:
    matches = [one.match for one in own if one.match is not None]
    if len(matches) < len(own):
        return {}
    soft = np.stack([soft_score(match) for match in matches])
    right = np.stack([group_right(match) for match in matches]).astype(float)
    return {"soft": (soft, False), "group": (right, True)}


def _explained(one: Subject) -> list[Made]:
    rows = []
    clusters = [pair.cluster for pair in one.pairs]
    for name in one.pairs[0].sums:
        target, _, direction = name.partition("_")
        sums = np.stack([pair.sums[name] for pair in one.pairs])
        for i, layer in enumerate(one.layers):
            for what, interval in explained(sums[:, i, 0], clusters).items():
                key = {"direction": direction, "target": target, "layer": layer, "what": what}
                rows.append((key, interval, len(set(clusters))))
    return rows


def _correlations(one: Subject) -> list[Made]:
    if one.match is None:
        return []
    place = {name: i for i, name in enumerate(one.examples)}
    names = [name for name in CORRELATED if name in one.pairs[0].values]
    columns = np.zeros((len(one.examples), len(names), len(one.layers)))
    counts = np.zeros((len(one.examples), 1, 1))
    for pair in one.pairs:
        columns[place[pair.example]] += np.stack([pair.values[name][:, 0] for name in names])
        counts[place[pair.example]] += 1
    flat = np.where(counts > 0, columns / np.maximum(counts, 1), np.nan).reshape(len(columns), -1)
    soft, right, clusters = soft_score(one.match), group_right(one.match), np.asarray(one.clusters)
    keys = [{"measure": name, "layer": layer} for name in names for layer in one.layers]
    rows: list[Made] = []
    for group, chosen in _groups(one).items():
        drawn = clusters[chosen].tolist()
        made = correlations(flat[chosen], soft[chosen], right[chosen], drawn)
        rows += [
            ({"group": group, "what": what} | key, its, len(set(drawn)))
            for what, row in made.items()
            for key, its in zip(keys, row, strict=True)
        ]
    return rows


def _groups(one: Subject) -> dict[str, NDArray[np.bool_]]:
    """All examples, and those of each tag of `WITHIN` that some have and others have not."""
    found = {ALL: np.ones(len(one.examples), dtype=bool)}
    for tag in WITHIN:
        tagged = np.array([tag in tags for tags in one.tags], dtype=bool)
        if tagged.any() and not tagged.all():
            found[tag] = tagged
    return found


def _over_seeds(arm: str, made: Sequence[list[Made]], own: Sequence[Subject]) -> list[Row]:
    """Rows of each model, and of an arm of several the mean over seeds."""
    rows = [
        {"arm": arm, "model": one.name} | key | told(its, clusters)
        for one, rows in zip(own, made, strict=True)
        for key, its, clusters in rows
    ]
    if len(own) < SEEDS:
        return rows
    for same in zip(*made, strict=True):
        (key, one, clusters), values = same[0], np.array([its.value for _, its, _ in same])
        if not np.isfinite(values).all():
            its = Estimate(math.nan, math.nan, math.nan, one.n, len(own), "undefined for a seed")
        else:
            said = "Student over seeds, these examples"
            its = replace(mean_of(values), n=one.n, seeds=len(own), method=said)
        rows.append({"arm": arm, "model": None} | key | told(its, clusters))
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
                | mean(off, clusters)
            )
    a, b = _score_values([one for one, _ in pairs]), _score_values([other for _, other in pairs])
    for name in a.keys() & b.keys():
        off = a[name][0] - b[name][0]
        rows.append({"arm": arm, "less": first, "paired": how, "score": name} | mean(off, ours[0].clusters))
    return sorted(rows, key=lambda row: "score" not in row)


def _paired(ours: Sequence[Subject], theirs: Sequence[Subject]) -> list[tuple[Subject, Subject]]:
    if len(theirs) == 1:
        return [(one, theirs[0]) for one in ours]
    by_seed = {one.seed: one for one in theirs}
    return [(one, by_seed[one.seed]) for one in ours if one.seed in by_seed]


__all__ = ["SEEDS", "Subject", "summarize"]
