"""Intervals and paired differences: what every printed number carries.

An outcome is 1 or 0 per example, or per (seed, example) when a method was trained several times. Two sources of
chance are then crossed: the seeds and the examples. Their variances add (Cameron, Gelbach & Miller 2011):

    Var(mean) = Var_by_seeds + Var_by_examples − Var_of_cells / cells,     floored at the larger of the first two

and the interval is Student's with Satterthwaite's degrees of freedom. Examples that share a picture are one draw
(``clusters``): the error is the jackknife's over clusters (CV3 of MacKinnon, Nielsen & Webb 2023), and clusters of
unequal size count as fewer (Kish 1965: n² / Σ n_g²). The numerics are scipy's and statsmodels'.

How often the intervals hold the truth is simulated in tests/unit/test_coverage.py.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats
from statsmodels.stats.proportion import proportion_confint

LEVEL = 0.95
LARGEST = 1e140
TINY = 1e-12
"""A standard error below this is none: all outcomes are equal up to rounding."""


@dataclass(frozen=True)
class Estimate:
    """A mean and its interval, ``low`` to ``high``: fractions, not percent; nan where nothing can be said."""

    value: float
    low: float
    high: float
    n: int
    """Examples."""
    seeds: int = 1
    """Trained models behind each example."""
    method: str = "wilson"
    """How the interval was made."""

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
        right: One outcome per example, true or false; or a share of 0-1, where an example is several answers.
        clusters: A label per example where examples share a picture or another source; the interval then is
            Student's on the clustered standard error of the log-odds, as for shares; else Wilson's. (On the scale
            of the proportion itself it holds a truth of 95 % in 40 clusters 84 % of the time.)
        level: Of confidence, 0-1.

    Raises:
        ValueError: Outcomes outside of 0-1, or labels that are not one an example.

    Examples:
        >>> e = proportion([True] * 9 + [False])
        >>> f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}], n = {e.n}"
        '0.90 [0.60, 0.98], n = 10'

    Source: Wilson 1927; Miller 2024, arXiv:2411.00640, equation 4 for clusters.
    """
    x = np.asarray(right, dtype=float).ravel()
    n = len(x)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    if not ((x >= 0) & (x <= 1)).all():
        raise ValueError(
            f"an outcome is {x[~((x >= 0) & (x <= 1))][0]}; expected right or wrong, or a share of 0-1"
        )
    alone = clusters is None or len(set(np.asarray(clusters).tolist())) == n == np.asarray(clusters).size
    if alone and np.isin(x, (0, 1)).all():
        return wilson(x.mean(), n, level=level)
    found = spread(x, None if alone else clusters)
    if found.draws < 2:
        return Estimate(found.mean, math.nan, math.nan, n, method="one cluster")
    if found.error < TINY:  # Wilson's interval has a width even then; the clusters are what was drawn
        return wilson(found.mean, found.draws, n, level, "wilson over clusters")
    reach = found.reach(level) / (
        found.mean * (1 - found.mean)
    )  # the delta method: d logit(p) = dp / (p (1 - p))
    low, high = special.expit(special.logit(found.mean) + np.array([-reach, reach]))
    return Estimate(found.mean, float(low), float(high), n, method="over examples" if alone else "clustered")


def wilson(
    share: float, drawn: int, n: int | None = None, level: float = LEVEL, method: str = "wilson"
) -> Estimate:
    """Wilson's interval of a share of independent draws.

    Args:
        share: Of right ones, 0-1.
        drawn: Independent draws: examples, or clusters of them.
        n: Examples, if not as many.
        level: Of confidence, 0-1.
        method: What to call it.

    Raises:
        ValueError: Nothing was drawn, or a share outside of 0-1.
    """
    _check_level(level)
    if drawn < 1 or not 0 <= share <= 1:
        raise ValueError(f"a share of {share} of {drawn} draws; expected one of 0-1, of one draw at least")
    low, high = proportion_confint(share * drawn, drawn, alpha=1 - level, method="wilson")
    value = float(share)
    return Estimate(value, min(value, float(low)), max(value, float(high)), n or drawn, method=method)


def crossed(right: ArrayLike, clusters: ArrayLike | None = None, level: float = LEVEL) -> Estimate:
    """The mean outcome of a method trained with several seeds, over the same examples.

    Args:
        right: [seed, example].
        clusters: A label per example where examples share a picture or another source.
        level: Of confidence, 0-1.
    """
    x = _table(right)
    found = spread(x, clusters)
    if found.draws < 2 and len(x) > 1:
        return Estimate(found.mean, math.nan, math.nan, found.n, found.seeds, "one cluster")
    if x.shape[0] == 1 or found.error < TINY:  # Wilson's never has zero width
        one = proportion(x[0], clusters, level)
        return Estimate(one.value, one.low, one.high, one.n, x.shape[0], one.method)
    return _student(found, level, found.method, bounded=True)


