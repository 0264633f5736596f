"""docs/speed.json and the page docs/speed.md, which is written from it alone."""

import json
import string
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.measuring import Bench, Row

FOLDER = Path(__file__).parents[1] / "docs"
NAME = "speed"
INTRO = """\
# Speed and memory

Written by `make bench` (`python -m bench`) from [speed.json](speed.json). One bench: `python -m bench NAME`,
which replaces its rows and keeps the others. The release's own functions: `--release FOLDER`, with a copy of
github.com/KhoomeiK/CACR or github.com/lancopku/IAIS. On a GPU: `--device cuda`. This page again:
`python -m bench --page`.

**Every number is a ratio** A / B of two things measured in one run, in rounds in which each side runs once, in an order
that turns around from round to round; rounds to warm up do not count. *minimum* is the smallest A over the smallest B:
what a quiet machine shows, since nothing makes a job faster than it is. *median* is the median of A / B, round by
round: what this machine did, with whatever else it had to do. Where something was asked for, it holds when both numbers
do. float32, and one thread unless the machine's line says otherwise."""


def read(folder: Path = FOLDER) -> dict[str, Any]:
    """What earlier runs wrote: sections by the name of their bench; empty where there are none."""
    path = folder / f"{NAME}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def merged(
    before: Mapping[str, Any], name: str, bench: Bench, rows: Iterable[Row], device: str, seconds: float
) -> dict[str, Any]:
    """The sections with this bench's rows on this device replaced; all others stay as they are."""
    old = before.get(name, {"rows": [], "seconds": {}})
    kept = [one for one in old["rows"] if one["device"] != device]
    section = {
        "title": bench.title,
        "about": bench.about,
        "columns": list(bench.columns),
        "seconds": old["seconds"] | {device: round(seconds)},
        "rows": sorted([*kept, *(one.as_json() for one in rows)], key=lambda one: one["device"] != "cpu"),
    }
    return {**before, name: section}


def write(sections: Mapping[str, Any], order: Iterable[str], folder: Path = FOLDER) -> None:
    """The JSON, its sections in this order, and the page from it."""
    known = [name for name in order if name in sections]
    ordered = {name: sections[name] for name in [*known, *(n for n in sections if n not in known)]}
    text = json.dumps(ordered, indent=1, ensure_ascii=False)
    (folder / f"{NAME}.json").write_text(text + "\n", encoding="utf-8")
    (folder / f"{NAME}.md").write_text(as_markdown(ordered), encoding="utf-8")


def as_markdown(sections: Mapping[str, Any]) -> str:
    """The page."""
    machines = list(dict.fromkeys(row["machine"] for one in sections.values() for row in one["rows"]))
    letters = dict(zip(machines, string.ascii_uppercase, strict=False))
    named = "\n".join(f"- **{letter}**: {machine}" for machine, letter in letters.items())
    parts = [INTRO, f"Machines:\n\n{named}"]
    for name, section in sections.items():
        took = ", ".join(f"{seconds} s on {device}" for device, seconds in section["seconds"].items())
        parts += [f"## {section['title']}", section["about"], f"`python -m bench {name}`: {took}."]
        parts.append(_table(section, letters))
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(section: Mapping[str, Any], letters: Mapping[str, str]) -> str:
    first, second = section["columns"]
    columns: dict[str, Callable[[Row], str]] = {
        "A / B": lambda row: row.divides,
        "size": lambda row: row.size,
        first: lambda row: number(row.minimum),
        second: lambda row: number(row.median),
        f"warm {first}": lambda row: number(row.warm_minimum),
        f"warm {second}": lambda row: number(row.warm_median),
        "rounds": lambda row: str(row.rounds),
        "asked": _asked,
        "note": lambda row: row.note,
        "machine, date": lambda row: f"{letters.get(row.machine, '-')}, {row.date}",
    }
    rows = [Row(**one) for one in section["rows"]]
    cells = {head: [cell(row) for row in rows] for head, cell in columns.items()}
    cells = {head: column for head, column in cells.items() if any(column)}
    lines = [f"| {' | '.join(cells)} |", "|" + "---|" * len(cells)]
    lines += [f"| {' | '.join(line)} |" for line in zip(*cells.values(), strict=True)]
    return "\n".join(lines)


def _asked(row: Row) -> str:
    if row.holds is None:
        return ""
    asked = f"at least {row.floor:g}" if row.floor is not None else f"at most {row.ceiling:g}"
    return f"{asked}: {'yes' if row.holds else '**no**'}"


def number(value: float | None) -> str:
    """Three digits that say something: of the distance from 1, where it is close."""
    if value is None:
        return ""
    if value != 0 and abs(value) < 0.01:
        return f"{value:.1e}"
    if 0.9 < value < 1.1:
        return f"{value:.3f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
