"""Intervals and paired differences: what every printed number carries.

An outcome is 1 or 0 per example, or per (seed, example) when a method was trained several times. Two sources of
chance are then crossed: the seeds and the examples. Their variances add (Cameron, Gelbach & Miller 2011):

    Var(mean) = Var_by_seeds + Var_by_examples − Var_of_cells / cells,     floored at the larger of the first two

and the interval is Student's with Satterthwaite's degrees of freedom. Examples that share a picture are averaged first
(``clusters``): they are one draw. The numerics are scipy's and statsmodels'.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

LEVEL = 0.95
TINY = 1e-12
"""A standard error below this is none: all outcomes are equal up to rounding."""


@dataclass(frozen=True)
class Estimate:
    """A mean of outcomes with its interval; fractions, not percent. Bounds are nan where nothing can be said."""

    value: float
    low: float
    high: float
    n: int
    """Examples."""
    seeds: int = 1
    """Trained models behind each example."""
    method: str = "wilson"

    @property
    def resolved(self) -> bool:
        """For a difference: whether 0 lies outside of the interval."""
        return not (math.isnan(self.low) or self.low <= 0 <= self.high)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers; nan becomes None."""
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(self).items()}


def proportion(right: ArrayLike, clusters: ArrayLike | None = None, level: float = LEVEL) -> Estimate:
    """The share of right examples with its interval.

    Args:
        right: One outcome per example, true or false.
        clusters: A label per example where examples share a picture or another source; the interval then is
            Student's on the clustered standard error, else Wilson's.
        level: Of confidence, 0-1.

    Example:
        >>> e = proportion([True] * 9 + [False])
        >>> f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}], n = {e.n}"
        '0.90 [0.60, 0.98], n = 10'

    Source: Wilson 1927; Miller 2024, arXiv:2411.00640, equation 4 for clusters.
    """
    x = np.asarray(right, dtype=float).ravel()
    n = len(x)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    if clusters is None or len(set(np.asarray(clusters).tolist())) == n:
        return _wilson(x.mean(), n, n, level, "wilson")
    _, member = np.unique(np.asarray(clusters), return_inverse=True)
    groups = int(member.max()) + 1
    if groups < 2:
        return Estimate(float(x.mean()), math.nan, math.nan, n, method="one cluster")
    sums = np.bincount(member, weights=x - x.mean())
    error = math.sqrt((sums**2).sum() * groups / (groups - 1)) / n
    if error < TINY:  # Wilson's interval has a width even then; the clusters are what was drawn
        return _wilson(x.mean(), groups, n, level, "wilson over clusters")
    return _student(x.mean(), error, groups - 1, n, 1, level, "clustered", bounded=True)


def crossed(right: ArrayLike, clusters: ArrayLike | None = None, level: float = LEVEL) -> Estimate:
    """The mean outcome of a method trained with several seeds, over the same examples.

    Args:
        right: [seed, example].
        clusters: A label per example where examples share a picture or another source.
        level: Of confidence, 0-1.
    """
    x = _table(right)
    if x.shape[0] == 1 or np.ptp(x) < TINY:  # one seed, or no variation: Wilson's never has zero width
        one = proportion(x[0], clusters, level)
        return Estimate(one.value, one.low, one.high, one.n, x.shape[0], one.method)
    return _crossed(x, clusters, level, bounded=True)


def paired_difference(
    ours: ArrayLike, theirs: ArrayLike, clusters: ArrayLike | None = None, level: float = LEVEL
) -> Estimate:
    """Mean of ours − theirs, seed by seed and example by example.

    Args:
        ours: [seed, example] or [example].
        theirs: The same seeds and examples.
        clusters: A label per example where examples share a picture or another source.
        level: Of confidence, 0-1.

    Raises:
        ValueError: Other seeds or examples: the difference would not be paired.

    Example:
        >>> d = paired_difference([[1, 1, 0, 1], [1, 0, 0, 1]], [[1, 0, 0, 1], [0, 0, 0, 1]])
        >>> d.value, d.resolved
        (0.25, False)
    """
    a, b = _table(ours), _table(theirs)
    if a.shape != b.shape:
        raise ValueError(
            f"outcomes have shapes {a.shape} and {b.shape}; expected the same [seed, example] for both"
        )
    return _crossed(a - b, clusters, level, bounded=False)


def mcnemar_p(ours: ArrayLike, theirs: ArrayLike) -> float:
    """Exact two-sided McNemar test of two models on the same examples: the chance of such a difference under none.

    Example:
        >>> mcnemar_p([1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0])
        0.03125
    """
    a, b = np.asarray(ours, dtype=bool).ravel(), np.asarray(theirs, dtype=bool).ravel()
    cells = [[np.sum(a & b), np.sum(a & ~b)], [np.sum(~a & b), np.sum(~a & ~b)]]
    return float(mcnemar(cells, exact=True).pvalue)


def _wilson(mean: float, drawn: int, n: int, level: float, method: str) -> Estimate:
    low, high = proportion_confint(mean * drawn, drawn, alpha=1 - level, method="wilson")
    value = float(mean)
    return Estimate(value, min(value, float(low)), max(value, float(high)), n, method=method)


def _table(outcomes: ArrayLike) -> NDArray[np.float64]:
    x = np.atleast_2d(np.asarray(outcomes, dtype=float))
    if x.ndim != 2 or x.size == 0:
        raise ValueError(f"outcomes have shape {x.shape}; expected [seed, example], one of each at least")
    return x


def _crossed(x: NDArray[np.float64], clusters: ArrayLike | None, level: float, bounded: bool) -> Estimate:
    examples = x.shape[1]
    mean = x.mean()
    if clusters is not None:
        x = _by_cluster(x, clusters)
    seeds, n = x.shape
    by_seed = x.mean(1).var(ddof=1) / seeds if seeds > 1 else 0.0
    by_example = x.mean(0).var(ddof=1) / n if n > 1 else math.nan
    rest = x - x.mean(1, keepdims=True) - x.mean(0, keepdims=True) + x.mean()
    of_cells = (rest**2).sum() / max(1, (seeds - 1) * (n - 1)) / x.size if seeds > 1 else 0.0
    variance = max(by_seed + by_example - of_cells, by_seed, by_example)
    freedom = n - 1
    if seeds > 1 and variance > 0:  # Satterthwaite, with each source's own freedom
        freedom = variance**2 / (by_seed**2 / (seeds - 1) + (variance - by_seed) ** 2 / (n - 1))
    method = "crossed seeds and examples" if seeds > 1 else "paired over examples"
    return _student(mean, math.sqrt(variance), freedom, examples, seeds, level, method, bounded)


def _by_cluster(x: NDArray[np.float64], clusters: ArrayLike) -> NDArray[np.float64]:
    """Sums per cluster, scaled so that their mean is the mean over examples whatever the clusters' sizes."""
    _, member = np.unique(np.asarray(clusters), return_inverse=True)
    groups = int(member.max()) + 1
    return np.stack([np.bincount(member, weights=row, minlength=groups) for row in x]) * groups / x.shape[1]


def _student(
    mean: float, error: float, freedom: float, n: int, seeds: int, level: float, method: str, bounded: bool
) -> Estimate:
    certain = freedom <= 0 or error < TINY  # outcomes without variation say nothing of how they might vary
    reach = math.nan if certain else float(stats.t.ppf((1 + level) / 2, freedom)) * error
    low, high = float(mean) - reach, float(mean) + reach
    if bounded and not math.isnan(reach):
        low, high = max(0.0, low), min(1.0, high)
    return Estimate(float(mean), low, high, n, seeds, method)
