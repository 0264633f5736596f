"""Tests of paired differences, several looks, and how small a difference an evaluation could have found.

Two models answer the same examples. Where the examples are independent, McNemar's exact test asks whether those that
only one model gets right lean to one side; where they share pictures, the test is Student's on the clustered paired
difference, whose error is that of `cacr.statistics.paired_difference`: the two agree on 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from cacr.statistics import LEVEL, TINY, Spread, spread

POWER = 0.8


@dataclass(frozen=True)
class PairedTest:
    """The chance of such a difference, or a larger one, between models that do not differ."""

    p: float
    """Two-sided; nan where nothing can be said."""
    method: str
    """"exact McNemar", or "paired t" for shares; "clustered t"; "crossed t" over seeds; a sign test where no cluster
    differs from another; "one cluster"."""


def paired_test(ours: ArrayLike, theirs: ArrayLike, clusters: ArrayLike | None = None) -> PairedTest:
    """Whether two models differ, on the same examples.

    Args:
        ours: [seed, example] or [example], right or wrong, or shares of 0-1.
        theirs: The same seeds and examples.
        clusters: A label per example where examples share a picture or another source.

    Raises:
        ValueError: Other seeds or examples.

    Examples:
        >>> paired_test([1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0])
        PairedTest(p=0.03125, method='exact McNemar')

    Source: McNemar 1947; Miller 2024, arXiv:2411.00640, section 4 for clusters.
    """
    found, seeds = _paired(ours, theirs, clusters)
    alone = seeds == 1 and found.draws == found.n
    if alone and all(np.isin(np.asarray(x), (0, 1)).all() for x in (ours, theirs)):
        return PairedTest(mcnemar_p(ours, theirs), "exact McNemar")
    if found.draws < 2:
        return PairedTest(math.nan, "one cluster")
    if found.error < TINY:  # no cluster differs from another: all lean to one side, or none at all
        alike = 1.0 if abs(found.mean) < TINY else 2 * 0.5**found.draws
        return PairedTest(alike, "sign test over examples" if alone else "sign test over clusters")
    p = float(2 * stats.t.sf(abs(found.mean) / found.error, found.freedom))
    return PairedTest(p, "paired t" if alone else "clustered t" if seeds == 1 else "crossed t")


def mcnemar_p(ours: ArrayLike, theirs: ArrayLike) -> float:
    """Exact two-sided McNemar test of two models on the same examples: the chance of such a difference under none.

    Examples:
        >>> mcnemar_p([1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0])
        0.03125
    """
    a, b = np.asarray(ours, dtype=bool).ravel(), np.asarray(theirs, dtype=bool).ravel()
    cells = [[np.sum(a & b), np.sum(a & ~b)], [np.sum(~a & b), np.sum(~a & ~b)]]
    return float(mcnemar(cells, exact=True).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: those below a level are, all together, in error with at most that chance.

    A nan stays nan and is no look.

    Raises:
        ValueError: A p-value outside of 0-1.

    Examples:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]

    Source: Holm 1979. (statsmodels' ``multipletests`` gives the same, and collects garbage at every call: 0.2 s.)
    """
    p = np.array(p_values, dtype=float)
    counted = ~np.isnan(p)
    wrong = p[counted & ~((p >= 0) & (p <= 1))]
    if wrong.size:
        raise ValueError(f"a p-value is {wrong[0]}; expected 0-1, or nan where there is none")
    some = p[counted]
    order = np.argsort(some)
    some[order] = np.maximum.accumulate((len(some) - np.arange(len(some))) * some[order]).clip(max=1)
    p[counted] = some
    return [float(value) for value in p]


def detectable(n: int, discordant: float, power: float = POWER, level: float = LEVEL) -> float:
    """The smallest difference (a fraction) that n independent paired examples find with this power.

        (z_(1 − α/2) + z_power) · √(discordant / n),     α = 1 − level

    Discordant examples are those that one model alone gets right; under no difference each adds ±1 with equal chance,
    so the variance of the mean difference is discordant / n. A value above ``discordant`` says that so few discordant
    examples cannot show a difference.

    Args:
        n: Examples.
        discordant: Share of them that exactly one of the two models gets right, 0-1.
        power: Chance to find the difference if it is there, 0.5-1.
        level: Confidence of the interval that must leave out 0, 0-1.

    Examples:
        >>> round(detectable(400, discordant=0.15), 3)      # Winoground
        0.054

    Source: Connor 1987, Biometrics 43(1), with the variance of no difference at both ends; Miller 2024,
        arXiv:2411.00640, section 5.
    """
    if n < 1:
        raise ValueError(f"n is {n}; expected 1 example or more")
    if not (0 <= discordant <= 1):
        raise ValueError(
            f"discordant is {discordant}; expected the share of examples that one model alone gets right"
        )
    alpha = _alpha(power, level)
    return float((stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)) * math.sqrt(discordant / n))


def detectable_from(
    ours: ArrayLike,
    theirs: ArrayLike,
    clusters: ArrayLike | None = None,
    power: float = POWER,
    level: float = LEVEL,
) -> float:
    """The smallest difference that a comparison like this one finds: its own paired, clustered error.

        (t_(1 − α/2) + t_power) · standard error,     with the error's degrees of freedom

    It says what the sizes and the agreement of the two models allow; that the observed difference is smaller or
    larger says nothing more than its interval does. nan where outcomes do not vary.

    Args:
        ours: [seed, example] or [example].
        theirs: The same seeds and examples.
        clusters: A label per example where examples share a picture or another source.
        power: Chance to find the difference if it is there, 0.5-1.
        level: Confidence of the interval that must leave out 0, 0-1.
    """
    found, _ = _paired(ours, theirs, clusters)
    alpha = _alpha(power, level)
    if not (found.freedom > 0 and found.error >= TINY):
        return math.nan
    reach = stats.t.ppf(1 - alpha / 2, found.freedom) + stats.t.ppf(power, found.freedom)
    return float(reach * found.error)


def _alpha(power: float, level: float) -> float:
    if not (0.5 <= power < 1):
        raise ValueError(f"power is {power}; expected a chance from 0.5 to below 1, such as 0.8")
    if not (0 < level < 1):
        raise ValueError(f"level is {level}; expected a confidence between 0 and 1, such as 0.95")
    return 1 - level


def _paired(ours: ArrayLike, theirs: ArrayLike, clusters: ArrayLike | None) -> tuple[Spread, int]:
    a, b = (np.atleast_2d(np.asarray(x, dtype=float)) for x in (ours, theirs))
    if a.shape != b.shape:
        raise ValueError(
            f"outcomes have shapes {a.shape} and {b.shape}; expected the same [seed, example] for both"
        )
    return spread(a - b, clusters), a.shape[0]
