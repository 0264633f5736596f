"""``cacr demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from cacr._stopping import exit_code
from cacr.cli.show import bar, console, finish
from cacr.cli.study import following
from cacr.demo import DemoConfig, run_demo
from cacr.demo.report import write_report
from cacr.demo.run import jobs_of
from cacr.study.measures import difference_text, score_text
from cacr.study.workers import WorkerKilled


def demo(*, config: Annotated[DemoConfig, Parameter(name="*")] = DemoConfig(), resume: bool = False) -> int:
    """Measure, fix and see relation alignment in the embedded world: no arguments needed.

    Fine-tunes the shipped model with no attention loss, IAIS, CACR, CACR by rows and a control that only flattens
    attention, measures all on fresh scenes, and writes a report with intervals and figures. Ctrl-C leaves a report of
    what is done.

    Args:
        config: What to run.
        resume: Go on with a stopped demo in --out.
    """
    if resume and config.out is None:
        raise ValueError("which demo? Name its folder: cacr demo --resume --out runs/demo-001")
    config = config.resolved()
    jobs = jobs_of(config)
    killed = None
    with bar() as progress:
        try:
            done = run_demo(config, resume, following(progress, jobs))
        except WorkerKilled as error:
            killed, done = error, error.done
    if killed and all(job.seed is None for job in done):
        raise killed
    table = write_report(config, done, len(jobs), _command(config))
    for shown_table in _tables(table):
        console.print(shown_table)
    said = f"The report is in {config.out}/README.md, the figures in {config.out}/figures."
    stopped = len(done) < len(jobs)
    if stopped:
        said += f"\nStopped after {len(done)} of {len(jobs)} runs."
        then = {"Go on": f"{_command(config)} --resume"}
    else:
        model = f"{config.out}/arms/CACR-seed-0/run/model"
        then = {"See the attention": f"cacr explore {model} --compare scenes-start"}
    wrote = {"report": Path(f"{config.out}/README.md"), "results": Path(f"{config.out}/results.json")}
    finish(said, wrote, then, results=table, runs=len(jobs), done=len(done))
    if killed:
        raise killed
    return exit_code() if stopped else 0


def _tables(results: dict[str, Any]) -> list[Table]:
    scores = Table(title="Percent, mean over seeds [95 % interval]", title_justify="left")
    changes = Table(
        title="Paired difference from none, points [95 % interval]", title_justify="left", show_lines=True
    )
    for shown, key, text in (
        (scores, "scores", score_text),
        (changes, "difference from none", difference_text),
    ):
        shown.add_column("arm")
        for title in results:
            shown.add_column(title, justify="right")
        for arm in dict.fromkeys(arm for column in results.values() for arm in column[key]):
            shown.add_row(arm, *(_lines(text(column[key].get(arm))) for column in results.values()))
    ns = [next(iter(column["scores"].values())) for column in results.values()]
    seeds = max(score["seeds"] for column in results.values() for score in column["scores"].values())
    scores.add_row("chance", *(f"{100 * c['chance']:.1f}" for c in results.values()))
    some = "1 seed" if seeds == 1 else f"{seeds} seeds"
    scores.caption = f"{some} an arm; n = {', '.join(str(score['n']) for score in ns)} examples"
    return [scores, changes]


def _lines(cell: str) -> str:
    return cell.replace(" [", "\n[").replace("] not", "]\nnot").replace(" (", "\n(")


def _command(config: DemoConfig) -> str:
    standard = DemoConfig()
    words = [f"cacr demo --out {config.out}"]
    if config.full:
        words.append("--full")
    for name in ("seeds", "steps", "examples", "gallery", "album"):
        value = getattr(config, name)
        if value not in (None, getattr(standard, name)) and not (config.full and name in ("seeds", "steps")):
            words.append(f"--{name} {value}")
    return " ".join(words)
