"""From the measures of pairs to numbers with intervals: means, differences, correlations. Plain, for JSON.

A model named ARM:SEED is one of several of the arm ARM; their means cross seeds and clusters (see `intervals`).
Correlations are of one model over examples; of an arm with three or more seeds also their mean, with seeds and
examples crossed likewise: all seeds share the examples, so an interval over seeds alone would be too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cacr.explore.analysis.correlations import (
    Resampled,
    group_right,
    resampled_correlations,
    resampled_explained,
    soft_score,
    squared,
)
from cacr.explore.analysis.intervals import FREE, mean, pooled, told
from cacr.explore.analysis.measures import CORRELATED, MEASURES
from cacr.explore.analysis.subject import Subject, arm_and_seed
from cacr.statistics import Estimate

Row = dict[str, Any]
Made = tuple[Row, Resampled, Sequence[str]]
"""What a number is of, the number, and the labels of the clusters that it is made over."""
SEEDS = 3
"""Models of an arm from which on an interval over seeds is made."""
POSSIBLE = {"bits": (0.0, np.inf), "nats": (0.0, np.inf), "cosine": (-1.0, 1.0)}
"""The least and the most of a measure by its unit; shares have intervals of their own, differences are free."""
OF_STATISTICS = {
    "spearman_soft": (-1.0, 1.0),
    "auc_group": (0.0, 1.0),
    "biserial_group": (-1.0, 1.0),
    "correlation": (-1.0, 1.0),
    "ratio": (0.0, np.inf),
}
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
        ValueError: Two models of one name, models that were measured on different pairs, or seeds that do not match
            (see `check_pairing`).
    """
    arms = _arms(subjects)
    check_pairing([one.name for one in subjects])
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
    asked = [(one.pair, one.cluster) for one in subjects[0].pairs]
    arms: dict[str, list[Subject]] = {}
    for one in subjects:
        if [(pair.pair, pair.cluster) for pair in one.pairs] != asked:
            raise ValueError(f"{one.name} and {subjects[0].name} were measured on different pairs")
        arms.setdefault(one.arm, []).append(one)
    for arm, own in arms.items():
        kinds = {(one.layers, one.heads, tuple(one.pairs[0].values)) for one in own}
        if len(kinds) > 1:
            raise ValueError(
                f"the models of {arm} have different layers or heads; give them names without a colon"
            )
        asked_of = [
            (one.match is None, list(one.examples), list(one.clusters), [list(t) for t in one.tags])
            for one in own
        ]
        if any(what != asked_of[0] for what in asked_of):
            raise ValueError(f"the models of {arm} were matched on different examples; match all on the same")
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
        bounds = FREE if "_less_" in name else POSSIBLE.get(measure.unit, FREE)
        for i, layer in enumerate(own[0].layers):
            for head in range(x.shape[3]):
                its = mean(x[:, :, i, head], clusters, measure.share, bounds)
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
    rows: list[Made] = []
    clusters = [pair.cluster for pair in one.pairs]
    for name in one.pairs[0].sums:
        target, _, direction = name.partition("_")
        sums = np.stack([pair.sums[name] for pair in one.pairs])
        for i, layer in enumerate(one.layers):
            for what, made in resampled_explained(sums[:, i, 0], clusters).items():
                key = {"direction": direction, "target": target, "layer": layer, "what": what}
                rows.append((key, made, clusters))
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
        made = resampled_correlations(flat[chosen], soft[chosen], right[chosen], drawn)
        rows += [
            ({"group": group, "what": what} | key, one, drawn)
            for what, row in made.items()
            for key, one in zip(keys, row, strict=True)
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
    """Rows of each model, and of an arm of several the mean over seeds, crossed with examples."""
    rows = [
        {"arm": arm, "model": one.name} | key | told(found.its, len(set(clusters)))
        for one, rows in zip(own, made, strict=True)
        for key, found, clusters in rows
    ]
    if len(own) < SEEDS:
        return rows
    of: dict[str, Estimate] = {}
    for same in zip(*made, strict=True):
        key, one, clusters = same[0]
        what, values = key["what"], [found.its.value for _, found, _ in same]
        drawn = [found.drawn for _, found, _ in same]
        if min(map(len, drawn)) == 0:  # for one seed draws say nothing, so for all
            drawn = [draws[:0] for draws in drawn]
        if what == "r2":  # follows its correlation
            of[what] = squared(of["correlation"], float(np.mean(values)))
        else:
            of[what] = pooled(values, drawn, clusters, one.its.n, OF_STATISTICS[what])
        rows.append({"arm": arm, "model": None} | key | told(of[what], len(set(clusters))))
    return rows


def _differences(arm: str, ours: Sequence[Subject], first: str, theirs: Sequence[Subject]) -> list[Row]:
    """Paired differences of the mean over heads, see `_partners`."""
    named = {one.name: one for one in (*ours, *theirs)}
    partners, how = _partners([one.name for one in ours], [one.name for one in theirs])
    pairs = [(named[a], named[b]) for a, b in partners]
    rows: list[Row] = []
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


def check_pairing(names: Sequence[str]) -> None:
    """Whether every arm can be compared with the first one's, before any work is done.

    Args:
        names: Of models, such as none:0, none:1, cacr:0, cacr:1.

    Raises:
        ValueError: The models of an arm have no seed in common with the first arm's.
    """
    arms: dict[str, list[str]] = {}
    for name in names:
        arms.setdefault(arm_and_seed(name)[0], []).append(name)
    first, *others = arms.values() or [[]]
    for own in others:
        _partners(own, first)


def _partners(ours: Sequence[str], theirs: Sequence[str]) -> tuple[list[tuple[str, str]], str]:
    """Names (ours, theirs) whose difference is taken, and how they are paired.

    By seed. A single model is paired with each of the other arm's: the first arm's always, another if it has no seed.
    """
    (arm, seed), (first, _) = arm_and_seed(ours[0]), arm_and_seed(theirs[0])
    if len(theirs) == 1:
        return [(one, theirs[0]) for one in ours], f"from the one model {theirs[0]}"
    if len(ours) == 1 and not seed:
        return [(ours[0], one) for one in theirs], f"the one model {arm} from each seed of {first}"
    by_seed = {arm_and_seed(one)[1]: one for one in theirs}
    pairs = [(one, by_seed[s]) for one in ours if (s := arm_and_seed(one)[1]) in by_seed]
    if not pairs:
        renamed = ", ".join(f"{arm}:{s}" for _, s in zip(ours, by_seed, strict=False))
        share, them = ("share", "them") if len(ours) > 1 else ("shares", "it")
        raise ValueError(
            f"{', '.join(ours)} {share} no seed with {first} ({', '.join(by_seed)}); name {them} {renamed}"
        )
    if len(pairs) == len(ours) == len(theirs):
        return pairs, "by seed"
    seeds = [arm_and_seed(one)[1] for one, _ in pairs]
    return pairs, f"over seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)} alone"


__all__ = ["SEEDS", "Subject", "check_pairing", "summarize"]
