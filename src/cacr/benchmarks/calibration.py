"""Is a match a probability? How sure a model is, against how often it is right.

The margin of an answer, in logits, says P = sigmoid(margin). Of two captions for a picture (or two pictures for a
caption) the model chooses the one with the higher match, with margin |match of one − match of the other|; of a
caption that is true or false it says yes with margin match − threshold.

    Brier score                  mean (P − outcome)²
    expected calibration error   Σ over bins of equal count  |mean P − share true| · share of the bin

Guo et al. 2017 (arXiv:1706.04599) for the temperature; Nixon et al. 2019 (arXiv:1904.01685) for equal counts. The
plain calibration error of a finite sample is above 0 for a calibrated model too, since |noise| does not average out:
read its interval, which takes that excess back (`_error_interval`; it holds the truth in 92 to 95 % of simulations).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

from cacr._messages import unknown
from cacr.benchmarks.benchmark import Kind, Record
from cacr.statistics import LEVEL, Estimate

BINS = 10
RESAMPLES = 1000
COLDEST, HOTTEST = math.log(1e-3), math.log(1e3)
"""Bounds of the search for the logarithm of the temperature."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Bin:
    """A point of the reliability diagram."""

    claimed: float
    """Mean P."""
    true: float
    """Share of true outcomes."""
    n: int


@dataclass(frozen=True)
class Calibration:
    """How far the claimed probabilities are from what happens. Intervals: bootstrap over clusters."""

    brier: Estimate
    error: Estimate
    """Expected calibration error."""
    temperature: Estimate
    """What to divide margins by; 1 is calibrated, more is overconfident. Fitted on all; above 999 or below 0.0011
    the log-loss has no minimum: nothing is learnt from margins, or no outcome contradicts them."""
    error_after: Estimate
    """The error with margins divided by a temperature that was fitted on the other half of the clusters; its interval
    takes the two temperatures as given."""
    bins: tuple[Bin, ...]
    """From least to most sure."""


