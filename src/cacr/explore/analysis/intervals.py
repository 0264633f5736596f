"""Means over pairs and models with the project's 95 % intervals (`cacr.statistics`), as rows of plain numbers.

Pairs that share a picture or an example are one draw. Models of one arm (seeds) are crossed with them, so that the
interval speaks of other seeds and other pictures. A pair whose value is undefined in any of the seeds is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cacr import statistics
from cacr.explore.analysis.pairs import plain
from cacr.statistics import Estimate

ROUNDING = 1e-9
"""A share may be outside of 0-1 by so much, as sums of attention are."""


def mean(values: NDArray[np.float64], clusters: Sequence[str], share: bool = False) -> dict[str, Any]:
    """The mean of a measure over pairs: a row of `told`.

    Args:
        values: [pair], or [seed, pair] for several models of one arm; nan where undefined.
        clusters: A label per pair.
        share: Whether values are shares of 0-1, so that their interval has to stay there.

    Raises:
        ValueError: Not one label a pair, or shares outside of 0-1.

    Example:
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
        return told(statistics.mean(x, labels), groups)
    if x.min() < -ROUNDING or x.max() > 1 + ROUNDING:
        raise ValueError(f"a share from {x.min()} to {x.max()}; expected 0-1")
    return told(statistics.crossed(x.clip(0, 1), labels), groups)


def told(its: Estimate, clusters: int) -> dict[str, Any]:
    """A number with its interval, n, clusters, seeds and method; six digits, None for what is unknown."""
    numbers = {k: plain(v) if isinstance(v, float) else v for k, v in its.to_json().items()}
    return numbers | {"clusters": clusters}


__all__ = ["mean", "told"]
