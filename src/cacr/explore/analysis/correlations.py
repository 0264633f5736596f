"""Does a measure go with the score? Rank correlations over examples, with bootstrap intervals (BCa).

The paper's "soft Winoground score" is not defined there. Here it is the mean of an example's four margins,

    (m₀₀ − m₁₀ + m₁₁ − m₀₁ + m₀₀ − m₀₁ + m₁₁ − m₁₀) / 4 ,      m[c][i]: the match of caption c with picture i

two for the text score and two for the image score; in the units of the model's match. The group score is right or
wrong: the area under the ROC curve (1/2 is chance) and the point-biserial correlation tell how a measure goes with it.

Bootstrap: clusters of examples are drawn with replacement; BCa of Efron 1987, which corrects bias and skew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cacr.explore.analysis.intervals import LEVEL, Interval

Array = NDArray[np.float64]
DRAWS = 2000
FEW = 5
"""Examples of the rarer outcome that an AUC needs at least."""
KINDS = ("spearman_soft", "auc_group", "biserial_group")


def soft_score(match: Array) -> Array:
    """Mean of the four margins of each example: [example], in the units of the match.

    Args:
        match: [example, caption=2, picture=2]; caption i is true of picture i.

    Example:
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
) -> dict[str, list[Interval]]:
    """How each column goes with the soft score and with the group score: kind -> an interval a column.

    Args:
        columns: [example, column]; a column with an undefined value gets no number.
        soft: [example], see `soft_score`.
        right: [example], see `group_right`.
        clusters: A label per example.
        seed: Of the bootstrap.

    Returns:
        "spearman_soft" (-1 to 1), "auc_group" (0-1, 1/2 where they do not go together) and "biserial_group" (-1 to 1).
    """
    statistic = lambda rows: _statistics(columns[rows], soft[rows], right[rows])
    members = _members(clusters)
    made = resampled(statistic, members, seed)
    few = min(int(right.sum()), int((~right).sum())) < FEW
    found: dict[str, list[Interval]] = {}
    for k, kind in enumerate(KINDS):
        found[kind] = []
        for column in range(columns.shape[1]):
            value, low, high = (one[k, column] for one in made)
            said = f"bootstrap BCa, {DRAWS} draws"
            if kind != "spearman_soft" and few:
                low = high = math.nan
                said = f"fewer than {FEW} examples of one outcome"
            found[kind].append(
                Interval(float(value), float(low), float(high), len(soft), len(members), 1, said)
            )
    return found


def _statistics(x: Array, soft: Array, right: NDArray[np.bool_]) -> Array:
    """[kind, column]; nan where a side does not vary."""
    ranks = stats.rankdata(x, axis=0)
    ones, zeros = int(right.sum()), int((~right).sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        auc = (
            (ranks[right].sum(0) - ones * (ones + 1) / 2) / (ones * zeros)
            if ones and zeros
            else x[0] * np.nan
        )
    return np.stack([_pearson(ranks, stats.rankdata(soft)), auc, _pearson(x, right.astype(float))])


def _pearson(x: Array, y: Array) -> Array:
    x, y = x - x.mean(0), y - y.mean()
    scale = np.sqrt((x * x).sum(0) * (y * y).sum())
    return np.where(scale > 1e-12, x.T @ y / np.where(scale > 1e-12, scale, 1), np.nan)


def _members(clusters: Sequence[str]) -> list[NDArray[np.int64]]:
    labels, member = np.unique(np.asarray(clusters), return_inverse=True)
    return [np.flatnonzero(member == group) for group in range(len(labels))]


def resampled(
    statistic: Callable[[NDArray[np.int64]], Array], members: Sequence[NDArray[np.int64]], seed: int
) -> tuple[Array, Array, Array]:
    """A statistic of rows with its BCa interval, of any shape; bounds are nan below three clusters.

    Args:
        statistic: Indices of rows -> numbers.
        members: The rows of each cluster.
        seed: Of the draws.
    """
    everything = np.concatenate(members)
    value = statistic(np.sort(everything))
    groups = len(members)
    if groups < 3:
        return value, np.full_like(value, np.nan), np.full_like(value, np.nan)
    rng = np.random.default_rng(seed)
    drawn = [
        statistic(np.concatenate([members[g] for g in rng.integers(groups, size=groups)]))
        for _ in range(DRAWS)
    ]
    without = [statistic(np.concatenate([*members[:g], *members[g + 1 :]])) for g in range(groups)]
    low, high = bca(value, np.stack(drawn), np.stack(without))
    return value, low, high


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


def explained(sums: Array, clusters: Sequence[str], seed: int = 0) -> Mapping[str, Interval]:
    """How far own ↔ target follows from own ↔ uniform, over all rows of all pairs.

    Args:
        sums: [pair, 6], see `cacr.explore.analysis.pairs.SUMS`.
        clusters: A label per pair.
        seed: Of the bootstrap.

    Returns:
        "correlation" (Pearson, over rows) and "r2", its square: the part of the variance that flatness explains; and
        "ratio": mean own ↔ target by mean own ↔ uniform (1: the target is as far as uniform). n counts rows.
    """
    members = _members(clusters)
    by = np.stack([sums[rows].sum(0) for rows in members])
    rows, groups = round(float(sums[:, 0].sum())), len(by)
    value = _of_sums(by.sum(0))
    if groups < 3:
        low = high = np.full(3, np.nan)
    else:
        weights = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=DRAWS)
        low, high = bca(value, _of_sums(weights @ by), _of_sums(by.sum(0) - by))
    return {
        name: Interval(
            float(value[i]), float(low[i]), float(high[i]), rows, groups, 1, f"bootstrap BCa, {DRAWS} draws"
        )
        for i, name in enumerate(("correlation", "r2", "ratio"))
    }


def _of_sums(sums: Array) -> Array:
    """[…, 6] -> […, 3]; nan where a side does not vary."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    across, down = n * xx - x * x, n * yy - y * y
    scale = np.sqrt(np.maximum(across, 0) * np.maximum(down, 0))
    varies = (across > 1e-9 * n * xx) & (down > 1e-9 * n * yy)
    r = np.where(varies, (n * xy - x * y) / np.where(varies, scale, 1), np.nan)
    return np.stack([r, r * r, np.where(x > 0, y / np.where(x > 0, x, 1), np.nan)], -1)
