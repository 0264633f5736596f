"""What analysis.md says of scores: whether entropy, alignment and congruence go with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cacr.explore.analysis import wording
from cacr.explore.analysis.tables import Row, number, resolved, table, verdict


def who(row: Row) -> str:
    """The model that a row is of, or its arm."""
    return str(row["model"] or f"{row['arm']} (mean of {row['seeds']} seeds)")


def by_arm(rows: Sequence[Row]) -> list[Row]:
    """Without the single models of arms whose mean over seeds is there."""
    pooled = {row["arm"] for row in rows if row["model"] is None}
    return [row for row in rows if row["model"] is None or row["arm"] not in pooled]


def entropy(found: Mapping[str, Any]) -> list[str]:
    """Section 5.2's question, in paragraphs: does the entropy of argmax indices go with the score?"""
    head = "## Does the entropy of argmax indices go with the score (section 5.2)?"
    if not found["correlations"]:
        return [head, "These data have no two captions for two pictures, so there is no score: not measured."]
    return [head, wording.ENTROPY, _correlated(by_arm(found["correlations"]), ("entropy_lv", "entropy_vl"))]


def _correlated(found: Sequence[Row], names: Sequence[str]) -> str:
    rows: dict[tuple[Any, ...], dict[str, Row]] = {}
    within: dict[tuple[Any, ...], list[str]] = {}
    for row in found:
        key = (who(row), row["measure"], row["layer"])
        if row["measure"] not in names:
            continue
        if row["group"] == "all":
            rows.setdefault(key, {})[row["what"]] = row
        elif row["what"] == "spearman_soft":
            told = f"within {row['group']} (n = {row['n']}): Spearman {number(row, 'r')}, {resolved(row)}"
            within.setdefault(key, []).append(told)
    lines = []
    for (model, measure, layer), its in rows.items():
        said = [
            resolved(its["spearman_soft"]),
            _auc(its["auc_group"]),
            *within.get((model, measure, layer), ()),
        ]
        cells = [number(its[what], "r") for what in ("spearman_soft", "auc_group", "biserial_group")]
        lines.append([model, measure, str(layer), *cells, str(its["auc_group"]["n"]), "; ".join(said)])
    head = [
        "model",
        "measure",
        "layer",
        "Spearman, soft score",
        "AUC, group",
        "point-biserial, group",
        "n",
        "verdict",
    ]
    return table(head, lines)


def _auc(row: Row) -> str:
    said = verdict(row, at=0.5)
    return f"group: {'resolved (' + said + ')' if said in ('above', 'below') else said}"


def scores(found: Mapping[str, Any]) -> list[str]:
    """The scores, and how accuracies and distances go with them, in paragraphs."""
    if not found["correlations"]:
        return []
    names = [
        name
        for name in dict.fromkeys(row["measure"] for row in found["correlations"])
        if not name.startswith("entropy")
    ]
    units = {"soft": "match", "group": "share"}
    scored = [
        [row["arm"], row["score"], number(row, units[row["score"]]), str(row["n"]), str(row["seeds"])]
        for row in found["scores"]
    ]
    return [
        "## Do alignment and congruence go with the score?",
        wording.SCORES,
        table(["model", "score", "value", "n", "seeds"], scored),
        _correlated(by_arm(found["correlations"]), names),
    ]