def calibration(
    margins: ArrayLike,
    true: ArrayLike,
    clusters: ArrayLike | None = None,
    bins: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Calibration:
    """Brier score, calibration error, and the temperature that would calibrate.

    Args:
        margins: What each answer claims, in logits: P = sigmoid(margin).
        true: Whether it holds. For a choice between two: margins |m| and m > 0, where m is the match of the true one
            minus the match of the false one (`answers`).
        clusters: A label per answer where answers share a picture; they are resampled together.
        bins: Of equal count; 10 if not given, or one an answer where there are fewer.
        resamples: Of the bootstrap.
        seed: Of the bootstrap and of the two halves.
        level: Of confidence, 0-1.

    Raises:
        ValueError: Arrays that do not fit, no answers, margins that are not finite.
    """
    m, y, member = _checked(margins, true, clusters)
    bins = min(BINS, len(m)) if bins is None else bins
    if not (1 <= bins <= len(m)):
        raise ValueError(f"{bins} bins for {len(m)} answers; expected 1 to {len(m)}")
    rng = np.random.default_rng(seed)
    groups = int(member.max()) + 1
    p = special.expit(m)
    tempered = p.copy()
    half = rng.permutation(groups) % 2
    for side in (0, 1) if groups > 1 else ():
        here = half[member] == side
        tempered[here] = special.expit(m[here] / _temperature(m[~here], y[~here], np.ones((~here).sum())))
    squares = (p - y) ** 2
    order, order_after = np.argsort(p, kind="stable"), np.argsort(tempered, kind="stable")
    off, off_after = (p - y)[order], (tempered - y)[order_after]
    one = np.ones(len(m))
    drawn = []
    for _ in range(resamples if groups > 1 else 0):
        w = np.bincount(rng.integers(groups, size=groups), minlength=groups)[member].astype(float)
        gaps, gaps_after = _gaps(off, w[order], bins), _gaps(off_after, w[order_after], bins)
        drawn.append([np.average(squares, weights=w), _temperature(m, y, w), *gaps, *gaps_after])
    table = np.array(drawn).reshape(-1, 2 + 2 * bins)
    return Calibration(
        brier=_interval(float(squares.mean()), table[:, 0], len(m), level),
        error=_error_interval(_gaps(off, one, bins), table[:, 2 : 2 + bins], len(m), level),
        temperature=_temperature_interval(_temperature(m, y, one), table[:, 1], len(m), level),
        error_after=(
            _error_interval(_gaps(off_after, one, bins), table[:, 2 + bins :], len(m), level)
            if groups > 1
            else Estimate(math.nan, math.nan, math.nan, len(m), method="one cluster cannot be halved")
        ),
        bins=_bins(p[order], y[order], bins),
    )


@dataclass(frozen=True)
class Answers:
    """What `calibration` takes."""

    margins: Array
    true: NDArray[np.bool_]
    clusters: NDArray[np.str_]


def answers(records: Sequence[Record], kind: Kind, threshold: float = 0.0) -> Answers:
    """Margins and outcomes of a benchmark's records.

    Args:
        records: With ``match[caption][picture]``, and ``label`` (true or false, 1 or 0) where labelled.
        kind: "first caption": caption 0 is true of picture 0, against each other caption. "two by two": caption c is
            true of picture c; four comparisons a record. "labelled": one caption and one picture.
        threshold: The match above which a labelled caption is called true.

    Raises:
        ValueError: An unknown kind, a record that is not of it, or one whose match is no number or infinite.

    Examples:
        >>> found = answers([{"example": "a", "match": [[2.0], [0.5]]}], "first caption")
        >>> found.margins.tolist(), found.true.tolist()
        ([1.5], [True])
    """
    if kind not in (known := get_args(Kind)):
        raise ValueError(unknown("kind of records", kind, known))
    margins: list[float] = []
    true: list[bool] = []
    clusters: list[str] = []
    for record in records:
        match = np.asarray(record.get("match", ()), dtype=float)
        fits = {
            "first caption": match.ndim == 2 and match.shape[0] > 1,
            "two by two": match.shape == (2, 2),
            "labelled": match.shape == (1, 1) and record.get("label") in (0, 1),
        }[kind]
        if not fits:
            raise ValueError(
                f"the record {record.get('example')} has matches of shape {match.shape} and label "
                f"{record.get('label')!r}; expected a record of the kind {kind!r}"
            )
        if not np.isfinite(match).all():
            raise ValueError(
                f"the record {record.get('example')} has a match that is no number or infinite, so it has no "
                "margin; leave the record out, or measure again"
            )
        if kind == "labelled":
            margins.append(float(match[0, 0]) - threshold)
            true.append(bool(record["label"]))
        else:
            leads = match[0, 0] - match[1:, 0]
            if kind == "two by two":
                own = match.diagonal()
                leads = np.concatenate([own - match[::-1].diagonal(), own - match[:, ::-1].diagonal()])
            margins += np.abs(leads).tolist()
            true += (leads > 0).tolist()
        clusters += [str(record.get("cluster", record["example"]))] * (len(margins) - len(clusters))
    return Answers(np.array(margins), np.array(true, dtype=bool), np.array(clusters))


def _checked(
    margins: ArrayLike, true: ArrayLike, clusters: ArrayLike | None
) -> tuple[Array, Array, NDArray[np.intp]]:
    m, y = np.asarray(margins, dtype=float), np.asarray(true, dtype=float)
    labels = np.arange(m.size) if clusters is None else np.asarray(clusters)
    if m.ndim != 1 or m.size == 0 or m.shape != y.shape or m.shape != labels.shape:
        raise ValueError(
            f"margins, outcomes and clusters have shapes {m.shape}, {y.shape} and {labels.shape}; expected one of each "
            "per answer, and an answer at least"
        )
    if not np.isfinite(m).all() or not np.isin(y, (0, 1)).all():
        raise ValueError("expected finite margins, and outcomes that are true or false")
    return m, y, np.unique(labels, return_inverse=True)[1]


def _gaps(off: Array, weights: Array, bins: int) -> Array:
    """Mean P − share true, times the bin's share, per bin of equal weight; from least to most sure."""
    return np.bincount(_bin_of(weights, bins), off * weights, bins) / weights.sum()


def _bin_of(weights: Array, bins: int) -> NDArray[np.intp]:
    middle = np.cumsum(weights) - weights / 2
    return np.minimum((middle * bins / weights.sum()).astype(np.intp), bins - 1)


def _bins(p: Array, y: Array, bins: int) -> tuple[Bin, ...]:
    where = _bin_of(np.ones(len(p)), bins)
    some = [where == index for index in range(bins)]
    return tuple(Bin(float(p[b].mean()), float(y[b].mean()), int(b.sum())) for b in some)


def _temperature(m: Array, y: Array, weights: Array) -> float:
    signed = np.where(y > 0, m, -m)

    def log_loss(log_temperature: float) -> float:
        return float(np.dot(weights, np.logaddexp(0, -signed * math.exp(-log_temperature))))

    found = optimize.minimize_scalar(
        log_loss, bounds=(COLDEST, HOTTEST), method="bounded", options={"xatol": 1e-4}
    )
    return math.exp(found.x)


def _interval(value: float, drawn: Array, n: int, level: float) -> Estimate:
    if not drawn.size:
        return Estimate(value, math.nan, math.nan, n, method="one cluster")
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(
        value, float(min(low, value)), float(max(high, value)), n, method="bootstrap over clusters"
    )


def _temperature_interval(value: float, drawn: Array, n: int, level: float) -> Estimate:
    """A normal one of the logarithm: a temperature is a ratio, and its quantiles come out too narrow."""
    if not drawn.size:
        return Estimate(value, math.nan, math.nan, n, method="one cluster")
    reach = float(stats.norm.ppf((1 + level) / 2) * np.log(drawn).std())
    low, high = value * math.exp(-reach), value * math.exp(reach)
    return Estimate(value, low, high, n, method="bootstrap over clusters, of the logarithm")


def _error_interval(gaps: Array, drawn: Array, n: int, level: float) -> Estimate:
    """The sum of absolute gaps; its excess is what noise adds to gaps as large as those seen, or to smaller ones.

    For the upper bound the true gaps are taken as large as those seen; for the lower one a standard error smaller,
    so that a calibrated model's interval begins at 0.
    """
    value = float(np.abs(gaps).sum())
    method = f"bootstrap over clusters, {len(gaps)} bins of equal count"
    if not drawn.size:
        return Estimate(value, math.nan, math.nan, n, method="one cluster")
    noise = drawn - gaps
    smaller = np.sign(gaps) * np.maximum(np.abs(gaps) - noise.std(0), 0)
    excess_most = np.quantile(np.abs(smaller + noise).sum(1) - np.abs(smaller).sum(), (1 + level) / 2)
    excess_least = np.quantile(np.abs(drawn).sum(1) - value, (1 - level) / 2)
    low, high = max(0.0, value - float(excess_most)), value - float(excess_least)
    return Estimate(value, min(low, value), max(high, value), n, method=method)
