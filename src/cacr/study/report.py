"""From the records of a study to its answer: scores, contrasts with Holm's adjustment, figures.

OUT/README.md   the report        OUT/results.json   the same for machines
OUT/tables.md   its tables alone  OUT/figures/       contrasts and scores, as PNG and SVG

Only whole seeds count, and everything is made again from the records at each call.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cacr._files import working_in, write_text_whole
from cacr.benchmarks.power import detectable_from, holm, paired_test
from cacr.explore import save_figures
from cacr.models.shipped import SHIPPED
from cacr.statistics import LEVEL
from cacr.study.figures import arms_plot, contrasts_plot
from cacr.study.measures import (
    MEASURES,
    Column,
    columns_of,
    difference_json,
    difference_text,
    interval_text,
    scores_markdown,
)
from cacr.study.plan import FAMILIES, Contrast, StudyPlan
from cacr.study.run import finished
from cacr.study.workers import Job

ABOUT = {
    "primary": "Primary contrasts",
    "secondary": "Secondary contrasts",
}


def results(plan: StudyPlan, columns: dict[str, Column]) -> dict[str, Any]:
    """Scores of every arm and the planned contrasts, as plain numbers (fractions)."""
    order = [SHIPPED, *plan.starts, *(arm.name for arm in plan.arms)]
    return {
        "primary metric": plan.primary,
        "seeds": sorted(
            {
                seed
                for column in columns.values()
                for arm in column.arms.values()
                for seed in arm
                if seed is not None
            }
        ),
        "measures": {
            title: {
                "chance": column.chance,
                "scores": {arm: column.score(arm).to_json() for arm in order if arm in column.arms},
            }
            for title, column in columns.items()
        },
        "contrasts": {
            family: _family([one for one in plan.contrasts if one.family == family], plan, columns)
            for family in FAMILIES
        },
    }


def _family(
    contrasts: Sequence[Contrast], plan: StudyPlan, columns: dict[str, Column]
) -> list[dict[str, Any]]:
    decides = columns[plan.measure.title]
    rows: list[dict[str, Any]] = []
    for one in contrasts:
        pair, estimate = decides.paired(one.arm, one.against), decides.difference(one.arm, one.against)
        assert pair is not None and estimate is not None  # whole seeds have every arm
        test = paired_test(*pair, decides.clusters)
        others = {
            title: difference_json(found)
            for title, column in columns.items()
            if title != plan.measure.title and (found := column.difference(one.arm, one.against)) is not None
        }
        rows.append(
            {"arm": one.arm, "against": one.against}
            | estimate.to_json()
            | {"p": _number(test.p), "test": test.method}
            | {"detectable": _number(detectable_from(*pair, decides.clusters)), "other measures": others}
        )
    adjusted = holm([math.nan if row["p"] is None else row["p"] for row in rows])
    for row, p in zip(rows, adjusted, strict=True):
        row["adjusted p"] = _number(p)
        row["verdict"] = "resolved" if p < 1 - LEVEL else "not resolved"
    return rows


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def markdown(plan: StudyPlan, found: dict[str, Any]) -> str:
    """The tables of the report."""
    what = plan.measure.title
    lines: list[str] = []
    for family, rows in found["contrasts"].items():
        if not rows:
            continue
        n, seeds = rows[0]["n"], rows[0]["seeds"]
        lines += [
            f"{ABOUT[family]}: difference in {what}, points, paired seed by seed and example by example, with 95 % "
            f"intervals; n = {n} examples x {seeds} seeds. p is adjusted over the {len(rows)} contrasts (Holm).",
            "",
            "| contrast | points | p | adjusted p | | detectable with 80 % power |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {row['arm']} − {row['against']} | {interval_text(row)} | {_p(row['p'])} | {_p(row['adjusted p'])} | "
            f"{row['verdict']} | {_points(row['detectable'])} |"
            for row in rows
        ]
        lines.append("")
    titles = [measure.title for measure in MEASURES if measure.title != what]
    lines += [
        "The same contrasts on the other measures, in points, not adjusted for looking at several and not part of the "
        "answer:",
        "",
        "| contrast | " + " | ".join(titles) + " |",
        "|---|" + "---|" * len(titles),
    ]
    for rows in found["contrasts"].values():
        for row in rows:
            cells = [difference_text(row["other measures"].get(title)) for title in titles]
            lines.append(f"| {row['arm']} − {row['against']} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *scores_markdown(found["measures"], [SHIPPED, *plan.starts])]) + "\n"


def headline(found: dict[str, Any]) -> str:
    """How many of the primary contrasts are resolved, and which."""
    rows = found["contrasts"]["primary"]
    resolved = [row for row in rows if row["verdict"] == "resolved"]
    told = "".join(f"; {row['arm']} − {row['against']}: {interval_text(row)} points" for row in resolved)
    return f"{len(resolved)} of {len(rows)} primary contrasts are resolved after Holm{told}."


def write_report(plan: StudyPlan, done: Sequence[Job], out: Path, command: str) -> dict[str, Any]:
    """Write the report of the whole seeds among the finished jobs; the results.

    Raises:
        BlockingIOError: Another process is at work in the folder.
        ValueError: No seed is whole yet.
    """
    with working_in(out):
        return _write_report(plan, finished(plan, done), out, command)


def _write_report(plan: StudyPlan, jobs: Sequence[Job], out: Path, command: str) -> dict[str, Any]:
    seeds = {job.seed for job in jobs} - {None}
    if not seeds:
        raise ValueError(
            f"no seed has finished in all {len(plan.arms)} arms in {out}, so there is nothing to report; go on with "
            "--resume"
        )
    found = results(plan, columns_of(jobs))
    tables = markdown(plan, found)
    write_text_whole(out / "results.json", json.dumps(found, indent=1) + "\n")
    write_text_whole(out / "tables.md", tables)
    partial = ""
    if len(seeds) < len(plan.seeds):
        partial = (
            f"\n**Partial: {len(seeds)} of {len(plan.seeds)} seeds are done.** The plan's answer is that of all its "
            f"seeds. Go on with `{command} --resume`.\n"
        )
    write_text_whole(out / "README.md", _readme(found, tables, partial, command))
    figures = {
        "contrasts": contrasts_plot(found["contrasts"], plan.measure.title),
        "scores": arms_plot(found["measures"]),
    }
    save_figures(figures, out / "figures", ("png", "svg"), overwrite=True)
    return found


def _readme(found: dict[str, Any], tables: str, partial: str, command: str) -> str:
    return f"""# A study in the embedded world
{partial}
{headline(found)} "Not resolved" says that a difference of this size may come from seeds and examples, and not that
there is none: the last column says what this study would have found in four of five repetitions.

{tables}
![contrasts](figures/contrasts.png)

![scores](figures/scores.png)

## Repeat it

    {command}

`plan.toml` is the plan, written before the run. Each folder in `arms/` holds a run (`run/config.toml`,
`run/metrics.jsonl`, `run/model`) and one record per example (`records/`); `starts/` holds the starting models.
"""


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}" if value < 0.01 else f"{value:.2f}"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
