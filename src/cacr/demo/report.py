"""From records to a report: table, paired differences, figures, and the commands that repeat it.

OUT/README.md      what was done, what came out, how to repeat it      OUT/results.json   the same for machines
OUT/table.md       the table alone                                     OUT/figures/       scores, curves, attention
OUT/arms/          a run folder and records per arm and seed
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cacr._files import write_text_whole
from cacr._json import json_lines
from cacr.data.scenes import SEEDS, SceneCaptions
from cacr.demo.run import ARMS, START, DemoConfig
from cacr.explore import curves_plot, pair_figures, save_figure, save_figures, scores_plot
from cacr.scorers import open_scorer
from cacr.scorers.looking import look
from cacr.study.measures import Column, columns_of, difference_json, difference_text, scores_markdown
from cacr.study.plan import slug
from cacr.study.workers import Job

BASELINE, CONTROL = "none", "flat"


def results(columns: dict[str, Column]) -> dict[str, Any]:
    """Scores of every arm and paired differences, as plain numbers (fractions)."""
    return {
        title: {
            "chance": column.chance,
            "scores": {arm: column.score(arm).to_json() for arm in column.arms},
            "difference from none": _differences(column, BASELINE),
            "difference from flat": _differences(column, CONTROL),
            "difference from start": _differences(column, START),
        }
        for title, column in columns.items()
    }


def _differences(column: Column, other: str) -> dict[str, Any]:
    pairs = {arm: column.difference(arm, other) for arm in column.arms if arm not in (other, START)}
    return {arm: difference_json(estimate) for arm, estimate in pairs.items() if estimate is not None}


def markdown(table: dict[str, Any]) -> str:
    """The report's two tables."""
    titles = list(table)
    lines = scores_markdown(table, [START])
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
    write_text_whole(out / "results.json", json.dumps(table, indent=1) + "\n")
    write_text_whole(out / "table.md", markdown(table))
    write_text_whole(out / "README.md", _readme(config, jobs, planned, command, table))
    _figures(out / "figures", table, jobs)
    return table


def _shown(name: str, caption: str) -> str:
    return f"\n{caption}:\n\n![{caption}](figures/{name}.png)\n"


def _figures(folder: Path, table: dict[str, Any], jobs: Sequence[Job]) -> None:
    scores = {
        title: {
            arm: tuple(s["value"] if s[k] is None else s[k] for k in ("value", "low", "high"))
            for arm, s in column["scores"].items()
        }
        for title, column in table.items()
    }
    chance = {title: column["chance"] for title, column in table.items()}
    title = "Mean over seeds with 95 % intervals"
    save_figure(scores_plot(scores, chance, title), folder / "scores.png", overwrite=True)
    curves = _curves(jobs)
    if curves:
        figure = curves_plot(curves, "Seed 0: parts of the loss while fine-tuning", [START, *ARMS])
        save_figure(figure, folder / "curves.png", overwrite=True)
    scenes = SceneCaptions(SEEDS["dev"], 12)
    index = next(i for i, s in enumerate(scenes.scenes) if s.claim.relation and len(s.things) == 3)
    scorers = {START: open_scorer("scenes-start")} | {
        slug(job.arm): open_scorer(str(job.folder / "run" / "model"), name=job.name)
        for job in jobs
        if job.arm != START and job.seed == 0
    }
    for name, scorer in scorers.items():
        seen = look(scorer, scenes.captions[index], scenes.picture(index), "last", "mean")
        save_figures(pair_figures(seen), folder / f"attention-{name}", overwrite=True)


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
        lines = [line for _, line in json_lines(path)]
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
    after = ""
    if any(job.arm == "CACR" and job.seed == 0 for job in jobs):
        after = _shown("attention-CACR/tokens", "After fine-tuning with CACR (the others are beside it)")
        after += _shown("attention-CACR/relations", "After: the same relations")
    steps = max(job.steps for job in jobs)
    return f"""# Relation alignment in the embedded world
{partial}
A small UNITER that retrieves scenes well and takes "a red square is left of a blue circle" for its mirror image was
fine-tuned for {steps} steps with mined hard negatives, and with each attention loss: none, IAIS (hard
argmax), CACR (the release's reading), CACR rows (normalized by rows) and flat, a control that only flattens attention.

{markdown(table)}
{resolved} of {len(differences)} differences between an attention loss and none are resolved at 95 %, without any
correction for looking at several. *Relation group* and *relation pairing* (GroupMatch, arXiv:2510.07632) are two
metrics with two chance levels. Ties are wrong. The seeds vary the fine-tuning only: start and examples are the same
for all, so the intervals speak of this start and of scenes like these (album {album}), not of other models.

![scores](figures/scores.png)
{_shown("curves", "Losses while fine-tuning") if _curves(jobs) else ""}
## Attention

Before, in the last layer: the box each word attends to most with a whole line, other high ones dashed.

![start](figures/attention-start/tokens.png)
{_shown("attention-start/relations", "Before: the attention among words, and the regions' carried over")}
{after}
Both on one page, word by word and head by head:

    cacr explore arms/CACR-seed-0/run/model --compare scenes-start

## Repeat it

    {command}

Each folder in `arms/` holds the run (`run/config.toml`, `run/metrics.jsonl`, `run/model`) and one record per example
(`records/`). One arm by itself:

    cacr train arms/CACR-seed-0/run/config.toml --out ANOTHER_FOLDER
    cacr eval ANOTHER_FOLDER/model scenes scenes-retrieval
    cacr rescore arms/CACR-seed-0/records
    cacr compare arms/CACR-seed-0/records arms/none-seed-0/records
"""
