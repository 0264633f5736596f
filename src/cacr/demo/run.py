"""Arms x seeds of the demo, run by the study's workers; what is finished is on disk, and ``resume`` does the rest."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cacr._files import may_begin, next_name, working_in, write_text_whole
from cacr._json import read_json
from cacr.recipes import recipe_path
from cacr.study.plan import slug
from cacr.study.workers import Job, Report, run_jobs
from cacr.training.config import TrainConfig

ARMS = {"none": "none", "IAIS": "iais-singular", "CACR": "cacr", "CACR rows": "cacr-rows", "flat": "flat"}
"""Name in the tables -> attention loss. "flat" is the control: it flattens attention and knows no other modality."""
START = "start"
SEEDS, FULL_SEEDS, FULL_STEPS = 3, 7, 1_200


@dataclass(frozen=True)
class DemoConfig:
    """The main job in the embedded world."""

    out: Path | None = None
    """Report folder to make; runs/demo-001 or the next free number if not given."""
    seeds: int | None = None
    """Fine-tuning runs per arm; 3 if not given."""
    steps: int | None = None
    """Optimizer steps of each run; the recipe's 200 if not given."""
    full: bool = False
    """7 seeds and 1,200 steps: the study of docs/log.md, about half an hour on two cores."""
    workers: int | None = None
    """Processes of one thread each, on the CPU; one per core if not given."""
    examples: int = 800
    """Winoground-like examples to measure on, half relation swaps and half attribute swaps."""
    gallery: int = 100
    """Scenes to retrieve from."""
    album: int | None = None
    """Album of scenes to measure on; the test album if not given."""

    def resolved(self) -> DemoConfig:
        """With every choice made.

        Raises:
            ValueError: No seeds, or too few examples.
        """
        counts = (self.seeds, self.steps, self.workers, self.examples, self.gallery)
        if any(count is not None and count < 1 for count in counts):
            raise ValueError(
                f"seeds={self.seeds}, examples={self.examples}, gallery={self.gallery}, workers={self.workers}, "
                f"steps={self.steps}; expected 1 or more of each"
            )
        if self.full and (self.steps, self.seeds) != (None, None):
            raise ValueError(
                "--full means 7 seeds and 1,200 steps; give either --full or --seeds and --steps"
            )
        chosen = (
            replace(self, seeds=FULL_SEEDS, steps=FULL_STEPS)
            if self.full
            else replace(self, seeds=self.seeds or SEEDS)
        )
        return replace(chosen, out=chosen.out or next_name("runs/demo-{:03d}"))


def jobs_of(config: DemoConfig) -> list[Job]:
    """The starting model, then seed by seed every arm, so that a stopped demo has whole seeds."""
    out = config.out
    assert out is not None
    steps, recipe = _steps(config), recipe_path("scenes")
    measured = (("scenes", config.examples), ("scenes-retrieval", config.gallery))
    jobs = [Job(START, START, None, out / "arms" / START, measured, config.album)]
    for seed in range(config.seeds or SEEDS):
        for arm, loss in ARMS.items():
            folder = out / "arms" / f"{slug(arm)}-seed-{seed}"
            run = TrainConfig.from_toml(
                recipe,
                loss=loss,
                seed=seed,
                steps=steps,
                warmup=max(1, steps // 10),
                log_every=min(10, steps),
                out=folder / "run",
            )
            jobs.append(Job(f"{arm}, seed {seed}", arm, seed, folder, measured, config.album, run))
    return jobs


def _steps(config: DemoConfig) -> int:
    return config.steps or TrainConfig.from_toml(recipe_path("scenes")).steps


def run_demo(
    config: DemoConfig, resume: bool = False, report: Report = lambda job, step, steps: None
) -> list[Job]:
    """Run all jobs that are not done; the finished ones. KeyboardInterrupt stops the workers and returns what is done.

    Args:
        config: Resolved (`DemoConfig.resolved`).
        resume: Go on in an existing folder.
        report: Called as jobs go on.

    Raises:
        FileExistsError: The folder exists and ``resume`` is not set.
        FileNotFoundError: ``resume`` is set and there is no demo.
        BlockingIOError: Another process is at work in the folder.
        WorkerKilled: A worker was killed from outside.
    """
    out = config.out
    assert out is not None
    if resume and not (out / "settings.json").is_file():
        raise FileNotFoundError(
            f"no demo to resume in {out}: it has no settings.json. Name its folder with --out"
        )
    if not resume and not may_begin(out):
        raise FileExistsError(
            f"{out} exists and is not overwritten. Go on with it by --resume, or name another --out"
        )
    settings = {
        "steps": _steps(config),
        "examples": config.examples,
        "gallery": config.gallery,
        "album": config.album,
    }
    out.mkdir(parents=True, exist_ok=True)
    with working_in(out):
        _same_settings(out / "settings.json", settings)
        return run_jobs(jobs_of(config), config.workers, report)


def _same_settings(path: Path, settings: dict[str, Any]) -> None:
    """Written once; those that are there must be these, for another process may have begun meanwhile."""
    if not path.is_file():
        write_text_whole(path, json.dumps(settings) + "\n")
    then = read_json(path)
    if then != settings:
        raise ValueError(
            f"{path.parent} holds a demo with {then}, not {settings}; give the same options to resume it"
        )
