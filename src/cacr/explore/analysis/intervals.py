"""Means over pairs and models with 95 % intervals. Pairs that share a picture are one draw.

One model: Student's interval on the clustered standard error. Several models of one arm (seeds): seeds and clusters are
crossed, their variances add (Cameron, Gelbach & Miller 2011),

    Var(mean) = Var_by_seeds + Var_by_clusters − Var_of_cells / cells,     floored at the larger of the first two

with Satterthwaite's degrees of freedom, and it is never narrower than Student's over the seeds' means alone: three
seeds that are alike by chance would else pass for many. Such an interval speaks of other seeds and other pictures. Of
shares the interval is made on the log-odds, and is Wilson's over clusters where all are 0 or all 1. Where other values
are all equal there is none.

How often the intervals hold the truth is simulated in tests/unit/explore/analysis/test_intervals.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from cacr.explore.analysis.pairs import plain

LEVEL = 0.95
TINY = 1e-12
"""A standard error below this is none: all values are equal up to rounding."""


@dataclass(frozen=True)
class Interval:
    """A number with its interval; bounds are nan where nothing can be said."""

    value: float
    low: float
    high: float
    n: int
    """Pairs, or examples."""
    clusters: int
    seeds: int
    method: str

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return not (math.isnan(self.low) or math.isnan(self.high))

    def off(self, value: float = 0.0) -> bool:
        """Whether a value lies outside of it: the difference from it is resolved."""
        return self.known and not self.low <= value <= self.high

    def to_json(self) -> dict[str, Any]:
        """Plain numbers; None for what is unknown."""
        return {k: plain(v) if isinstance(v, float) else v for k, v in asdict(self).items()}


NOTHING = Interval(math.nan, math.nan, math.nan, 0, 0, 0, "no value")


def mean(values: NDArray[np.float64], clusters: Sequence[str], share: bool = False) -> Interval:
    """The mean of a measure over pairs.

    Args:
        values: [pair], or [seed, pair] for several models of one arm; nan where undefined.
        clusters: A label per pair.
        share: Whether values are shares of 0-1.

    Raises:
        ValueError: Not one label a pair, or shares outside of 0-1.

    Example:
        >>> found = mean(np.array([1.0, 2.0, 3.0]), ["a", "b", "c"])
        >>> f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"
        '2.00 [-0.48, 4.48]'
    """
    x = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if x.ndim != 2 or x.shape[1] != len(clusters):
        raise ValueError(f"values of shape {x.shape} for {len(clusters)} clusters; expected [seed, pair]")
    x = x[~np.isnan(x).all(1)]
    if not len(x):
        return NOTHING
    if share and (np.nanmin(x) < -1e-9 or np.nanmax(x) > 1 + 1e-9):
        raise ValueError(f"a share from {np.nanmin(x)} to {np.nanmax(x)}; expected 0-1")
    y, sizes = _by_cluster(x, clusters)
    seeds, groups = y.shape
    n, value = int((~np.isnan(x)).any(0).sum()), float(y.mean())
    error, freedom = _error(y, sizes)
    method = ("seeds and clusters crossed" if seeds > 1 else "clustered") + ", Student"
    if groups < 2:
        return Interval(value, math.nan, math.nan, n, groups, seeds, "one cluster")
    if not error > TINY:
        if not (share and value in (0.0, 1.0)):
            return Interval(value, math.nan, math.nan, n, groups, seeds, "all values are equal")
        low, high = _wilson(value, groups)
        return Interval(value, low, high, n, groups, seeds, "Wilson over clusters")
    reach = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    if seeds > 1:
        alone = float(y.mean(1).std(ddof=1)) / math.sqrt(seeds)
        reach = max(reach, float(stats.t.ppf((1 + LEVEL) / 2, seeds - 1)) * alone)
    if share and 0 < value < 1:
        ends = special.expit(special.logit(value) + np.array([-1, 1]) * reach / (value * (1 - value)))
        return Interval(value, float(ends[0]), float(ends[1]), n, groups, seeds, f"{method}, log-odds")
    return Interval(value, value - reach, value + reach, n, groups, seeds, method)


def _by_cluster(
    x: NDArray[np.float64], clusters: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What each cluster adds to a seed's mean, [seed, cluster], whose mean is the seed's; and clusters' sizes."""
    there = ~np.isnan(x)
    _, member = np.unique(np.asarray(clusters)[there.any(0)], return_inverse=True)
    x, there = x[:, there.any(0)], there[:, there.any(0)]
    groups = int(member.max()) + 1
    added = lambda rows: np.stack([np.bincount(member, weights=row, minlength=groups) for row in rows])
    sizes = added(there.astype(float))
    means = np.nansum(x, 1) / there.sum(1)
    off = added(np.where(there, x - means[:, None], 0.0))
    share = sizes / sizes.sum(1, keepdims=True)
    if groups > 1 and not np.allclose(share, share[0, 0]):  # a large cluster pulls the mean towards itself
        off *= (1 - 1 / groups) / np.maximum(1 - share, 1e-9)
    return means[:, None] + off * groups / sizes.sum(1, keepdims=True), sizes.mean(0)


def _error(y: NDArray[np.float64], sizes: NDArray[np.float64]) -> tuple[float, float]:
    seeds, groups = y.shape
    if groups < 2:
        return math.nan, math.nan
    drawn = float(sizes.sum() ** 2 / (sizes**2).sum())  # clusters of unequal size count as fewer
    by_seed = y.mean(1).var(ddof=1) / seeds if seeds > 1 else 0.0
    by_cluster = y.mean(0).var(ddof=1) / groups
    rest = y - y.mean(1, keepdims=True) - y.mean(0, keepdims=True) + y.mean()
    of_cells = (rest**2).sum() / ((seeds - 1) * (groups - 1)) / y.size if seeds > 1 else 0.0
    variance = max(by_seed + by_cluster - of_cells, by_seed, by_cluster)
    freedom = max(1.0, drawn - 1)
    if seeds > 1 and variance > 0:
        parts = by_seed**2 / (seeds - 1) + (variance - by_seed) ** 2 / max(1.0, drawn - 1)
        freedom = variance**2 / parts if parts > 0 else freedom
    return math.sqrt(variance), float(freedom)


def _wilson(share: float, n: int) -> tuple[float, float]:
    z = float(stats.norm.ppf((1 + LEVEL) / 2))
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, min(share, middle - reach)), min(1.0, max(share, middle + reach))