def mean(values: ArrayLike, clusters: ArrayLike | None = None, level: float = LEVEL) -> Estimate:
    """The mean of any values, such as nats or bits, with Student's interval; there is none where all are equal.

    Args:
        values: [seed, example] or [example].
        clusters: A label per example where examples share a picture or another source.
        level: Of confidence, 0-1.

    Examples:
        >>> e = mean([1.0, 2.0, 3.0])
        >>> f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]"
        '2.00 [-0.48, 4.48]'
    """
    _check_level(level)
    found = spread(values, clusters)
    return _student(found, level, found.method, bounded=False)


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

    Examples:
        >>> d = paired_difference([[1, 1, 0, 1], [1, 0, 0, 1]], [[1, 0, 0, 1], [0, 0, 0, 1]])
        >>> d.value, d.resolved
        (0.25, False)
    """
    a, b = _table(ours), _table(theirs)
    if a.shape != b.shape:
        raise ValueError(
            f"outcomes have shapes {a.shape} and {b.shape}; expected the same [seed, example] for both"
        )
    _check_level(level)
    found = spread(a - b, clusters)
    outcomes = np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all()
    if found.seeds == 1 and found.draws == found.n and outcomes and found.error > TINY:
        return _agresti_min((a - b)[0], level)
    return _student(found, level, found.method, bounded=False)


def _agresti_min(difference: NDArray[np.float64], level: float) -> Estimate:
    """The interval of paired outcomes with half an example added to each of the four cells.

    Student's holds the truth in 89 % where one example in fifty differs. Source: Agresti & Min 2005, Statistics in
    Medicine 24(5).
    """
    n, only_ours, only_theirs = len(difference), (difference > 0).sum() + 0.5, (difference < 0).sum() + 0.5
    middle = (only_ours - only_theirs) / (n + 2)
    error = math.sqrt((only_ours + only_theirs - (n + 2) * middle**2) / (n + 2) ** 2)
    reach = float(stats.norm.ppf((1 + level) / 2)) * error
    low, high = max(-1.0, middle - reach), min(1.0, middle + reach)
    return Estimate(float(difference.mean()), float(low), float(high), n, method="paired, Agresti-Min")


def _check_level(level: float) -> None:
    if not (0 < level < 1):
        raise ValueError(f"level is {level}; expected a confidence between 0 and 1, such as 0.95")


def _table(outcomes: ArrayLike) -> NDArray[np.float64]:
    x = np.atleast_2d(np.asarray(outcomes, dtype=float))
    if x.ndim != 2 or x.size == 0:
        raise ValueError(f"outcomes have shape {x.shape}; expected [seed, example], one of each at least")
    if not np.isfinite(x).all():
        raise ValueError(
            f"{(~np.isfinite(x)).sum()} of {x.size} outcomes are not finite; expected right or wrong"
        )
    return x


@dataclass(frozen=True)
class Spread:
    """How far a mean of outcomes may be from the truth."""

    mean: float
    error: float
    """Standard error; nan where a single draw says nothing of it."""
    freedom: float
    """Student's degrees of freedom."""
    n: int
    """Examples."""
    seeds: int
    draws: int
    """Clusters, or examples where none are shared."""

    @property
    def method(self) -> str:
        """What the error is of."""
        return "crossed seeds and examples" if self.seeds > 1 else "paired over examples"

    def reach(self, level: float) -> float:
        """Half the width of Student's interval; nan where outcomes do not vary."""
        _check_level(level)
        if not (self.freedom > 0 and self.error >= TINY):  # they say nothing of how they might vary
            return math.nan
        return float(stats.t.ppf((1 + level) / 2, self.freedom)) * self.error


def spread(outcomes: ArrayLike, clusters: ArrayLike | None = None) -> Spread:
    """Mean and standard error over seeds and examples.

    Args:
        outcomes: [seed, example] or [example]; outcomes or differences of them.
        clusters: A label per example where examples share a picture or another source.
    """
    x = _table(outcomes)
    if (largest := float(np.abs(x).max())) > LARGEST:
        raise ValueError(
            f"outcomes reach {largest:.3g}; expected numbers whose squares can be summed, up to {LARGEST:g}"
        )
    examples, mean = x.shape[1], float(x.mean())
    draws: float = examples
    if clusters is not None:
        x, draws = _by_cluster(x, clusters)
    seeds, n = x.shape
    by_seed = x.mean(1).var(ddof=1) / seeds if seeds > 1 else 0.0
    by_example = x.mean(0).var(ddof=1) / n if n > 1 else math.nan
    rest = x - x.mean(1, keepdims=True) - x.mean(0, keepdims=True) + x.mean()
    of_cells = (rest**2).sum() / max(1, (seeds - 1) * (n - 1)) / x.size if seeds > 1 else 0.0
    variance = max(by_seed + by_example - of_cells, by_seed, by_example)
    freedom = draws - 1
    if seeds > 1 and variance > 0:  # Satterthwaite, with each source's own freedom
        freedom = variance**2 / (by_seed**2 / (seeds - 1) + (variance - by_seed) ** 2 / (draws - 1))
    return Spread(mean, math.sqrt(variance), float(freedom), examples, seeds, n)


def _by_cluster(x: NDArray[np.float64], clusters: ArrayLike) -> tuple[NDArray[np.float64], float]:
    """What each cluster adds to the mean over examples, so that its variance is the jackknife's; clusters that count.

    With clusters of equal size these are their means.
    """
    labels = np.asarray(clusters)
    if labels.shape != x.shape[1:]:
        raise ValueError(f"{labels.size} cluster labels for {x.shape[1]} examples; expected one an example")
    _, member, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    groups, examples = len(sizes), x.shape[1]
    sums = np.stack([np.bincount(member, weights=row, minlength=groups) for row in x]) * groups / examples
    if groups == 1 or (sizes == sizes[0]).all():
        return sums, groups
    off = sums - x.mean() * sizes * groups / examples  # a large cluster is not far off because it is large
    off *= (1 - 1 / groups) / (1 - sizes / examples)  # it pulls the mean towards itself
    return x.mean() + off, examples**2 / float((sizes**2).sum())


def _student(found: Spread, level: float, method: str, bounded: bool) -> Estimate:
    reach = found.reach(level)
    low, high = found.mean - reach, found.mean + reach
    if bounded and not math.isnan(reach):
        low, high = max(0.0, low), min(1.0, high)
    return Estimate(found.mean, low, high, found.n, found.seeds, method)
