"""analysis.md: what was found in a few lines, then a table a question with what its intervals say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cacr.explore.analysis import wording
from cacr.explore.analysis.findings import findings
from cacr.explore.analysis.measures import MEASURES
from cacr.explore.analysis.report_scores import by_arm, entropy, scores, who
from cacr.explore.analysis.tables import Row, heads_table, number, resolved, table, verdict

BLOCKS = {"lv": "words over regions (S_LV)", "vl": "regions over words (S_VL)"}
WAYS = {"language": "among words (language)", "vision": "among regions (vision)"}


def report(found: Mapping[str, Any]) -> str:
    """The analysis as Markdown.

    Args:
        found: What `summarize` gives, with "data" (a sentence) and "notes" (sentences).
    """
    parts = [
        "# Alignment analysis",
        found["data"],
        *findings(found),
        "## How to read it",
        *found["notes"],
        wording.INTERVALS,
        *_alignment(found),
        *_targets(found),
        *_flatness(found),
        *entropy(found),
        *scores(found),
        *_differences(found),
        "## What is measured",
        "\n".join(f"- `{name}` ({one.unit}): {one.says}." for name, one in MEASURES.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _means(found: Mapping[str, Any]) -> dict[tuple[str, str, int], Row]:
    return {
        (row["arm"], row["measure"], row["layer"]): row for row in found["means"] if row["head"] == "mean"
    }


def _places(found: Mapping[str, Any]) -> list[tuple[str, int]]:
    """(arm, layer), in order."""
    return list(dict.fromkeys((row["arm"], row["layer"]) for row in found["means"]))


def _tabled(
    found: Mapping[str, Any],
    columns: Mapping[str, str],
    ending: str,
    says: Callable[[dict[str, Row]], str] | None,
) -> str:
    """Arms and layers down, measures across, n, and a verdict; empty where nothing was measured."""
    means, rows = _means(found), []
    for arm, layer in _places(found):
        own = {name: means.get((arm, name.replace("*", ending), layer)) for name in columns}
        if any(row is None for row in own.values()):
            continue
        there = {name: row for name, row in own.items() if row is not None}
        first = next(iter(there.values()))
        cells = [number(row, MEASURES[name.replace("*", ending)].unit) for name, row in there.items()]
        rows.append([arm, str(layer), *cells, f"{first['n']} / {first['clusters']} / {first['seeds']}"])
        if says is not None:
            rows[-1].append(says(there))
    head = [
        "model",
        "layer",
        *columns.values(),
        "n / clusters / seeds",
        *(["verdict"] if says is not None else []),
    ]
    return table(head, rows) if rows else ""


def _alignment(found: Mapping[str, Any]) -> list[str]:
    parts = []
    for cross, block in BLOCKS.items():
        hard = _tabled(
            found,
            {
                "argmax_*": "argmax",
                "chance_*": "chance",
                "favorite_*": "favorite",
                "constant_*": "best constant",
                "argmax_*_over_chance": "over chance",
                "argmax_*_over_favorite": "over favorite",
                "argmax_*_over_constant": "over constant",
            },
            cross,
            lambda own: f"over constant: {resolved(own['argmax_*_over_constant'])}",
        )
        soft = _tabled(
            found,
            {
                "soft_*": "attention on true",
                "chance_*": "chance",
                "favorite_soft_*": "mean attention's",
                "soft_*_over_chance": "over chance",
                "soft_*_over_favorite": "over mean attention",
            },
            cross,
            lambda own: f"over mean attention: {resolved(own['soft_*_over_favorite'])}",
        )
        if hard:
            parts += [f"## Does the argmax find what is meant: {block}?", wording.ARGMAX, hard]
            parts += [f"## How much attention lies on what is meant: {block}?", wording.SOFT, soft]
            if heads := heads_table(found, f"argmax_{cross}"):
                parts += [f"## Which head's argmax finds it: {block}?", wording.HEADS, heads]
    return parts or [
        "## Does attention find what is meant?",
        "The truth is not known for these data: not measured.",
    ]


def _targets(found: Mapping[str, Any]) -> list[str]:
    parts = []
    for way, among in WAYS.items():
        its = _tabled(
            found,
            {
                "soft_*": "from soft target",
                "hard_*": "from hard target",
                "flat_*": "from uniform",
                "soft_less_flat_*": "soft − uniform",
                "hard_less_flat_*": "hard − uniform",
                "soft_less_hard_*": "soft − hard",
            },
            way,
            _nearest,
        )
        if its:
            parts += [f"## How far is attention {among} from its targets?", wording.TARGETS, its]
            losses = _tabled(
                found,
                {
                    "cacr_release_*": "CACR (release)",
                    "soft_*": "CACR (rows): from soft target",
                    "iais_*": "IAIS (singular)",
                },
                way,
                None,
            )
            parts += [f"The losses as they are trained, nats, {among}:", losses]
    return parts


def _nearest(own: Mapping[str, Row]) -> str:
    words = {"below": "nearer than uniform", "above": "farther than uniform"}
    return "; ".join(
        f"{name}: {words.get(verdict(own[f'{name}_less_flat_*']), verdict(own[f'{name}_less_flat_*']))}"
        for name in ("soft", "hard")
    )


def _flatness(found: Mapping[str, Any]) -> list[str]:
    parts = []
    for way, among in WAYS.items():
        its = _tabled(
            found,
            {
                "soft_flat_*": "soft target from uniform",
                "hard_flat_*": "hard target from uniform",
                "flat_*": "own from uniform",
                "cosine_soft_*": "cosine, soft",
                "cosine_release_*": "cosine, CACR (release)",
                "cosine_hard_*": "cosine, hard",
                "cosine_iais_*": "cosine, IAIS",
            },
            way,
            lambda own: f"flatter target: {_flatter(own)}",
        )
        if not its:
            continue
        rows = by_arm([row for row in found["explained"] if row["direction"] == way])
        parts += [f"## Is the regularizer more than a flatness penalty {among}?", wording.FLATNESS, its]
        parts += [
            wording.EXPLAINED,
            table(
                ["model", "layer", "target", "r²", "ratio", "rows / clusters"],
                [
                    [
                        who(one),
                        str(one["layer"]),
                        one["target"],
                        number(one, "r"),
                        number(ratio, "r"),
                        f"{one['n']} / {one['clusters']}",
                    ]
                    for one, ratio in _pairs_of(rows)
                ],
            ),
        ]
    return parts


def _flatter(own: Mapping[str, Row]) -> str:
    soft, hard = own["soft_flat_*"], own["hard_flat_*"]
    if None in (soft["low"], hard["low"]):
        return "no interval"
    if soft["high"] < hard["low"]:
        return "the soft one"
    return "the hard one" if hard["high"] < soft["low"] else "not resolved"


def _pairs_of(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    key = lambda row: (row["arm"], row["model"], row["layer"], row["target"])
    ratios = {key(row): row for row in rows if row["what"] == "ratio"}
    return [(row, ratios[key(row)]) for row in rows if row["what"] == "r2"]


TOLD = (
    "argmax_lv", "soft_lv", "argmax_vl", "soft_vl", "entropy_lv", "entropy_vl",
    *(f"{name}_{way}" for way in WAYS for name in ("soft", "hard", "flat", "soft_flat")),
)  # fmt: skip


def _differences(found: Mapping[str, Any]) -> list[str]:
    rows = [row for row in found["differences"] if "score" in row or row["measure"] in TOLD]
    if not rows:
        return []
    lines = []
    for row in rows:
        score = row.get("score")
        unit = {"group": "difference", "soft": "match"}.get(score or "") or MEASURES[row["measure"]].unit
        unit = "difference" if unit == "share" else unit
        what = f"{score} score" if score else row["measure"]
        lines.append(
            [row["arm"], row["less"], what, str(row.get("layer", "")), number(row, unit),
             f"{row['n']} / {row['clusters']} / {row['seeds']}", resolved(row)]
        )  # fmt: skip
    head = ["model", "less", "measure", "layer", "difference", "n / clusters / seeds", "verdict"]
    return [
        "## What is other than in the first model?",
        wording.DIFFERENCES,
        table(head, lines),
    ]
