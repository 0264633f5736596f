"""Means over pairs and models with the project's 95 % intervals (`cacr.statistics`), as rows of plain numbers.

Pairs that share a picture or an example are one draw. Models of one arm (seeds) are crossed with them, so that the
interval speaks of other seeds and other pictures. A pair whose value is undefined in any of the seeds is left out.
Statistics that are no means, such as correlations, are crossed by their bootstrap (`pooled`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cacr import statistics
from cacr.explore.analysis.pairs import plain
from cacr.statistics import LEVEL, Estimate, Spread

ROUNDING = 1e-9
"""A share may be outside of 0-1 by so much, as sums of attention are."""
Bounds = tuple[float, float]
FREE: Bounds = (-math.inf, math.inf)
DEFINED = 0.9
"""Share of draws in which a statistic has to be defined, as for BCa."""


def mean(
    values: NDArray[np.float64], clusters: Sequence[str], share: bool = False, bounds: Bounds = FREE
) -> dict[str, Any]:
    """The mean of a measure over pairs: a row of `told`.

    Args:
        values: [pair], or [seed, pair] for several models of one arm; nan where undefined.
        clusters: A label per pair.
        share: Whether values are shares of 0-1, so that their interval has to stay there.
        bounds: The least and the most that is possible; an interval is cut there.

    Raises:
        ValueError: Not one label a pair, or shares outside of 0-1.

    Examples:
        >>> found = mean(np.array([1.0, 2.0, 3.0, np.nan]), ["a", "b", "c", "c"])
        >>> f"{found['value']} [{found['low']}, {found['high']}], n = {found['n']}"
        '2.0 [-0.484138, 4.48414], n = 3'
    """
    x = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if x.ndim != 2 or x.shape[1] != len(clusters):
        raise ValueError(f"values of shape {x.shape} for {len(clusters)} clusters; expected [seed, pair]")
    known = ~np.isnan(x).any(0)
    x, labels = x[:, known], np.asarray(clusters)[known]
    groups = len(np.unique(labels))
    if groups == 0:
        return told(Estimate(math.nan, math.nan, math.nan, 0, len(x), "no value"), 0)
    same = (
        np.ptp(x) < statistics.TINY and 0 < x[0, 0] < 1
    )  # not outcomes, of which Wilson's interval would be
    if not share or groups == 1 or same:
        return told(_cut(statistics.mean(x, labels), bounds), groups)
    if x.min() < -ROUNDING or x.max() > 1 + ROUNDING:
        raise ValueError(f"a share from {x.min()} to {x.max()}; expected 0-1")
    return told(statistics.crossed(x.clip(0, 1), labels), groups)


def pooled(
    values: Sequence[float],
    drawn: Sequence[NDArray[np.float64]],
    clusters: Sequence[str],
    n: int,
    bounds: Bounds = FREE,
) -> Estimate:
    """The mean over seeds of a statistic of shared examples; its interval speaks of other seeds and other examples.

    The variances are those of `cacr.statistics.spread`, with the bootstrap in place of means over examples: that by
    examples is of the draws' mean over seeds, that of cells is what a seed's own draws vary more than their mean.

    Args:
        values: The statistic of each seed, two or more.
        drawn: Of each seed the statistic in each draw; draw i is of the same examples for all.
        clusters: What was drawn: a label per example.
        n: Examples, or rows.
        bounds: The least and the most that is possible.

    Raises:
        ValueError: Draws of different numbers.
    """
    v, seeds = np.asarray(values, dtype=np.float64), len(values)
    if seeds < 2 or len(drawn) != seeds or len({len(one) for one in drawn}) > 1:
        raise ValueError(
            f"{seeds} seeds with {[len(one) for one in drawn]} draws; expected as many for each of 2 or more"
        )
    if not np.isfinite(v).all():
        return Estimate(math.nan, math.nan, math.nan, n, seeds, "undefined for a seed")
    x = np.stack(drawn)
    known = np.isfinite(x).all(0)
    x, sizes = x[:, known], np.unique(np.asarray(clusters), return_counts=True)[1]
    if len(sizes) < 3 or known.sum() < max(2, DEFINED * known.size):
        return Estimate(float(v.mean()), math.nan, math.nan, n, seeds, "too little to resample for a seed")
    grown = len(sizes) / (len(sizes) - 1)  # resamples vary less than samples, by this
    by_seed = float(v.var(ddof=1)) / seeds
    by_example = grown * float(x.mean(0).var(ddof=1))
    of_cells = max(0.0, (grown * float(x.var(1, ddof=1).mean()) - by_example) / (seeds - 1))
    variance = max(by_seed + by_example - of_cells, by_seed, by_example)
    draws = float(sizes.sum() ** 2 / (sizes**2).sum())
    freedom = 0.0
    if variance > 0:
        freedom = variance**2 / (by_seed**2 / (seeds - 1) + (variance - by_seed) ** 2 / (draws - 1))
    found = Spread(float(v.mean()), math.sqrt(variance), freedom, n, seeds, len(sizes))
    reach = found.reach(LEVEL)
    return _cut(Estimate(found.mean, found.mean - reach, found.mean + reach, n, seeds, found.method), bounds)


def _cut(its: Estimate, bounds: Bounds) -> Estimate:
    """Without what is impossible. The value stays inside, also where rounding put it beyond a bound."""
    if math.isnan(its.low):
        return its
    least, most = bounds
    return replace(its, low=min(its.value, max(least, its.low)), high=max(its.value, min(most, its.high)))


def told(its: Estimate, clusters: int) -> dict[str, Any]:
    """A number with its interval, n, clusters, seeds and method; six digits, None for what is unknown."""
    numbers = {k: plain(v) if isinstance(v, float) else v for k, v in its.to_json().items()}
    return numbers | {"clusters": clusters}


__all__ = ["mean", "pooled", "told"]
