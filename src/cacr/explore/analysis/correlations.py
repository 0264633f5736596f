"""Does a measure go with the score? Rank correlations over examples, with bootstrap intervals (BCa).

The paper's "soft Winoground score" is not defined there. Here it is the mean of an example's four margins,

    (m₀₀ − m₁₀ + m₁₁ − m₀₁ + m₀₀ − m₀₁ + m₁₁ − m₁₀) / 4 ,      m[c][i]: the match of caption c with picture i

two for the text score and two for the image score; in the units of the model's match. The group score is right or
wrong: the area under the ROC curve (1/2 is chance) and the point-biserial correlation tell how a measure goes with it.

Bootstrap: clusters of examples are drawn with replacement; BCa of Efron 1987, which corrects bias and skew. A draw is
how often each example is in it, so all draws are worked out at once. The draws are the same in every run and for every
model, so that the models of an arm can be crossed with the examples (`cacr.explore.analysis.intervals.pooled`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cacr.statistics import LEVEL, Estimate

Array = NDArray[np.float64]
DRAWS = 2000
FEW = 5
"""Examples of the rarer outcome that an AUC needs at least."""
KINDS = ("spearman_soft", "auc_group", "biserial_group")
DIGITS = 9
"""Of the largest value of a column, which ranks are made of; what differs beyond them is the rounding of sums."""


@dataclass(frozen=True, eq=False)
class Resampled:
    """A statistic of one model with its interval and what it is in each draw."""

    its: Estimate
    drawn: Array
    """[draw]; empty where the draws say nothing."""


def soft_score(match: Array) -> Array:
    """Mean of the four margins of each example: [example], in the units of the match.

    Args:
        match: [example, caption=2, picture=2]; caption i is true of picture i.

    Examples:
        >>> soft_score(np.array([[[3.0, 1.0], [0.0, 2.0]]]))
        array([2.])
    """
    m = np.asarray(match, dtype=np.float64)
    return (2 * m[:, 0, 0] + 2 * m[:, 1, 1] - 2 * m[:, 0, 1] - 2 * m[:, 1, 0]) / 4


def group_right(match: Array) -> NDArray[np.bool_]:
    """Whether each caption finds its picture and each picture its caption: [example]. Ties are wrong."""
    m = np.asarray(match)
    text = (m[:, 0, 0] > m[:, 1, 0]) & (m[:, 1, 1] > m[:, 0, 1])
    return text & (m[:, 0, 0] > m[:, 0, 1]) & (m[:, 1, 1] > m[:, 1, 0])


def correlations(
    columns: Array, soft: Array, right: NDArray[np.bool_], clusters: Sequence[str], seed: int = 0
) -> dict[str, list[Estimate]]:
    """How each column goes with the soft score and with the group score: kind -> an interval a column.

    Args:
        columns: [example, column]; a column with an undefined value gets no number.
        soft: [example], see `soft_score`.
        right: [example], see `group_right`.
        clusters: A label per example.
        seed: Of the bootstrap.

    Returns:
        "spearman_soft" (-1 to 1), "auc_group" (0-1, 1/2 where they do not go together) and "biserial_group" (-1 to 1);
        bounds are nan below three clusters.
    """
    made = resampled_correlations(columns, soft, right, clusters, seed)
    return {kind: [one.its for one in row] for kind, row in made.items()}


def resampled_correlations(
    columns: Array, soft: Array, right: NDArray[np.bool_], clusters: Sequence[str], seed: int = 0
) -> dict[str, list[Resampled]]:
    """The same as `correlations`, with the draws: those of models on the same examples are of the same examples."""
    member = _members(clusters)
    groups = int(member.max()) + 1
    once = np.ones((1, len(soft)))
    drawn = _drawn(groups, seed)[:, member] if groups > 2 else once[:0]
    without = (1.0 - np.eye(groups))[:, member]
    weights = np.concatenate([once, drawn, without])
    ranked = _ranks(soft, weights)
    few = min(int(right.sum()), int((~right).sum())) < FEW
    found: dict[str, list[Resampled]] = {kind: [] for kind in KINDS}
    for column in columns.T:
        made = _statistics(column, right, weights, ranked)
        value, low, high = _bounds(made, len(drawn))
        for k, kind in enumerate(KINDS):
            said, ends = f"bootstrap BCa, {DRAWS} draws", (float(low[k]), float(high[k]))
            own = made[1 : 1 + len(drawn), k]
            if kind != "spearman_soft" and few:
                said, ends, own = f"fewer than {FEW} examples of one outcome", (math.nan, math.nan), own[:0]
            found[kind].append(Resampled(Estimate(float(value[k]), *ends, len(soft), 1, said), own))
    return found


def _bounds(made: Array, draws: int) -> tuple[Array, Array, Array]:
    """Of a statistic of the whole, of the draws, and of all but each cluster: its value and its bounds."""
    value, drawn, without = made[0], made[1 : 1 + draws], made[1 + draws :]
    if not draws:
        return value, np.full_like(value, np.nan), np.full_like(value, np.nan)
    return value, *bca(value, drawn, without)


def _members(clusters: Sequence[str]) -> NDArray[np.int64]:
    return np.unique(np.asarray(clusters), return_inverse=True)[1]


def _drawn(groups: int, seed: int) -> Array:
    """How often each cluster is in each draw: [draw, cluster]."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(groups, np.full(groups, 1 / groups), size=DRAWS).astype(np.float64)


