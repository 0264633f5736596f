"""Arms x seeds in worker processes, each a training run and its evaluation; then the report.

Each worker has one thread: on small matrices two such processes do more than one with two threads. What is finished
is on disk, so a stopped demo leaves a report of the runs that were done, and ``resume`` does the rest.
"""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cacr._files import working_in, write_text_whole
from cacr.recipes import recipe_path
from cacr.training.config import TrainConfig

ARMS = {"none": "none", "IAIS": "iais-singular", "CACR": "cacr", "CACR rows": "cacr-rows", "flat": "flat"}
"""Name in the tables -> attention loss. "flat" is the control: it flattens attention and knows no other modality."""
MEASURED = ("scenes", "scenes-retrieval")
START = "start"
SEEDS, FULL_SEEDS, FULL_STEPS = 3, 7, 1_200

Report = Callable[["Job", int, int], None]
"""Called with a job, its steps done and its steps in all."""


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
        if chosen.out is None:
            taken = (Path("runs") / f"demo-{number:03d}" for number in range(1, 1000))
            chosen = replace(chosen, out=next(folder for folder in taken if not folder.exists()))
        return chosen


@dataclass(frozen=True)
class Job:
    """One arm with one seed, or the starting model, which is only measured."""

    arm: str
    seed: int
    out: Path
    steps: int
    examples: int
    gallery: int
    album: int | None

    @property
    def name(self) -> str:
        """For progress bars and folders."""
        return START if self.arm == START else f"{self.arm}, seed {self.seed}"

    @property
    def folder(self) -> Path:
        """Where its run and records are."""
        return (
            self.out
            / "arms"
            / (START if self.arm == START else f"{self.arm.replace(' ', '-')}-seed-{self.seed}")
        )

    @property
    def done(self) -> bool:
        """Whether its records are on disk."""
        return all((self.folder / "records" / f"{name}.jsonl").is_file() for name in MEASURED)

    def recipe(self) -> TrainConfig:
        """The packaged recipe with this arm's loss and seed."""
        return TrainConfig.from_toml(
            recipe_path("scenes"),
            loss=ARMS[self.arm],
            seed=self.seed,
            steps=self.steps,
            warmup=max(1, self.steps // 10),
            log_every=min(10, self.steps),
            out=self.folder / "run",
        )


def jobs_of(config: DemoConfig) -> list[Job]:
    """The starting model, then seed by seed every arm, so that a stopped demo has whole seeds."""
    assert config.out is not None
    steps = config.steps or TrainConfig.from_toml(recipe_path("scenes")).steps
    rest = (config.out, steps, config.examples, config.gallery, config.album)
    return [
        Job(START, 0, *rest),
        *(Job(arm, seed, *rest) for seed in range(config.seeds or SEEDS) for arm in ARMS),
    ]


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
    """
    out = config.out
    assert out is not None
    if resume and not (out / "settings.json").is_file():
        raise FileNotFoundError(
            f"no demo to resume in {out}: it has no settings.json. Name its folder with --out"
        )
    if out.exists() and not resume:
        raise FileExistsError(
            f"{out} exists and is not overwritten. Go on with it by --resume, or name another --out"
        )
    jobs = jobs_of(config)
    settings = {
        "steps": jobs[0].steps,
        "examples": config.examples,
        "gallery": config.gallery,
        "album": config.album,
    }
    _same_settings(out, settings, resume)
    with working_in(out):
        return _run_jobs(jobs, config, report)


def _run_jobs(jobs: list[Job], config: DemoConfig, report: Report) -> list[Job]:
    waiting = [job for job in jobs if not job.done]
    context = multiprocessing.get_context("spawn")
    messages: Any = context.Queue()
    workers = min(config.workers or _cores(), max(1, len(waiting)))
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(messages,))
    try:
        pending: set[Future[None]] = {pool.submit(_run_job, job) for job in waiting}
        while pending:
            finished, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
            while not messages.empty():
                report(*messages.get())
            for future in finished:
                future.result()
        pool.shutdown()
    except KeyboardInterrupt:
        _stop(pool)
    except BaseException:
        _stop(pool)
        raise
    return [job for job in jobs if job.done]


def _same_settings(out: Path, settings: dict[str, Any], resume: bool) -> None:
    path = out / "settings.json"
    if resume and path.is_file():
        then = json.loads(path.read_text())
        if then != settings:
            raise ValueError(
                f"{out} holds a demo with {then}, not {settings}; give the same options to resume it"
            )
    out.mkdir(parents=True, exist_ok=True)
    write_text_whole(path, json.dumps(settings) + "\n")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _stop(pool: ProcessPoolExecutor) -> None:
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()


_messages: Any = None


def _start_worker(messages: Any) -> None:
    global _messages
    _messages = messages
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what a stop means
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the world is small; many processes would crowd one GPU
    import logging

    import torch
    from transformers.utils import logging as transformers_logging

    torch.set_num_threads(1)
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    logging.getLogger("accelerate").setLevel(logging.ERROR)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _run_job(job: Job) -> None:
    from cacr.benchmarks import BENCHMARKS
    from cacr.benchmarks.benchmark import Options, ask_all
    from cacr.benchmarks.records import write_records
    from cacr.demo.start import open_scorer
    from cacr.training.folder import environment
    from cacr.training.run import clear_checkpoints, train

    last = 0.0

    def tell(step: int, numbers: dict[str, float]) -> None:
        nonlocal last
        if step == job.steps or time.monotonic() - last > 0.3:
            last = time.monotonic()
            _messages.put((job, step, job.steps))

    model = "scenes-start"
    if job.arm != START:
        run = job.folder / "run"
        if not (run / "model").is_dir():
            train(job.recipe(), resume=(run / "config.toml").is_file(), progress=tell)
        clear_checkpoints(run)
        model = str(run / "model")
    scorer = open_scorer(model)
    for name, n in zip(MEASURED, (job.examples, job.gallery), strict=True):
        if not (job.folder / "records" / f"{name}.jsonl").is_file():
            benchmark, options = BENCHMARKS[name], Options(n=n, seed=job.album)
            work = benchmark.open(options)
            records = ask_all(work, scorer)
            write_records(
                job.folder / "records", benchmark, records, scorer, environment(), options, work.version
            )
    _messages.put((job, job.steps, job.steps))
