"""Cells and tables of the report: a value with its interval, what the interval says, rows of Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
"""A number of the analysis with its interval, as analysis.json holds it."""


def number(row: Row | None, unit: str) -> str:
    """A value with its interval."""
    if row is None or row["value"] is None:
        return "undefined"
    scale, digits = (100, 1) if unit in ("share", "difference") else (1, _digits(row))
    digits = _beyond_zero([scale * row[end] for end in ("low", "high") if row["low"] is not None], digits)
    sign = "+" if unit == "difference" else ""
    said = f"{scale * row['value']:{sign}.{digits}f}" + (" %" if unit == "share" else "")
    if row["low"] is None:
        return said
    return said + f" [{scale * row['low']:{sign}.{digits}f}, {scale * row['high']:{sign}.{digits}f}]"


def _digits(row: Row) -> int:
    """Decimals that show the interval's width, three or more."""
    width = None if row["low"] is None else row["high"] - row["low"]
    return 3 if not width else min(9, max(3, 1 - math.floor(math.log10(width))))


def _beyond_zero(bounds: Iterable[float], digits: int) -> int:
    """So many decimals or more, so that no bound is printed as 0 that is not 0; below 1e-12 all is 0."""
    for bound in bounds:
        while digits < 12 and abs(bound) >= 1e-12 and float(f"{bound:.{digits}f}") == 0:
            digits += 1
    return digits


def verdict(row: Row | None, at: float = 0.0) -> str:
    """What an interval says of a value: "above", "below" or "not resolved"."""
    if row is None or row["value"] is None or row["low"] is None:
        return "no interval"
    if row["low"] <= at <= row["high"]:
        return "not resolved"
    return "above" if row["value"] > at else "below"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown; bars inside of cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def resolved(row: Row) -> str:
    """The verdict on a difference from 0 in words."""
    said = verdict(row)
    return f"resolved ({said})" if said in ("above", "below") else said


def heads_table(found: Mapping[str, Any], measure: str) -> str:
    """The best and the worst head of each model and layer in a share; empty where heads were not kept apart."""
    means: dict[tuple[str, int], Row] = {}
    heads: dict[tuple[str, int], list[Row]] = {}
    for row in found["means"]:
        if row["measure"] != measure or row["value"] is None:
            continue
        place = (row["arm"], row["layer"])
        if row["head"] == "mean":
            means[place] = row
        else:
            heads.setdefault(place, []).append(row)
    lines = []
    for (arm, layer), its in heads.items():
        best, worst = (chosen(its, key=lambda row: row["value"]) for chosen in (max, min))
        told = [f"{row['head']}: {number(row, 'share')}" for row in (best, worst)]
        counted = f"{best['n']} / {best['clusters']} / {best['seeds']}"
        lines.append(
            [arm, str(layer), *told, number(means.get((arm, layer)), "share"), str(len(its)), counted]
        )
    head = ["model", "layer", "best head", "worst head", "mean over heads", "heads", "n / clusters / seeds"]
    return table(head, lines) if lines else ""
