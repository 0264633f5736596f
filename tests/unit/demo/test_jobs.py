"""The demo's folders and runs are those that its report and documentation name."""

import multiprocessing
import os
import signal
import threading
import time

import pytest

from cacr.cli import main
from cacr.demo import DemoConfig
from cacr.demo.report import _readme
from cacr.demo.run import jobs_of


def test_the_demo_keeps_its_folders_arms_and_recipe(tmp_path):
    jobs = jobs_of(DemoConfig(out=tmp_path, seeds=2, steps=30).resolved())
    assert [job.folder.relative_to(tmp_path / "arms").as_posix() for job in jobs] == ["start"] + [
        f"{arm}-seed-{seed}" for seed in (0, 1) for arm in ("none", "IAIS", "CACR", "CACR-rows", "flat")
    ]
    assert [job.name for job in jobs[:3]] == ["start", "none, seed 0", "IAIS, seed 0"]
    last = jobs[-1].recipe
    assert (last.loss, last.seed, last.steps, last.warmup, last.out) == (
        "flat",
        1,
        30,
        3,
        jobs[-1].folder / "run",
    )
    assert jobs[0].recipe is None and jobs[0].pretrain is None
    assert {(job.album, job.measured) for job in jobs} == {
        (None, (("scenes", 800), ("scenes-retrieval", 100)))
    }


def test_a_killed_worker_ends_the_demo_with_a_sentence(tmp_path, capsys):
    def kill():
        end = time.monotonic() + 60
        while not (there := multiprocessing.active_children()) and time.monotonic() < end:
            time.sleep(0.002)
        os.kill(there[0].pid, signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    code = main(["demo", "--out", str(tmp_path / "demo"), "--seeds", "1", "--workers", "1"])
    thread.join()
    told = capsys.readouterr().err
    assert code == 1 and "Traceback" not in told
    assert "a worker process was killed while these were at work: start" in told and "--resume" in told


@pytest.mark.parametrize("seeds", [0, 1])
def test_the_report_names_no_figure_of_a_run_that_is_not_done(seeds, tmp_path):
    config = DemoConfig(out=tmp_path, seeds=1, steps=30).resolved()
    jobs = jobs_of(config)
    done = [job for job in jobs if job.arm in ("start", "none", *["CACR"] * seeds)]
    text = _readme(config, done, len(jobs), "cacr demo", {})
    assert ("attention-CACR/relations.png" in text) == bool(seeds)
    assert "attention-start/relations.png" in text
    assert "curves.png" not in text  # no losses are on disk
