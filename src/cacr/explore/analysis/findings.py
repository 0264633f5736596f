"""The head of analysis.md: what the intervals of the last layer say of the four questions, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cacr.explore.analysis.measures import MEASURES, WAYS
from cacr.explore.analysis.report_scores import by_arm, who
from cacr.explore.analysis.tables import Row, number, verdict

MOST = 8
"""Lines, at most."""
COMPARED = {
    "argmax_lv": "argmax of words",
    "soft_less_flat_language": "soft target less uniform among words",
    "cosine_release_language": "cosine of CACR with flatness among words",
}
"""Measures whose differences are told here, beside that of the group score."""


def findings(found: Mapping[str, Any]) -> list[str]:
    """A heading and a list: of the first arm, and how the others differ from it, in the last layer.

    Args:
        found: What `summarize` gives.
    """
    arms = list(dict.fromkeys(row["arm"] for row in found["means"]))
    first = [row for row in found["means"] if row["arm"] == arms[0] and row["head"] == "mean"]
    layer = max(row["layer"] for row in first)
    means = {row["measure"]: row for row in first if row["layer"] == layer}
    lines = [*_argmax(means), *_nearer(means), *_flatter(means), *_entropy(found, arms[0], layer)]
    lines = [f"{arms[0]}: {line}" for line in lines]
    others = [line for arm in arms[1:] if (line := _other(found, arm))]
    room = MOST - len(lines)
    if len(others) > room:
        others = [*others[: room - 1], f"{len(others) - room + 1} more models: see the last table."]
    said = f"Layer {layer} (the last one of {arms[0]} that was measured), mean over heads:"
    return ["## What it found", said, "\n".join(f"- {line}" for line in [*lines, *others])]


def _argmax(means: Mapping[str, Row]) -> list[str]:
    row = means.get("argmax_lv_over_constant")
    if row is None:
        return ["the truth of words and regions is not known, so the argmax was not judged."]
    against = f"of the best constant region ({_number(means['constant_lv'], 'constant_lv')})"
    by = f"difference {_number(row, 'argmax_lv_over_constant')}, {_n(row)}: {_said(row)}"
    return [f"argmax of words {_number(means['argmax_lv'], 'argmax_lv')}, that {against}; {by}."]


def _nearer(means: Mapping[str, Row]) -> list[str]:
    words = {"below": "resolved (nearer than uniform)", "above": "resolved (farther than uniform)"}
    told = []
    for way, among in WAYS.items():
        name = f"soft_less_flat_{way}"
        if (row := means.get(name)) is not None:
            said = words.get(verdict(row), verdict(row))
            told.append(f"{among} {_number(row, name)}, {_n(row)}: {said}")
    return [f"distance from the soft target less that from uniform, nats: {'; '.join(told)}."]


def _flatter(means: Mapping[str, Row]) -> list[str]:
    told = []
    for way, among in WAYS.items():
        name = f"cosine_release_{way}"
        if (row := means.get(name)) is not None:
            told.append(f"{among} {_number(row, name)}, {_n(row)}: {_said(row)}")
    return [f"cosine of the gradient of CACR (release) with that of flatness: {'; '.join(told)}."]


def _entropy(found: Mapping[str, Any], arm: str, layer: int) -> list[str]:
    wanted = {"arm": arm, "group": "all", "measure": "entropy_lv", "layer": layer, "what": "spearman_soft"}
    rows = [row for row in found["correlations"] if all(row[key] == value for key, value in wanted.items())]
    if not rows:
        return ["these data have no score to compare the entropy with."]
    shown = by_arm(rows)
    told = [
        f"{who(row) + ' ' if len(shown) > 1 else ''}{number(row, 'r')}, {_n(row)}: {_said(row)}"
        for row in shown
    ]
    return [f"Spearman of the entropy of argmax indices (S_LV) with the soft score: {'; '.join(told)}."]


def _other(found: Mapping[str, Any], arm: str) -> str:
    rows: Sequence[Row] = [row for row in found["differences"] if row["arm"] == arm]
    layers = [row["layer"] for row in rows if "layer" in row]
    told = []
    for row in rows:
        name = f"{row['score']} score" if "score" in row else row["measure"]
        if name == "group score":
            told.append((-1, f"group score {number(row, 'difference')}, {_n(row)}: {_said(row)}"))
        elif name in COMPARED and row["layer"] == max(layers):
            said = f"{COMPARED[name]} {_number(row, name, less=True)}, {_n(row)}: {_said(row)}"
            told.append((list(COMPARED).index(name), said))
    if not told:
        return ""
    where = " (" + (f"layer {max(layers)}, " if layers else "") + f"{rows[0]['paired']})"
    return f"{arm} less {rows[0]['less']}{where}: {'; '.join(said for _, said in sorted(told))}."


def _number(row: Row, measure: str, less: bool = False) -> str:
    unit = MEASURES[measure].unit
    return number(row, "difference" if less and unit == "share" else unit)


def _n(row: Row) -> str:
    return f"n = {row['n']}" + (f", {row['seeds']} seeds" if row["seeds"] > 1 else "")


def _said(row: Row) -> str:
    said = verdict(row)
    return f"resolved ({said} 0)" if said in ("above", "below") else said
