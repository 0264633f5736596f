"""``cacr study``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.progress import Progress, TaskID
from rich.table import Table

from cacr._stopping import exit_code
from cacr.cli.show import bar, console, finish, tell
from cacr.study import StudyPlan, jobs_of, plan_path, run_study
from cacr.study.measures import interval_text
from cacr.study.report import headline, write_report
from cacr.study.run import has_whole_seed
from cacr.study.workers import Job, Report, WorkerKilled

OUT = Path("runs/study-001")
PACKAGED = "congruence"


def study(
    plan: str = PACKAGED, /, *, out: Path = OUT, resume: bool = False, workers: int | None = None
) -> int:
    """Run a planned comparison in the embedded world: arms x seeds, contrasts with adjusted p-values.

    The packaged plan asks whether congruence helps more than flattening does (docs/study.md). Ctrl-C leaves a report
    of the whole seeds; --resume goes on, and makes the report again where all is done.

    Args:
        plan: A plan file (.toml), or the name of a packaged one.
        out: Folder of the study to make.
        resume: Go on with a stopped study in --out.
        workers: Processes of one thread each, on the CPU; one per core if not given.
    """
    file = plan_path(plan)
    read = StudyPlan.from_toml(file)
    jobs = jobs_of(read, out)
    killed = None
    with bar() as progress:
        try:
            done = run_study(file, out, resume, workers, following(progress, jobs))
        except WorkerKilled as error:
            killed, done = error, error.done
        progress.update(progress.task_ids[0], completed=len(done))
    if killed and not has_whole_seed(read, done):
        raise killed
    command = f"cacr study{'' if plan == PACKAGED else f' {plan}'} --out {out}"
    stopped = len(done) < len(jobs)
    if stopped:
        then = {"Go on": f"{command} --resume"}
        said = f"Stopped after {len(done)} of {len(jobs)} jobs."
        if not has_whole_seed(read, done):
            said += " No seed is whole in all arms yet, so there is no report."
            finish(said, {"study": out}, then, jobs=len(jobs), done=len(done))
            return exit_code()
        tell(said)
    found = write_report(read, done, out, command)
    for family, rows in found["contrasts"].items():
        if rows:
            shown = Table(
                title=f"{family} contrasts: {read.primary}, points [95 % interval]", title_justify="left"
            )
            for name in ("arm", "against", "points", "adjusted p", ""):
                shown.add_column(name)
            for row in rows:
                p = "-" if row["adjusted p"] is None else f"{row['adjusted p']:.3g}"
                shown.add_row(
                    row["arm"], row["against"], interval_text(row).replace(" [", "\n["), p, row["verdict"]
                )
            shown.caption = (
                f"n = {rows[0]['n']} examples, {rows[0]['seeds']} seeds; p by Holm over {len(rows)}"
            )
            console.print(shown, markup=False)
    finish(
        f"{headline(found)}\n"
        f"The report is in {out}/README.md, its tables in {out}/tables.md, the figures in {out}/figures.",
        {"report": out / "README.md", "tables": out / "tables.md", "results": out / "results.json"},
        then if stopped else {"Once more, to compare": f"cacr repeat {out}"},
        results=found,
        jobs=len(jobs),
        done=len(done),
    )
    if killed:
        raise killed
    return exit_code() if stopped else 0


def following(progress: Progress, jobs: Sequence[Job]) -> Report:
    """A bar for all jobs and one for each that is at work."""
    total = progress.add_task(
        "[bold]all runs", total=len(jobs), completed=sum(job.done for job in jobs), note=""
    )
    shown: dict[str, TaskID] = {}

    def report(job: Job, step: int, steps: int) -> None:
        if job.name not in shown:
            shown[job.name] = progress.add_task(f"  {escape(job.name)}", total=steps, note="")
        progress.update(shown[job.name], completed=step)
        if job.done:
            progress.update(shown[job.name], visible=False)
            progress.update(total, completed=sum(other.done for other in jobs))

    return report