def _statistics(x: Array, right: NDArray[np.bool_], weights: Array, ranked: Array) -> Array:
    """[draw, kind] of a column, given how often each example counts [draw, example]; nan where a side does not vary."""
    if not np.isfinite(x).all():
        return np.full((len(weights), len(KINDS)), np.nan)
    ranks, outcome = _ranks(x, weights), right.astype(np.float64)
    ones, all_ = weights @ outcome, weights.sum(1)
    both = ones * (all_ - ones)
    above = (weights * ranks) @ outcome - ones * (ones + 1) / 2
    auc = np.where(both > 0, above / np.where(both > 0, both, 1), np.nan)
    same = lambda one: np.broadcast_to(one - one.mean(), weights.shape)
    return np.stack(
        [_pearson(ranks, ranked, weights), auc, _pearson(same(x), same(outcome), weights)], axis=1
    )


def _ranks(x: Array, weights: Array) -> Array:
    """Mid-ranks of x [example] among examples of which each is there so often [draw, example]: [draw, example].

    Examples:
        >>> _ranks(np.array([5.0, 7.0, 7.0]), np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 0.0]]))
        array([[1. , 2.5, 2.5],
               [1.5, 3. , 3. ]])
    """
    largest = float(np.abs(x).max(initial=0))
    scale = 10.0 ** math.floor(math.log10(largest)) if largest > 0 else 1.0
    _, group = np.unique(np.round(x / scale, DIGITS), return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    there = np.add.reduceat(weights[:, order], starts, axis=1)  # [draw, value]
    return (np.cumsum(there, 1) - there + (there + 1) / 2)[:, group]


def _pearson(x: Array, y: Array, weights: Array) -> Array:
    """Correlations of [draw, example] with weights: [draw]; nan where they are not defined.

    Examples:
        >>> x = np.array([[1.0, 2.0, 4.0]])
        >>> _pearson(x, -x, np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]))
        array([-1., nan])
    """
    n = np.maximum(weights.sum(1, keepdims=True), 1)  # leaving out the only picture leaves none
    centred = lambda one: one - (weights * one).sum(1, keepdims=True) / n
    x, y = centred(x), centred(y)
    scale = np.sqrt((weights * x * x).sum(1) * (weights * y * y).sum(1))
    return np.where(scale > 1e-12, (weights * x * y).sum(1) / np.where(scale > 1e-12, scale, 1), np.nan)


def bca(value: Array, drawn: Array, without: Array) -> tuple[Array, Array]:
    """Bounds of BCa intervals: bias-corrected and accelerated (Efron 1987).

    Args:
        value: The statistic, of any shape.
        drawn: [draw, …]: of each resample; undefined ones are left out, and none may be more than a tenth.
        without: [cluster, …]: with each cluster left out.
    """
    flat, many, jack = np.ravel(value), drawn.reshape(len(drawn), -1), without.reshape(len(without), -1)
    low, high = np.full(flat.shape, np.nan), np.full(flat.shape, np.nan)
    for i, centre in enumerate(flat):
        own, left = many[:, i], jack[:, i]
        own, left = own[np.isfinite(own)], left[np.isfinite(left)]
        if not np.isfinite(centre) or len(own) < 0.9 * len(many) or len(left) < 3 or np.ptp(own) < 1e-12:
            continue
        below = ((own < centre).sum() + (own == centre).sum() / 2) / len(own)
        bias = stats.norm.ppf(np.clip(below, 1 / len(own), 1 - 1 / len(own)))
        off = left.mean() - left
        spread = (off**2).sum() ** 1.5
        bend = (off**3).sum() / (6 * spread) if spread > 0 else 0.0
        z = bias + stats.norm.ppf([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        ends = stats.norm.cdf(bias + z / (1 - bend * z))
        low[i], high[i] = np.quantile(own, ends)
    return low.reshape(np.shape(value)), high.reshape(np.shape(value))


def explained(sums: Array, clusters: Sequence[str], seed: int = 0) -> Mapping[str, Estimate]:
    """How far own ↔ target follows from own ↔ uniform, over all rows of all pairs.

    Args:
        sums: [pair, 6], see `cacr.explore.analysis.pairs.SUMS`.
        clusters: A label per pair.
        seed: Of the bootstrap.

    Returns:
        "correlation" (Pearson, over rows) and "r2", its square: the part of the variance that flatness explains; and
        "ratio": mean own ↔ target by mean own ↔ uniform (1: the target is as far as uniform). n counts rows. The bounds
        of r2 are squares of those of the correlation, and 0 where 0 lies between them.
    """
    return {name: one.its for name, one in resampled_explained(sums, clusters, seed).items()}


def resampled_explained(sums: Array, clusters: Sequence[str], seed: int = 0) -> Mapping[str, Resampled]:
    """The same as `explained`, with the draws."""
    member = _members(clusters)
    groups, rows = int(member.max()) + 1, round(float(sums[:, 0].sum()))
    by = np.stack([np.bincount(member, weights=column, minlength=groups) for column in sums.T], 1)
    drawn = _drawn(groups, seed) if groups > 2 else np.ones((0, groups))
    weights = np.concatenate([np.ones((1, groups)), drawn, 1.0 - np.eye(groups)])
    made = _of_sums(weights @ by)
    value, low, high = _bounds(made, len(drawn))
    said = f"bootstrap BCa, {DRAWS} draws"
    its = {
        name: Estimate(float(value[i]), float(low[i]), float(high[i]), rows, 1, said)
        for i, name in enumerate(("correlation", "r2", "ratio"))
    }
    its["r2"] = squared(its["correlation"], its["r2"].value)
    return {name: Resampled(one, made[1 : 1 + len(drawn), i]) for i, (name, one) in enumerate(its.items())}


def squared(r: Estimate, value: float) -> Estimate:
    """r² with bounds that are squares of those of r: a square's own resamples are never 0, so could not hold 0.

    Args:
        r: The correlation, or the mean over seeds of correlations.
        value: Its square, or the mean over seeds of their squares.
    """
    if math.isnan(r.low) or math.isnan(value):
        return replace(r, value=value, low=math.nan, high=math.nan)
    ends = sorted((r.low**2, r.high**2))
    low = 0.0 if r.low <= 0 <= r.high else ends[0]
    return replace(r, value=value, low=min(low, value), high=max(ends[1], value))


def _of_sums(sums: Array) -> Array:
    """[…, 6] -> […, 3]; nan where a side does not vary."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    across, down = n * xx - x * x, n * yy - y * y
    scale = np.sqrt(np.maximum(across, 0) * np.maximum(down, 0))
    varies = (across > 1e-9 * n * xx) & (down > 1e-9 * n * yy)
    r = np.where(varies, (n * xy - x * y) / np.where(varies, scale, 1), np.nan)
    return np.stack([r, r * r, np.where(x > 0, y / np.where(x > 0, x, 1), np.nan)], -1)
