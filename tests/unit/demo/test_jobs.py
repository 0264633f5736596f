"""The demo's folders and runs are those that its report and documentation name."""

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from cacr.cli import app, main
from cacr.cli import demo as demonstrating
from cacr.cli.demo import _command
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


def test_a_demo_without_a_folder_takes_the_next_free_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert DemoConfig().resolved().out == Path("runs/demo-001")
    (tmp_path / "runs" / "demo-001").mkdir(parents=True)
    (tmp_path / "runs" / "demo-003").mkdir()
    assert DemoConfig().resolved().out == Path("runs/demo-002")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"full": True}, "--full"),
        ({"full": True, "gallery": 20}, "--full --gallery 20"),
        ({"seeds": 5, "steps": 30}, "--seeds 5 --steps 30"),
        ({}, "--seeds 3"),
    ],
)
def test_the_command_that_goes_on_is_the_one_that_was_given(given, said, tmp_path):
    words = _command(DemoConfig(out=tmp_path / "demo", **given).resolved())
    assert words == f"cacr demo --out {tmp_path / 'demo'} {said}"
    _, command, _ = app().parse_args(words.removeprefix("cacr "), exit_on_error=False)
    assert command.kwargs["config"].resolved() == DemoConfig(out=tmp_path / "demo", **given).resolved()


def test_a_stopped_demo_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    out = tmp_path / "runs [/b]"
    score = {"value": 0.5, "low": None, "high": None, "n": 8, "seeds": 1}
    of_one = {"scores": {"none": score}, "difference from none": {}, "chance": 1 / 6}
    monkeypatch.setattr(demonstrating, "run_demo", lambda config, *given: jobs_of(config)[:2])  # then Ctrl-C
    monkeypatch.setattr(demonstrating, "write_report", lambda *given: {"scenes": of_one})
    assert main(["demo", "--out", str(out), "--seeds", "1"]) == 130
    told = capsys.readouterr().out
    assert f"Stopped after 2 of 6 runs.\nGo on:  cacr demo --out {out} --seeds 1 --resume\n" in told
    assert f"The report is in {out}/README.md" in told
