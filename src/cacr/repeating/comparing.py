"""Two folders, file by file: the same bits, or the largest difference and where it is.

Weights are compared as tensors, everything else as it lies on disk; what says when and where, and not what, is left
out (`LEFT_OUT`). Where a number has an interval, the new one is looked for in the interval of then; where records of
examples differ, the two models are compared on them, paired.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import torch

from cacr._json import json_lines, read_json
from cacr._weights import read_weights
from cacr.benchmarks import BENCHMARKS
from cacr.benchmarks.comparing import compare as paired
from cacr.benchmarks.records import read_records
from cacr.repeating.recorded import DAMAGED, read_environment

LEFT_OUT = frozenset(("environment", "stores", "asked", "transformers_version", "_name_or_path", "why"))
"""Names of JSON objects that tell of place, time and versions; what of them counts is said by then and now.

``why`` a trial of a search failed names its folder; that it failed is compared.
"""
OF_SCORER = ("scorer/name", "scorer/hub", "options/data", "options/features", "options/images")


@dataclass
class Compared:
    """What became of one file."""

    file: str
    same: bool
    said: str = "the same"
    """How it differs, as a piece of a sentence."""
    largest: float | None = None
    """The largest difference of two numbers in it; None where there is none, inf where a number became none."""
    where: str = ""
    outside: list[str] = field(default_factory=list)
    """Numbers that are not in their interval of then, and conclusions that changed; each a sentence."""
    intervals: int = 0
    """How many numbers with intervals, and paired differences, were looked at."""

    def to_json(self) -> dict[str, Any]:
        """Plain values; an infinite difference is a word."""
        found = dict(self.__dict__)
        return found | {"largest": str(self.largest) if self.largest == math.inf else self.largest}


def compare_files(then: Path, now: Path, file: Path) -> Compared:
    """One file of both folders, by its path inside them."""
    a, b, name = then / file, now / file, file.as_posix()
    if not a.is_file() or not b.is_file():
        return Compared(name, False, f"is there {'then' if a.is_file() else 'now'} alone")
    if file.name == "environment.json":
        return _data(name, a, b)
    if a.read_bytes() == b.read_bytes():
        return Compared(name, True)
    if file.suffix == ".safetensors":
        return _weights(name, a, b)
    lines = file.suffix == ".jsonl"
    found = _values(name, _read(a, lines), _read(b, lines), "line" if lines else "")
    if lines and not found.same and file.stem in BENCHMARKS:
        _conclude(found, a, b)
    return found


def _weights(name: str, a: Path, b: Path) -> Compared:
    then, now = read_weights(a), read_weights(b)
    if odd := sorted(then.keys() ^ now.keys()):
        return Compared(
            name, False, f"has other tensors: {odd[0]} is there {'then' if odd[0] in then else 'now'} alone"
        )
    largest, where, differ = 0.0, "", 0
    for tensor, value in then.items():
        other = now[tensor]
        if value.shape != other.shape or value.dtype != other.dtype:
            return Compared(name, False, f"{tensor} has another shape or type", where=tensor)
        if torch.equal(_bits(value), _bits(other)):
            continue
        differ += 1
        one, two = value.double(), other.double()
        same = (one == two) | (one.isnan() & two.isnan())
        gap = (one - two).abs().nan_to_num(math.inf, math.inf).masked_fill(same, 0.0).max().item()
        if gap > largest or not where:
            largest, where = gap, tensor
    if not differ:
        return Compared(name, True, "the same tensors")
    said = f"{differ} of {len(then)} tensors differ, by {largest:.2g} at most ({where})"
    return Compared(name, False, said, largest, where)


def _bits(value: torch.Tensor) -> torch.Tensor:
    return value.contiguous().flatten().view(torch.uint8)


def _values(name: str, then: Sequence[Any], now: Sequence[Any], unit: str = "") -> Compared:
    found = Compared(name, True)
    if len(then) != len(now):
        found.same, found.said = False, f"{len(then)} lines then, {len(now)} now"
    first = ""
    for number, (a, b) in enumerate(zip(then, now, strict=False), start=1):
        for path, one, other in _differing(a, b, "", found):
            at = f"{unit} {number}, {path}" if unit else path
            first = first or at
            if _is_number(one) and _is_number(other):
                gap = abs(one - other)
                if found.largest is None or not gap <= found.largest:
                    found.largest, found.where = gap if math.isfinite(gap) else math.inf, at
    if first:
        by = "" if found.largest is None else f"; by {found.largest:.2g} at most ({found.where})"
        lines = "" if len(then) == len(now) else f"{found.said}; "
        found.same, found.said = False, f"{lines}differs first at {first}{by}"
    return found


def _differing(then: Any, now: Any, path: str, found: Compared) -> Iterator[tuple[str, Any, Any]]:
    """Paths of values that are not the same. Notes in ``found`` what left its interval on the way."""
    if path in OF_SCORER:
        return
    if isinstance(then, dict) and isinstance(now, dict):
        _look_at_interval(then, now, path, found)
        for key in dict.fromkeys([*then, *now]):
            if key not in LEFT_OUT:
                yield from _differing(then.get(key), now.get(key), f"{path}/{key}".lstrip("/"), found)
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for i, (one, other) in enumerate(zip(then, now, strict=True)):
            yield from _differing(one, other, f"{path}/{i}".lstrip("/"), found)
    elif repr(then) != repr(now):  # nan is nan, and a zero with another sign is another
        yield path or "the whole", then, now


def _look_at_interval(then: dict[str, Any], now: dict[str, Any], path: str, found: Compared) -> None:
    what = " ".join(str(then[key]) for key in ("group", "metric", "arm", "against") if key in then) or path
    if "verdict" in then and then["verdict"] != now.get("verdict"):
        found.outside.append(f"{what} was {then['verdict']} then and is {now.get('verdict')} now")
    low, high, value = (then.get("low"), then.get("high"), now.get("value"))
    if not (_is_number(low) and _is_number(high) and _is_number(value)):
        return
    found.intervals += 1
    if not low <= value <= high:
        found.outside.append(f"{what} is {value:.4g} now, outside of [{low:.4g}, {high:.4g}] then")


def _conclude(found: Compared, then: Path, now: Path) -> None:
    """Is one of the two better on the same examples? Then the repetition found something else."""
    benchmark = BENCHMARKS[then.stem]
    try:
        runs = {"then": read_records(then.parent, [then.stem])[then.stem]}
        runs["now"] = read_records(now.parent, [now.stem])[now.stem]
        differences = paired(runs, benchmark)
    except ValueError as error:
        found.outside.append(f"the records cannot be compared: {error}")
        return
    for one in differences:
        found.intervals += 1
        if one.estimate.resolved:
            e = one.estimate
            found.outside.append(
                f"{benchmark.name}, {one.group} {one.metric}: then − now is {100 * e.value:+.2f} points "
                f"[{100 * e.low:+.2f}, {100 * e.high:+.2f}]"
            )


def _read(file: Path, lines: bool) -> list[Any]:
    return [one for _, one in json_lines(file, DAMAGED)] if lines else [read_json(file, DAMAGED)]


def _data(name: str, then: Path, now: Path) -> Compared:
    """The hashes of what two runs learned from; their configurations are compared before the new one starts."""
    recorded: list[Any] = [read_environment(file).get("data") for file in (then, now)]
    if None in recorded:
        return Compared(name, True, "hashes of the data were not recorded")
    a, b = ({key: data[key] for key in data if key != "configuration"} for data in recorded)
    found = _values(name, [a], [b])
    found.said = "the same hashes of data" if found.same else found.said
    return found


def _is_number(value: Any) -> TypeGuard[float]:
    """Whether it can be reckoned with: whole numbers of a thousand digits cannot."""
    return isinstance(value, float) or (type(value) is int and value.bit_length() < 1000)
