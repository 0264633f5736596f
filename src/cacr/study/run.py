"""Run a plan: starting models, then every arm of seed 0, every arm of seed 1, and so on.

OUT/plan.toml           the plan; another one is refused here
OUT/starts/NAME/        records of each starting model, and the model if it was made here
OUT/arms/ARM-seed-N/    run/ (configuration, losses, model) and records/ of each run
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cacr._files import may_begin, working_in, write_text_whole
from cacr.models.shipped import SHIPPED
from cacr.study.plan import StudyPlan, slug
from cacr.study.workers import Job, Report, run_jobs
from cacr.training.pretraining import PretrainConfig

PLAN = "plan.toml"


def jobs_of(plan: StudyPlan, out: Path) -> list[Job]:
    """The starting models, then seed by seed every arm, so that a stopped study has whole seeds."""
    measured = (("scenes", plan.examples), ("scenes-retrieval", plan.gallery))
    folders = {name: out / "starts" / slug(name) for name in (SHIPPED, *plan.starts)}
    models = {name: (folders[name] / "model").resolve() for name in plan.starts}
    starts = [Job(SHIPPED, SHIPPED, None, folders[SHIPPED], measured, plan.album)] + [
        Job(
            f"start {name}",
            name,
            None,
            folders[name],
            measured,
            plan.album,
            pretrain=PretrainConfig(models[name], **options),
        )
        for name, options in plan.starts.items()
    ]
    runs = []
    for seed in plan.seeds:
        for arm in plan.arms:
            folder = out / "arms" / f"{arm.folder}-seed-{seed}"
            needs = models.get(arm.start)
            recipe = plan.recipe_of(arm, seed, out=folder / "run", model=str(needs or SHIPPED))
            runs.append(
                Job(
                    f"{arm.name}, seed {seed}",
                    arm.name,
                    seed,
                    folder,
                    measured,
                    plan.album,
                    recipe,
                    needs=needs,
                )
            )
    return starts + runs


def run_study(
    file: Path,
    out: Path,
    resume: bool = False,
    workers: int | None = None,
    report: Report = lambda job, step, steps: None,
) -> list[Job]:
    """Run all jobs of a plan that are not done; the finished ones. KeyboardInterrupt returns what is done.

    Args:
        file: The plan.
        out: Folder of the study.
        resume: Go on in an existing folder.
        workers: Processes of one thread each; one per core if None.
        report: Called as jobs go on.

    Raises:
        FileExistsError: The folder exists and ``resume`` is not set.
        FileNotFoundError: No such plan; or ``resume`` is set and there is no study.
        ValueError: A mistake in the plan, or the folder holds a study of another plan.
        BlockingIOError: Another process is at work in the folder.
        WorkerKilled: A worker was killed from outside.
    """
    plan = StudyPlan.from_toml(file)
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}; expected 1 or more")
    if resume and not (out / PLAN).is_file():
        raise FileNotFoundError(f"no study to resume in {out}: it has no {PLAN}. Name its folder with --out")
    if not resume and not may_begin(out):
        raise FileExistsError(
            f"{out} exists and is not overwritten. Go on with it by --resume, or name another --out"
        )
    if resume and StudyPlan.from_toml(out / PLAN) != plan:
        raise ValueError(
            f"{out} holds a study of another plan than {file}; go on with its own, {out / PLAN}, or name another --out"
        )
    out.mkdir(parents=True, exist_ok=True)
    with working_in(out):
        if not resume:
            if (out / PLAN).exists():  # another process was quicker
                raise FileExistsError(f"{out} holds a study that has just begun; go on with it by --resume")
            write_text_whole(out / PLAN, file.read_text(encoding="utf-8"))
        return run_jobs(jobs_of(plan, out), workers, report)


def finished(plan: StudyPlan, done: Sequence[Job]) -> list[Job]:
    """The starts and the seeds that are there in every arm: half a seed would compare arms on different seeds."""
    whole = _whole(plan, done)
    return [job for job in done if job.seed is None or job.seed in whole]


def has_whole_seed(plan: StudyPlan, done: Sequence[Job]) -> bool:
    """Whether there is something to report."""
    return bool(_whole(plan, done))


def _whole(plan: StudyPlan, done: Sequence[Job]) -> set[int]:
    arms = {arm.name for arm in plan.arms}
    return {seed for seed in plan.seeds if {job.arm for job in done if job.seed == seed} == arms}
