"""``cacr demo``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from rich.markdown import Markdown

from cacr.cli.show import bar, console
from cacr.demo import DemoConfig, run_demo
from cacr.demo.report import markdown, write_report
from cacr.demo.run import Job, jobs_of


def demo(*, config: Annotated[DemoConfig, Parameter(name="*")] = DemoConfig(), resume: bool = False) -> int:
    """Measure, fix and see relation alignment in the embedded world: no arguments needed.

    Fine-tunes the shipped model with no attention loss, IAIS, CACR, CACR by rows and a control that only flattens
    attention, measures all on fresh scenes, and writes a report with intervals and figures. Ctrl-C leaves a report of
    what is done.

    Args:
        config: What to run.
        resume: Go on with a stopped demo in --out.
    """
    config = config.resolved()
    jobs = jobs_of(config)
    with bar() as progress:
        total = progress.add_task("[bold]all runs", total=len(jobs), note="")
        shown: dict[str, int] = {}

        def report(job: Job, step: int, steps: int) -> None:
            if job.name not in shown:
                shown[job.name] = progress.add_task(f"  {job.name}", total=steps, note="")
            progress.update(shown[job.name], completed=step)
            if job.done:
                progress.update(shown[job.name], visible=False)
            progress.update(total, completed=sum(other.done for other in jobs))

        done = run_demo(config, resume, report)
        progress.update(total, completed=len(done))
    table = write_report(config, done, len(jobs), _command(config))
    console.print(Markdown(markdown(table)))
    console.print(f"The report is in {config.out}/README.md, the figures in {config.out}/figures.")
    if len(done) < len(jobs):
        console.print(f"Stopped after {len(done)} of {len(jobs)} runs. Go on:  {_command(config)} --resume")
        return 130
    console.print(
        f"See the attention:  cacr explore {config.out}/arms/CACR-seed-0/run/model --out runs/explore --image 3"
    )
    return 0


def _command(config: DemoConfig) -> str:
    standard = DemoConfig()
    words = [f"cacr demo --out {config.out}"]
    if config.full:
        words.append("--full")
    for name in ("seeds", "steps", "examples", "gallery", "album"):
        value = getattr(config, name)
        if value != getattr(standard, name) and not (config.full and name in ("seeds", "steps")):
            words.append(f"--{name} {value}")
    return " ".join(words)
