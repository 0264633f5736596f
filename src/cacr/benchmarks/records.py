"""Records on disk: a line of JSON per example, and beside them what was measured with what.

OUT/scenes.jsonl      one record per example: all tables can be made again from them
OUT/scenes.json       the benchmark's statement, the scorer, versions, n

Both are strict JSON (RFC 8259): a match that is nan is written as null and read back as nan, an infinite one is the
largest float of its sign, so that the order of matches is kept.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cacr._files import write_text_whole
from cacr._json import parse_json, read_object
from cacr._messages import shortly
from cacr.benchmarks.benchmark import Benchmark, Options, Record, table
from cacr.data import Scorer
from cacr.data.fingerprint import describe

LARGEST = sys.float_info.max
DIRECTIONS = ("caption to image", "image to caption")
ANSWERS = ([[0, 1], [1, 0]], [[1, 0], [0, 1]])
"""Right answers per question and picture: they differ between questions and between pictures."""


def write_records(
    out: Path,
    benchmark: Benchmark,
    records: Sequence[Record],
    scorer: Scorer,
    environment: dict[str, Any],
    options: Options | None = None,
    version: str = "",
    notes: Sequence[str] = (),
) -> None:
    """Write the records of one benchmark; existing ones are not overwritten.

    The .json file is written before the .jsonl: where there are records, what they were measured with is there too.

    Raises:
        FileExistsError: The folder already holds records of this benchmark.
    """
    path = out / f"{benchmark.name}.jsonl"
    if path.exists():
        raise FileExistsError(f"{path} exists and is not overwritten; give another folder")
    out.mkdir(parents=True, exist_ok=True)
    stated = ("name", "asks", "paper", "licence", "size", "ties", "chance_is", "cautions")
    options = options or Options()
    about = {
        "benchmark": {name: getattr(benchmark, name) for name in stated},
        "version": version,
        "version_is": benchmark.versions.get(version, "not a version that is known here"),
        "notes": list(notes),
        "scorer": describe(scorer),
        "options": options.to_json(),
        "stores": stores_of(options),
        "n": len(records),
        "table": [row.to_json() for row in table(benchmark, records)],
        "environment": environment,
    }
    write_text_whole(out / f"{benchmark.name}.json", strict_json(about, indent=1) + "\n")
    write_text_whole(path, "".join(strict_json(record) + "\n" for record in records))


def strict_json(value: Any, indent: int | None = None) -> str:
    """JSON that every reader reads: nan as null, infinities as the largest floats.

    Examples:
        >>> strict_json({"match": [[float("nan")], [float("-inf")]]})
        '{"match": [[null], [-1.7976931348623157e+308]]}'
    """
    try:
        return json.dumps(value, indent=indent, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else math.copysign(LARGEST, value)
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value


def stores_of(options: Options) -> dict[str, Any]:
    """What tells whether region features are the same as before: size and time of change, of a folder a hash of all."""
    if not isinstance(options.features, str | os.PathLike):
        return {}
    path = Path(options.features)
    if not path.is_dir():
        return {"features": _seen(path)} if path.is_file() else {}
    files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    seen = [[file.relative_to(path).as_posix(), *_seen(file)] for file in files if file.name != "lock.mdb"]
    return {"features": hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:16]}


def _seen(file: Path) -> list[int]:
    stat = file.stat()
    return [stat.st_size, stat.st_mtime_ns]


def read_about(folder: Path, name: str) -> dict[str, Any]:
    """What was measured with what, as `write_records` wrote it; empty where that file is not there.

    Raises:
        ValueError: The file is no JSON object, or a value in it is of another type than `write_records` writes.
    """
    path = folder / f"{name}.json"
    if not path.is_file():
        return {}
    about = read_object(path, "measure again")
    for key, (fits, expected) in ABOUT.items():
        if key in about and not fits(about[key]):
            raise ValueError(f"{path}: {key} is {shortly(about[key])}; expected {expected}: measure again")
    fingerprint = about.get("scorer", {}).get("fingerprint", [])
    if not isinstance(fingerprint, list) or not all(one is None or _is_number(one) for one in fingerprint):
        raise ValueError(
            f"{path}: fingerprint is {shortly(fingerprint)}; expected a list of numbers: measure again"
        )
    return about


def read_records(folder: Path, names: Sequence[str] | None = None) -> dict[str, list[Record]]:
    """Records by benchmark, each checked; a match that is null becomes nan.

    Args:
        folder: Made by `cacr eval`.
        names: Only these benchmarks; all that are there if None.

    Raises:
        FileNotFoundError: No records there.
        ValueError: An empty file, or a line that is no record of its benchmark, named by file and number.
    """
    files = sorted(file for file in folder.glob("*.jsonl") if file.is_file())
    if names is not None:
        files = [file for file in files if file.stem in names]
    if not files:
        raise FileNotFoundError(f"no records (*.jsonl) in {folder}; expected a folder made by `cacr eval`")
    return {path.stem: _read(path) for path in files}


def _read(path: Path) -> list[Record]:
    from cacr.benchmarks import BENCHMARKS

    benchmark = BENCHMARKS.get(path.stem)
    content = path.read_bytes()
    try:
        lines = content.decode("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        number = 1 + content.count(b"\n", 0, error.start)
        raise ValueError(f"{path}, line {number} is no UTF-8 text ({error}); measure again") from error
    if not content.strip():
        raise ValueError(f"{path} is empty; expected a record on each line: measure again")
    records: list[Record] = []
    line_of: dict[Any, int] = {}
    shape = None
    for number, line in enumerate(lines, start=1):
        record = parse_json(line, f"{path}, line {number}", "measure again", "no record")
        try:
            check_record(record, benchmark)
            key = (record.get("direction"), record["example"])
            if line_of.setdefault(key, number) != number:
                raise ValueError(f"is of the example {key[1]} again, as line {line_of[key]}")
            if benchmark is not None and benchmark.kind != "first caption" and "match" in record:
                own = (len(record["match"]), len(record["match"][0]))
                shape = shape or own
                if own != shape:
                    raise ValueError(f"has {own} captions and pictures; expected {shape}, as on line 1")
        except ValueError as error:
            raise ValueError(f"{path}, line {number} {error}; measure again") from error
        records.append(record)
    return records


def check_record(record: Any, benchmark: Benchmark | None = None) -> None:
    """Check one record as read from JSON, and make the null of its matches nan.

    Args:
        record: One line's value; its matches become floats in place.
        benchmark: Whose record it is; if None, only what is there is checked.

    Raises:
        ValueError: What is wrong with it, as the end of a sentence: "has no match".
    """
    if not isinstance(record, dict):
        raise ValueError(f"is {shortly(record)}; expected a JSON object")
    needed = {"example"} | (benchmark.needs if benchmark else frozenset())
    if missing := needed - record.keys():
        raise ValueError(f"has no {', '.join(sorted(missing))}")
    for key in record.keys() & FIELDS.keys():
        fits, expected = FIELDS[key]
        if not fits(record[key]):
            raise ValueError(f"has the {key} {shortly(record[key])}; expected {expected}")
    if record.get("threshold", 0) is None:
        record["threshold"] = math.nan
    if "match" in record:
        match = record["match"] = as_match(record["match"])
        fits, expected = SHAPES.get(benchmark.kind if benchmark else None, (lambda match: True, ""))
        if not fits(match):
            raise ValueError(f"has the match {shortly(match)}; expected {expected}")
        if "answers" in record and (len(match), len(match[0])) != (4, 2):
            raise ValueError(f"has the match {shortly(match)}; expected 4 answers with 2 pictures")
    pool, rank, own = record.get("pool", math.inf), record.get("rank", 1), record.get("own", 1)
    if rank > pool:
        raise ValueError(f"has rank {rank} in a pool of {pool}; expected no more than that")
    if own >= pool:
        raise ValueError(f"has own {own} in a pool of {pool}; expected less: an answer that is wrong too")


def as_match(value: Any) -> list[list[float]]:
    """``match`` as floats, null as nan. Raises ValueError if it is no rectangle of numbers and null."""
    rows: list[Any] = value if isinstance(value, list) and value else [[]]
    width = len(rows[0]) if isinstance(rows[0], list) else 0
    if not width or not all(isinstance(row, list) and len(row) == width for row in rows):
        raise ValueError(f"has the match {shortly(value)}; expected a list of equally long lists of numbers")
    if not all(one is None or _is_number(one) for row in rows for one in row):
        raise ValueError(f"has the match {shortly(value)}; expected numbers or null in it")
    return [[math.nan if one is None else float(one) for one in row] for row in rows]


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) <= LARGEST)


def _is_count(value: Any) -> bool:
    return type(value) is int and 1 <= value < 2**53


def _are_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_id(value: Any) -> bool:
    return type(value) is str or (type(value) is int and abs(value) < 2**53)


def _are_answers(value: Any) -> bool:
    return value in ANSWERS and all(type(one) is int for row in value for one in row)


Check = tuple[Callable[[Any], bool], str]
"""Whether a value fits, and what was expected."""

FIELDS: dict[str, Check] = {
    "example": (_is_id, "a name or a whole number"),
    "cluster": (_is_id, "a name or a whole number"),
    "tags": (_are_strings, "a list of names"),
    **dict.fromkeys(("whole_pair", "whole_set"), (lambda value: type(value) is bool, "true or false")),
    "preposition": (lambda value: isinstance(value, str), "a word"),
    "label": (lambda value: type(value) in (int, bool) and value in (0, 1), "0 or 1"),
    "direction": (lambda value: value in DIRECTIONS, " or ".join(DIRECTIONS)),
    "answers": (_are_answers, " or ".join(map(str, ANSWERS))),
    "threshold": (lambda value: value is None or _is_number(value), "a number"),
    **dict.fromkeys(("rank", "pool", "own"), (_is_count, "a whole number, 1 or more")),
}
SHAPES: dict[str | None, Check] = {
    "first caption": (lambda match: len(match) > 1, "two captions or more"),
    "two by two": (lambda match: len(match) == len(match[0]) == 2, "two captions with two pictures"),
    "labelled": (lambda match: len(match) == len(match[0]) == 1, "one caption with one picture"),
}
"""By the kind of the benchmark."""
_OBJECT: Check = (lambda value: isinstance(value, dict), "an object")
_TEXT: Check = (lambda value: isinstance(value, str), "text")
ABOUT: dict[str, Check] = {
    **dict.fromkeys(("benchmark", "scorer", "options", "stores", "environment"), _OBJECT),
    **dict.fromkeys(("version", "version_is"), _TEXT),
    "notes": (_are_strings, "a list of sentences"),
    "n": (_is_count, "a whole number, 1 or more"),
    "table": (
        lambda value: isinstance(value, list) and all(isinstance(row, dict) for row in value),
        "a list of objects",
    ),
}
