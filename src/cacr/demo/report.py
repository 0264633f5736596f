"""From records to a report: table, paired differences, figures, and the commands that repeat it.

OUT/README.md      what was done, what came out, how to repeat it      OUT/results.json   the same for machines
OUT/table.md       the table alone                                     OUT/figures/       scores, curves, attention
OUT/arms/          a run folder and records per arm and seed
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cacr.benchmarks import BENCHMARKS, Estimate, chance_of, clusters_of, crossed, paired_difference
from cacr.benchmarks.records import read_records
from cacr.data.scenes import SEEDS, SceneCaptions
from cacr.demo.figures import draw_pair
from cacr.demo.run import ARMS, START, DemoConfig, Job
from cacr.demo.start import open_region_scorer
from cacr.explore import curves_plot, scores_plot


@dataclass(frozen=True)
class Measure:
    """A column of the report's table."""

    title: str
    benchmark: str
    group: str
    metric: str


MEASURES = (
    Measure("relation group", "scenes", "relation", "group"),
    Measure("relation pairing", "scenes", "relation", "group match"),
    Measure("attribute group", "scenes", "attribute", "group"),
    Measure("retrieval R@1", "scenes-retrieval", "both directions", "R@1"),
)
BASELINE, CONTROL = "none", "flat"


@dataclass
class Column:
    """The outcomes behind a column of the table."""

    chance: float
    clusters: NDArray[Any]
    """What each example shares with others."""
    arms: dict[str, dict[int, NDArray[np.bool_]]] = field(default_factory=dict)
    """Arm -> seed -> outcome per example."""

    def stack(self, arm: str, seeds: Iterable[int] | None = None) -> NDArray[np.bool_]:
        """[seed, example] of an arm, all its seeds or some."""
        return np.stack([self.arms[arm][seed] for seed in seeds or self.arms[arm]])

    def difference(self, arm: str, other: str) -> Estimate | None:
        """Arm − other over the seeds that both have (the start serves for all); None if they share none."""
        if other not in self.arms:
            return None
        seeds = sorted(self.arms[arm] if other == START else self.arms[arm].keys() & self.arms[other].keys())
        if not seeds:
            return None
        theirs = np.repeat(self.stack(START), len(seeds), 0) if other == START else self.stack(other, seeds)
        return paired_difference(self.stack(arm, seeds), theirs, self.clusters)


def columns_of(jobs: Sequence[Job]) -> dict[str, Column]:
    """Outcomes of the finished jobs, by the title of the measure."""
    found: dict[str, Column] = {}
    for job in jobs:
        records = read_records(job.folder / "records")
        for measure in MEASURES:
            benchmark = BENCHMARKS[measure.benchmark]
            rows = [row for row in records[measure.benchmark] if measure.group in benchmark.groups(row)]
            column = found.setdefault(
                measure.title, Column(chance_of(benchmark, rows, measure.metric), clusters_of(rows))
            )
            column.arms.setdefault(job.arm, {})[job.seed] = benchmark.right(rows)[measure.metric]
    return found


def results(columns: dict[str, Column]) -> dict[str, Any]:
    """Scores of every arm and paired differences, as plain numbers (fractions)."""
    return {
        title: {
            "chance": column.chance,
            "scores": {arm: crossed(column.stack(arm), column.clusters).to_json() for arm in column.arms},
            "difference from none": _differences(column, BASELINE),
            "difference from flat": _differences(column, CONTROL),
            "difference from start": _differences(column, START),
        }
        for title, column in columns.items()
    }


def _differences(column: Column, other: str) -> dict[str, Any]:
    pairs = {arm: column.difference(arm, other) for arm in column.arms if arm not in (other, START)}
    return {arm: _difference(estimate) for arm, estimate in pairs.items() if estimate is not None}


def _difference(estimate: Estimate) -> dict[str, Any]:
    return estimate.to_json() | {"verdict": "resolved" if estimate.resolved else "not resolved"}


def markdown(table: dict[str, Any]) -> str:
    """The report's two tables."""
    arms = list(dict.fromkeys(arm for column in table.values() for arm in column["scores"]))
    titles = list(table)
    lines = ["Scores in percent, mean over seeds, with 95 % intervals.", ""]
    lines += ["| arm | seeds | " + " | ".join(titles) + " |", "|---|---|" + "---|" * len(titles)]
    for arm in arms:
        cells = [score_text(table[title]["scores"].get(arm)) for title in titles]
        seeds = next(c["scores"][arm]["seeds"] for c in table.values() if arm in c["scores"])
        lines.append(f"| {arm} | {'-' if arm == START else seeds} | " + " | ".join(cells) + " |")
    lines.append("| *chance* | | " + " | ".join(_percent(table[title]["chance"]) for title in titles) + " |")
    n = [next(iter(table[title]["scores"].values()))["n"] for title in titles]
    lines.append("| *n examples* | | " + " | ".join(str(value) for value in n) + " |")
    for key, what in (
        ("difference from none", "the same start fine-tuned without an attention loss"),
        ("difference from flat", "the control that only flattens attention"),
        ("difference from start", "the starting model"),
    ):
        rows = list(dict.fromkeys(arm for column in table.values() for arm in column[key]))
        if rows:
            lines += [
                "",
                f"Paired differences from {what}, in points, seed by seed and example by example.",
                "",
            ]
            lines += ["| arm | " + " | ".join(titles) + " |", "|---|" + "---|" * len(titles)]
            lines += [
                f"| {arm} | " + " | ".join(difference_text(table[t][key].get(arm)) for t in titles) + " |"
                for arm in rows
            ]
    return "\n".join(lines) + "\n"


