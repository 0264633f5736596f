"""Jobs in worker processes, each a training run (or a pre-training) and what is measured of it.

Each worker has one thread: on small matrices two such processes do more than one with two threads. What is finished
is on disk, so a stopped study leaves what was done, and a later call does the rest: a run goes on at its checkpoint.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cacr._processes import usable_cores
from cacr.training.config import TrainConfig
from cacr.training.pretraining import PretrainConfig

Report = Callable[["Job", int, int], None]
"""Called with a job, its steps done and its steps in all."""


@dataclass(frozen=True)
class Job:
    """A model to make and to measure: an arm with one seed, or a starting model."""

    name: str
    """For progress bars."""
    arm: str
    seed: int | None
    """None: a starting model."""
    folder: Path
    """Where its run and records are."""
    measured: tuple[tuple[str, int], ...]
    """Benchmarks of the embedded world, and how many examples of each."""
    album: int | None
    """Of the scenes that are measured on; the test album if None."""
    recipe: TrainConfig | None = None
    """The run to do."""
    pretrain: PretrainConfig | None = None
    """The starting model to make. Neither: the shipped starting model is measured."""
    needs: Path | None = None
    """A folder that another job makes first."""

    @property
    def steps(self) -> int:
        """Optimizer steps; 1 if it is only measured."""
        work = self.recipe or self.pretrain
        return work.steps if work else 1

    @property
    def records(self) -> list[Path]:
        """Its files of records."""
        return [self.folder / "records" / f"{name}.jsonl" for name, _ in self.measured]

    @property
    def done(self) -> bool:
        """Whether its records are on disk."""
        return all(file.is_file() for file in self.records)

    @property
    def ready(self) -> bool:
        """Whether what it needs is there."""
        return self.needs is None or self.needs.is_dir()


class WorkerKilled(BrokenExecutor):
    """A worker process was ended from outside, most often because memory ran out.

    Args:
        running: The jobs that were at work.
        done: The finished ones.
    """

    def __init__(self, running: Sequence[Job], done: Sequence[Job]):
        names = "; ".join(job.name for job in running) or "a job that had just ended"
        super().__init__(
            f"a worker process was killed while these were at work: {names}. The likely cause is that memory ran out. "
            "What is finished and the last checkpoints are kept: go on with --resume, and with fewer --workers if it "
            "happens again"
        )
        self.running, self.done = list(running), list(done)


def run_jobs(
    jobs: Sequence[Job], workers: int | None = None, report: Report = lambda job, step, steps: None
) -> list[Job]:
    """Run, in their order, all jobs that are not done; the finished ones.

    KeyboardInterrupt stops the workers and returns what is done. Finished runs lose their checkpoints and nothing else.
    A worker that is killed stops the others too.

    Args:
        jobs: Those that others need come first.
        workers: Processes; one per core if None.
        report: Called as jobs go on.

    Raises:
        ValueError: A job needs what no other makes.
        WorkerKilled: A worker was killed; what is done and what was at work are in the error.
    """
    waiting = [job for job in jobs if not job.done]
    if not waiting:
        return list(jobs)
    context = multiprocessing.get_context("spawn")
    messages: Any = context.Queue()
    number = min(workers or usable_cores(), len(waiting))
    pool = ProcessPoolExecutor(number, mp_context=context, initializer=_start_worker, initargs=(messages,))
    running: dict[Future[None], Job] = {}
    try:
        while waiting or running:
            for job in [job for job in waiting if job.ready][: number - len(running)]:
                running[pool.submit(_run_job, job)] = job
                waiting.remove(job)
            if not running:
                raise ValueError(f"{waiting[0].name} needs {waiting[0].needs}, which no job makes")
            finished, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            while not messages.empty():
                report(*messages.get())
            for future in finished:
                future.result()
                del running[future]
        pool.shutdown()
    except KeyboardInterrupt:
        _stop(pool)
    except BrokenProcessPool:
        _stop(pool)
        lost = [job for job in running.values() if not job.done]
        raise WorkerKilled(lost, [job for job in jobs if job.done]) from None
    except BaseException:
        _stop(pool)
        raise
    return [job for job in jobs if job.done]


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
    last = 0.0

    def tell(step: int) -> None:
        nonlocal last
        if step == job.steps or time.monotonic() - last > 0.3:
            last = time.monotonic()
            _messages.put((job, step, job.steps))

    _measure(job, _model(job, tell))
    _messages.put((job, job.steps, job.steps))


def _model(job: Job, tell: Callable[[int], None]) -> Path | None:
    """The model of a job, made if it is not there yet; None: the shipped starting model."""
    from cacr.training.pretraining import pretrain
    from cacr.training.run import clear_checkpoints, train

    if job.recipe is not None:
        run = job.recipe.out
        if not (run / "model").is_dir():
            resume = (run / "config.toml").is_file()
            train(job.recipe, resume=resume, progress=lambda step, numbers: tell(step))
        clear_checkpoints(run)
        return run / "model"
    if job.pretrain is not None:
        config, out = job.pretrain, job.pretrain.out  # appears when it is whole
        if not out.is_dir():
            pretrain(config, progress=tell)
        return out
    return None


def _measure(job: Job, model: Path | None) -> None:
    from cacr.benchmarks import BENCHMARKS
    from cacr.benchmarks.benchmark import Options, ask_all
    from cacr.benchmarks.records import write_records
    from cacr.environment import environment
    from cacr.models.shipped import SHIPPED
    from cacr.scorers.opening import open_scorer

    scorer = open_scorer(SHIPPED if model is None else str(model))
    for (name, n), file in zip(job.measured, job.records, strict=True):
        if not file.is_file():
            benchmark, options = BENCHMARKS[name], Options(n=n, seed=job.album)
            work = benchmark.open(options)
            records = ask_all(work, scorer)
            write_records(file.parent, benchmark, records, scorer, environment(), options, work.version)
