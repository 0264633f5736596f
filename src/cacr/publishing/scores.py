"""What evaluations say of a model, as text of a card: every number with its n and interval."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cacr.benchmarks import BENCHMARKS, Row, table
from cacr.benchmarks.records import read_about, read_records

PLACES = ("out", "data", "features", "images", "model")
"""Options that name a file or folder."""


@dataclass(frozen=True)
class Measured:
    """One benchmark of one evaluation."""

    name: str
    on: str
    """With which options."""
    rows: list[Row]
    version: str
    """Of the benchmark's data."""
    n: int
    """Records."""


def scores(folders: list[Path]) -> list[Measured]:
    """What is in the folders that `cacr eval` made.

    Raises:
        ValueError: Records are broken.
    """
    found = []
    for folder in folders:
        for name, records in read_records(folder).items():
            if name in BENCHMARKS:
                about = read_about(folder, name)
                rows = table(BENCHMARKS[name], records)
                found.append(
                    Measured(name, _measured_on(about), rows, about.get("version", ""), len(records))
                )
    return found


def score_text(measured: list[Measured]) -> str:
    """The table, and what a reader of its numbers must know."""
    if not measured:
        return "Not measured yet: `cacr eval` writes its records into the model's folder, and the card shows them."
    lines = [
        "| benchmark | measured on | group | metric | % [95 % interval] | n | chance % |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in measured:
        for row in one.rows:
            e = row.estimate
            interval = f"[{100 * e.low:.1f}, {100 * e.high:.1f}]" if e.low == e.low else "[no interval]"
            values = f"{100 * e.value:.1f} {interval} | {e.n} | {100 * row.chance:.1f}"
            lines.append(f"| {one.name} | {one.on} | {row.group} | {row.metric} | {values} |")
    lines += ["", "One seed: the intervals are over examples, not over runs."]
    for name in dict.fromkeys(one.name for one in measured):
        lines += ["", *(f"- {name}: {caution}" for caution in BENCHMARKS[name].cautions)]
    return "\n".join(lines).strip()


def without_folders(value: str | list[str]) -> str:
    """Names of files without where they lie on somebody's machine; addresses of the hub stay whole."""
    values = [value] if isinstance(value, str) else value
    return " and ".join(one if one.startswith("hf://") else Path(one).name for one in values)


def _measured_on(about: dict) -> str:
    if not about:
        return "not said"
    options = about.get("options", {})
    named = {name: without_folders(value) if name in PLACES else value for name, value in options.items()}
    return ", ".join(f"{name} {value}" for name, value in named.items()) or "all of it"
