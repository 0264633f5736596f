"""Published scores of other models, each with where it was read: beside one's own numbers, never among them.

The scores are in references.toml. An entry's n is what its benchmark holds (``[sizes]`` there) or its own; from it
follows Wilson's interval, as if examples shared no pictures, which is too narrow where they do. Scores whose n is not
stated have no interval.
"""

from __future__ import annotations

import math
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from cacr._messages import shortly, unknown
from cacr.statistics import Estimate, wilson

KEYS = ("benchmark", "group", "model", "source", "note", "n", "scores")
# fmt: off
NAMES = frozenset((
    "winoground", "sugarcrepe", "sugarcrepe++", "bivlc", "vg-relation", "vg-attribution",
    "coco-order", "flickr30k-order", "valse", "vsr", "cola", "naturalbench", "mmvp-vlm",
    "colorswap", "eqben-mini", "whatsup", "flickr30k", "coco-5k", "coco-1k", "aro",
))
"""Benchmarks that may be referred to. "aro" is an average over the four of ARO."""
# fmt: on
METRICS = frozenset(
    {"text", "image", "group", "group match", "accuracy", "both", "R@1", "R@5", "R@10", "not stated"}
)
"""Metrics as the benchmarks name them; "not stated" belongs beside no number of one's own."""


@dataclass(frozen=True)
class Reference:
    """One published score. A fraction."""

    benchmark: str
    group: str
    metric: str
    model: str
    value: float
    source: str
    n: int | None = None
    """Examples, where known."""
    note: str = ""

    @property
    def estimate(self) -> Estimate:
        """With Wilson's interval where n is known."""
        if self.n is None:
            return Estimate(self.value, math.nan, math.nan, 0, method="published, n not stated")
        return wilson(self.value, self.n, method="published, wilson")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        own = {
            name: getattr(self, name) for name in ("benchmark", "group", "metric", "model", "source", "note")
        }
        return own | self.estimate.to_json() | {"n": self.n}


@cache
def all_references() -> tuple[Reference, ...]:
    """Every published score that the package knows, in the order of its file."""
    text = files("cacr.benchmarks").joinpath("references.toml").read_text(encoding="utf-8")
    return read_references(text)


def references_for(benchmark: str, group: str = "all", metric: str | None = None) -> list[Reference]:
    """The published scores of one group of a benchmark, the best first.

    Args:
        benchmark: Its name.
        group: As the benchmark names it: "all", "swap_obj", "image to caption".
        metric: One of its metrics, or all of them.
    """
    found = [
        one
        for one in all_references()
        if one.benchmark == benchmark and one.group == group and metric in (None, one.metric)
    ]
    return sorted(found, key=lambda one: -one.value)


def read_references(text: str) -> tuple[Reference, ...]:
    """Check and read a TOML text: ``[sizes]`` and ``[[published]]`` with scores by metric, or by group and metric.

    Raises:
        ValueError: A key, benchmark or metric that is not known, a value outside of 0-1, a score that comes twice.
    """
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"the references are no TOML: {error}") from error
    _check_keys(found, ("sizes", "published"), "part of the references")
    sizes = found.get("sizes", {})
    _check_keys(sizes, sorted(NAMES), "benchmark")
    for name, groups in sizes.items():
        if not isinstance(groups, Mapping):
            raise ValueError(f"the sizes of {name} are {shortly(groups)}; expected {{ group = examples }}")
    references: list[Reference] = []
    for number, entry in enumerate(found.get("published", ()), start=1):
        _check_keys(entry, KEYS, f"key of reference {number}")
        lacking = [key for key in ("benchmark", "model", "source", "scores") if not entry.get(key)]
        if lacking:
            raise ValueError(f"reference {number} has no {', '.join(lacking)}; expected {', '.join(KEYS)}")
        if entry["benchmark"] not in NAMES:
            raise ValueError(unknown("benchmark", entry["benchmark"], sorted(NAMES)))
        scores = entry["scores"]
        if not isinstance(scores, Mapping):
            raise ValueError(
                f"the scores of reference {number} are {shortly(scores)}; expected {{ metric = fraction }}"
            )
        by_group = (
            scores
            if all(isinstance(v, Mapping) for v in scores.values())
            else {entry.get("group", "all"): scores}
        )
        for group, metrics in by_group.items():
            known = sizes.get(entry["benchmark"], {}).get(group, 0)
            references += [_reference(entry, group, m, v, entry.get("n", known)) for m, v in metrics.items()]
    keys = Counter((one.benchmark, one.group, one.metric, one.model, one.source) for one in references)
    twice = next((key for key, count in keys.items() if count > 1), None)
    if twice:
        raise ValueError(f"the reference {' / '.join(twice)} comes twice; remove one, or name its source")
    return tuple(references)


def _reference(entry: Mapping[str, Any], group: str, metric: str, value: Any, n: Any) -> Reference:
    which = f"{entry['model']} on {entry['benchmark']}, {group}"
    if metric not in METRICS:
        raise ValueError(f"{which}: {unknown('metric', metric, sorted(METRICS))}")
    if not isinstance(value, float) or not 0 <= value <= 1:
        raise ValueError(f"{which}: {metric} is {shortly(value)}; expected a fraction of 0-1, such as 0.1425")
    if isinstance(n, bool) or not isinstance(n, int) or n < 0:
        raise ValueError(
            f"{which}: n is {shortly(n)}; expected a number of examples, or 0 where it is not stated"
        )
    return Reference(
        entry["benchmark"],
        group,
        metric,
        entry["model"],
        value,
        entry["source"],
        n or None,
        entry.get("note", ""),
    )


def _check_keys(table: Mapping[str, Any], known: Any, what: str) -> None:
    for key in table:
        if key not in known:
            raise ValueError(unknown(what, key, known))