def _percent(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{100 * value:.1f}"


def score_text(score: dict[str, Any] | None) -> str:
    """A score with its interval, in percent."""
    if score is None:
        return "-"
    return f"{_percent(score['value'])} [{_percent(score['low'])}, {_percent(score['high'])}]"


def difference_text(score: dict[str, Any] | None) -> str:
    """A difference with its interval, in points, and "not resolved" where 0 lies inside."""
    if score is None:
        return "-"
    if score["low"] is None:
        return f"{100 * score['value']:+.1f} (no interval: no variation)"
    interval = f"{100 * score['value']:+.1f} [{100 * score['low']:+.1f}, {100 * score['high']:+.1f}]"
    return interval if score["verdict"] == "resolved" else f"{interval} not resolved"


def write_report(config: DemoConfig, jobs: Sequence[Job], planned: int, command: str) -> dict[str, Any]:
    """Write the report of the finished jobs; the results.

    Raises:
        ValueError: No arm has finished.
    """
    out = config.out
    assert out is not None
    if all(job.arm == START for job in jobs):
        raise ValueError(f"no run has finished in {out}, so there is nothing to report; go on with --resume")
    table = results(columns_of(jobs))
    (out / "results.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    (out / "table.md").write_text(markdown(table), encoding="utf-8")
    _figures(out / "figures", table, jobs)
    (out / "README.md").write_text(_readme(config, jobs, planned, command, table), encoding="utf-8")
    return table


def _shown(name: str, caption: str, out: Path) -> str:
    made = (out / "figures" / f"{name}.png").is_file()
    return f"\n{caption}:\n\n![{caption}](figures/{name}.png)\n" if made else ""


def _figures(folder: Path, table: dict[str, Any], jobs: Sequence[Job]) -> None:
    folder.mkdir(exist_ok=True)
    scores = {
        title: {
            arm: tuple(s["value"] if s[k] is None else s[k] for k in ("value", "low", "high"))
            for arm, s in column["scores"].items()
        }
        for title, column in table.items()
    }
    chance = {title: column["chance"] for title, column in table.items()}
    scores_plot(scores, chance, "Mean over seeds with 95 % intervals").savefig(folder / "scores.png", dpi=150)
    curves = _curves(jobs)
    if curves:
        figure = curves_plot(curves, "Seed 0: parts of the loss while fine-tuning", [START, *ARMS])
        figure.savefig(folder / "curves.png", dpi=150)
    scenes = SceneCaptions(SEEDS["dev"], 12)
    index = next(i for i, s in enumerate(scenes.scenes) if s.claim.relation and len(s.things) == 3)
    models = {START: "scenes-start"} | {
        job.arm.replace(" ", "-"): str(job.folder / "run" / "model")
        for job in jobs
        if job.arm != START and job.seed == 0
    }
    for name, model in models.items():
        draw_pair(
            open_region_scorer(model),
            scenes.captions[index],
            scenes.picture(index),
            folder / f"attention-{name}",
        )


def _curves(jobs: Sequence[Job]) -> dict[str, dict[str, tuple[list[float], list[float]]]]:
    titles = {
        "rank": "ranking loss",
        "vision": "attention loss, vision",
        "language": "attention loss, language",
    }
    curves: dict[str, dict[str, tuple[list[float], list[float]]]] = {title: {} for title in titles.values()}
    for job in jobs:
        path = job.folder / "run" / "metrics.jsonl"
        if job.arm == START or job.seed != 0 or not path.is_file():
            continue
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            line["rank"] = (line["rank_image"] + line["rank_text"]) / 2
        for name, title in titles.items():
            if name in lines[0]:
                curves[title][job.arm] = [line["step"] for line in lines], [line[name] for line in lines]
    return {title: arms for title, arms in curves.items() if arms}


def _readme(
    config: DemoConfig, jobs: Sequence[Job], planned: int, command: str, table: dict[str, Any]
) -> str:
    differences = [d for column in table.values() for d in column["difference from none"].values()]
    resolved = sum(d["verdict"] == "resolved" for d in differences)
    partial = ""
    if len(jobs) < planned:
        partial = f"\n**Partial: {len(jobs)} of {planned} runs are done.** Go on with `{command} --resume`.\n"
    album = SEEDS["test"] if config.album is None else config.album
    out = jobs[0].out
    return f"""# Relation alignment in the embedded world
{partial}
A small UNITER that retrieves scenes well and takes "a red square is left of a blue circle" for its mirror image was
fine-tuned for {jobs[0].steps} steps with mined hard negatives, and with each attention loss: none, IAIS (hard
argmax), CACR (the release's reading), CACR rows (normalized by rows) and flat, a control that only flattens attention.

{markdown(table)}
{resolved} of {len(differences)} differences between an attention loss and none are resolved at 95 %, without any
correction for looking at several. *Relation group* and *relation pairing* (GroupMatch, arXiv:2510.07632) are two
metrics with two chance levels. Ties are wrong. The seeds vary the fine-tuning only: start and examples are the same
for all, so the intervals speak of this start and of scenes like these (album {album}), not of other models.

![scores](figures/scores.png)
{_shown("curves", "Losses while fine-tuning", out)}
## Attention

Before, in the last layer: the box each word attends to most in green, other high ones in red.

![start](figures/attention-start/tokens.png)

{_shown("attention-CACR/tokens", "After fine-tuning with CACR (the others are beside it)", out)}
## Repeat it

    {command}

Each folder in `arms/` holds the run (`run/config.toml`, `run/metrics.jsonl`, `run/model`) and one record per example
(`records/`). One arm by itself:

    cacr train arms/CACR-seed-0/run/config.toml --out ANOTHER_FOLDER
    cacr eval ANOTHER_FOLDER/model scenes scenes-retrieval
    cacr rescore arms/CACR-seed-0/records
    cacr compare arms/CACR-seed-0/records arms/none-seed-0/records
"""
