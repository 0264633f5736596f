"""A study runs all that is planned, goes on where it was stopped, and reports whole seeds with what they can show."""

import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
import tomllib
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy import stats

from cacr.benchmarks import BENCHMARKS
from cacr.benchmarks.power import holm
from cacr.benchmarks.records import read_records
from cacr.cli import main
from cacr.explore import save_figure
from cacr.statistics import spread
from cacr.study import StudyPlan, finished, jobs_of, run_study
from cacr.study.figures import contrasts_plot
from cacr.study.report import write_report
from cacr.study.workers import WorkerKilled, run_jobs
from cacr.training import train
from cacr.training.checkpoints import latest_checkpoint

TINY = """
[study]
seeds = [0, 1]
steps = 5
album = 2
examples = 60
gallery = 4
[starts.asked]
mask_relations = true
scenes = 60
steps = 3
groups = 4
masked = 8
[[arms]]
name = "none"
loss = "none"
lr = 0.005
save_every = 2
scenes = 40
[[arms]]
name = "flat"
loss = "flat"
lr = 0.002
scenes = 40
[[arms]]
name = "rows, asked"
loss = "cacr-rows"
start = "asked"
scenes = 40
[[contrasts]]
arm = "none"
against = "flat"
[[contrasts]]
arm = "rows, asked"
against = "flat"
[[contrasts]]
family = "secondary"
arm = "rows, asked"
against = "none"
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """(plan, folder, finished jobs) of a study that ran to its end; seed 0 of "none" was killed after 3 steps."""
    folder = tmp_path_factory.mktemp("study")
    file, out = folder / "tiny.toml", folder / "out"
    file.write_text(TINY)
    plan = StudyPlan.from_toml(file)
    out.mkdir()
    (out / "plan.toml").write_text(TINY)
    recipe = next(job.recipe for job in jobs_of(plan, out) if job.seed == 0)

    def killed(step, numbers):
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, progress=killed)
    steps = {}
    done = run_study(
        file, out, resume=True, workers=2, report=lambda job, step, n: steps.setdefault(job.name, step)
    )
    assert steps["none, seed 0"] == 2  # the checkpoint
    assert steps["none, seed 1"] == 0
    return plan, out, done


def test_all_jobs_are_done_and_keep_their_models_and_records_but_no_checkpoints(study):
    plan, out, done = study
    assert done == jobs_of(plan, out)
    assert len(done) == 2 + 2 * 3
    for job in done:
        assert {file.name for file in job.records} <= {
            file.name for file in (job.folder / "records").iterdir()
        }
        if job.recipe:
            assert (job.recipe.out / "model" / "model.safetensors").is_file()
            assert not list((job.recipe.out / "checkpoints").glob("checkpoint-*"))


def test_a_killed_run_ends_as_one_that_was_never_killed(study, tmp_path):
    plan, out, _ = study
    job = next(job for job in jobs_of(plan, out) if job.seed == 0)
    train(replace(job.recipe, out=tmp_path / "again"))
    ours, again = (
        load_file(folder / "model" / "model.safetensors") for folder in (job.recipe.out, tmp_path / "again")
    )
    assert all(torch.equal(ours[name], again[name]) for name in again)


def test_arms_begin_at_the_start_that_they_name(study):
    _, out, _ = study
    config = tomllib.loads((out / "arms" / "rows-asked-seed-1" / "run" / "config.toml").read_text())
    assert config["model"] == str((out / "starts" / "asked" / "model").resolve())
    name = "uniter.embeddings.word_embeddings.weight"
    start, tuned, other = (
        load_file(out / folder / "model.safetensors")[name]
        for folder in ("starts/asked/model", "arms/rows-asked-seed-1/run/model", "arms/none-seed-1/run/model")
    )
    assert (start - tuned).abs().mean() < 0.1 * (start - other).abs().mean()


def test_a_study_is_neither_overwritten_nor_mixed_with_another_plan(study, tmp_path):
    _, out, _ = study
    file = tmp_path / "other.toml"
    file.write_text(TINY.replace("steps = 5", "steps = 6"))
    with pytest.raises(FileExistsError, match="is not overwritten. Go on with it by --resume"):
        run_study(file, out)
    with pytest.raises(ValueError, match="holds a study of another plan"):
        run_study(file, out, resume=True)
    with pytest.raises(FileNotFoundError, match="no study to resume"):
        run_study(file, tmp_path / "nothing", resume=True)
    with pytest.raises(ValueError, match="workers is 0"):
        run_study(file, tmp_path / "nothing", workers=0)
    assert not (tmp_path / "nothing").exists()
    file.write_text(TINY + "\n# a remark changes no plan\n")
    assert len(run_study(file, out, resume=True)) == 8


def outcomes(out, arm, seeds):
    scenes = BENCHMARKS["scenes"]
    found = [read_records(out / "arms" / f"{arm}-seed-{seed}" / "records")["scenes"] for seed in seeds]
    rows = [[row for row in records if "relation" in scenes.groups(row)] for records in found]
    return np.stack([scenes.right(some)["group"] for some in rows]).astype(float)


def test_contrasts_are_the_paired_differences_with_their_tests_and_holm(study):
    plan, out, done = study
    found = write_report(plan, done, out, "cacr study")
    primary = found["contrasts"]["primary"]
    p = []
    for row, (arm, other) in zip(primary, (("none", "flat"), ("rows-asked", "flat")), strict=True):
        difference = outcomes(out, arm, range(2)) - outcomes(out, other, range(2))
        assert row["value"] == pytest.approx(difference.mean())
        assert (row["n"], row["seeds"]) == (30, 2)
        of = spread(difference)
        assert of.error > 0  # else the tiny runs would test nothing
        p.append(2 * stats.t.sf(abs(of.mean) / of.error, of.freedom))
        assert row["p"] == pytest.approx(p[-1])
        reach = stats.t.ppf(0.975, of.freedom)
        assert row["low"] == pytest.approx(of.mean - reach * of.error)
        assert row["detectable"] == pytest.approx((reach + stats.t.ppf(0.8, of.freedom)) * of.error)
        assert (row["low"] <= 0 <= row["high"]) == (row["p"] >= 0.05)  # the same t
    assert [row["adjusted p"] for row in primary] == pytest.approx(holm(p))
    assert [row["verdict"] == "resolved" for row in primary] == [value < 0.05 for value in holm(p)]
    secondary = found["contrasts"]["secondary"]
    assert len(secondary) == 1 and secondary[0]["adjusted p"] == secondary[0]["p"]  # a family of its own


def test_the_report_names_every_arm_start_and_contrast_with_n(study):
    plan, out, done = study
    found = write_report(plan, done, out, "cacr study --out here")
    text = (out / "README.md").read_text()
    assert json.loads((out / "results.json").read_text()) == json.loads(json.dumps(found))
    for name in ("scenes-start", "asked", "none", "flat", "rows, asked"):
        assert f"| {name} | " in text
    assert "| rows, asked − flat | " in text and "n = 30 examples x 2 seeds" in text
    assert "over the 2 contrasts (Holm)" in text and "cacr study --out here" in text
    assert "Partial" not in text and (out / "tables.md").read_text() in text
    for name in ("contrasts.png", "contrasts.svg", "scores.png", "scores.svg"):
        assert (out / "figures" / name).stat().st_size > 1000


def test_only_whole_seeds_count_and_a_partial_report_says_so(study):
    plan, out, done = study
    some = [job for job in done if (job.arm, job.seed) != ("flat", 1)]
    assert {job.seed for job in finished(plan, some)} == {None, 0}
    found = write_report(plan, some, out, "cacr study")
    assert found["seeds"] == [0]
    assert all(
        score["seeds"] == 1
        for arm, score in found["measures"]["relation group"]["scores"].items()
        if arm in ("none", "flat")
    )
    assert "**Partial: 1 of 2 seeds are done.**" in (out / "README.md").read_text()
    with pytest.raises(ValueError, match="no seed has finished in all 3 arms"):
        write_report(plan, [job for job in done if job.arm != "flat"], out, "cacr study")


def test_a_stop_leaves_what_is_done(study, tmp_path):
    plan, _, _ = study
    jobs = [job for job in jobs_of(plan, tmp_path) if job.arm in ("scenes-start", "none")]

    def stop(job, step, steps):
        if job.done:
            raise KeyboardInterrupt

    done = run_jobs(jobs, 1, stop)
    assert [job.name for job in done] == ["scenes-start"]


def kill_a_worker(once):
    """Kill one of the worker processes as soon as a file is there; the thread that does it."""

    def wait():
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if once():
                for process in multiprocessing.active_children():
                    os.kill(process.pid, signal.SIGKILL)
                    return
            time.sleep(0.002)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_a_killed_worker_is_told_and_the_run_goes_on_from_its_checkpoint_bit_for_bit(study, tmp_path):
    plan, _, _ = study
    job = next(job for job in jobs_of(plan, tmp_path) if job.arm == "none")
    job = replace(job, recipe=replace(job.recipe, steps=24, save_every=3))
    thread = kill_a_worker(lambda: latest_checkpoint(job.recipe.out))
    with pytest.raises(WorkerKilled, match=r"at work: none, seed 0\. .*memory ran out.*--resume") as killed:
        run_jobs([job], 1)
    thread.join()
    assert (killed.value.running, killed.value.done) == ([job], [])
    assert latest_checkpoint(job.recipe.out) and not (job.recipe.out / "model").exists()
    seen = []
    assert run_jobs([job], 1, lambda job, step, steps: seen.append(step)) == [job]
    assert seen[0] >= 3  # not from the start
    train(replace(job.recipe, out=tmp_path / "unkilled"))
    ours, whole = (
        load_file(folder / "model" / "model.safetensors")
        for folder in (job.recipe.out, tmp_path / "unkilled")
    )
    assert ours.keys() == whole.keys() and all(torch.equal(ours[name], whole[name]) for name in whole)


def test_after_a_killed_worker_the_whole_seeds_are_reported(study, tmp_path, capsys):
    _, out, _ = study
    shutil.copytree(out, tmp_path / "study")
    shutil.rmtree(tmp_path / "study" / "arms" / "flat-seed-1")
    thread = kill_a_worker((tmp_path / "study" / "arms" / "flat-seed-1").is_dir)  # it has begun
    code = main(
        ["study", str(out / "plan.toml"), "--out", str(tmp_path / "study"), "--resume", "--workers", "1"]
    )
    thread.join()
    told = capsys.readouterr()
    assert code == 1
    assert "a worker process was killed while these were at work: flat, seed 1" in told.err
    assert "--resume" in told.err and "Traceback" not in told.err
    assert "**Partial: 1 of 2 seeds are done.**" in (tmp_path / "study" / "README.md").read_text()


def test_a_killed_worker_without_a_whole_seed_is_told_all_the_same(study, tmp_path, capsys):
    _, out, _ = study
    thread = kill_a_worker(multiprocessing.active_children)
    code = main(["study", str(out / "plan.toml"), "--out", str(tmp_path / "study"), "--workers", "1"])
    thread.join()
    assert code == 1
    assert "killed while these were at work: scenes-start" in capsys.readouterr().err
    assert not (tmp_path / "study" / "README.md").exists()


def test_names_with_signs_of_formulas_are_drawn_as_they_are(tmp_path):
    row = {"value": 0.1, "low": 0.0, "high": 0.2, "verdict": "resolved"}
    rows = [row | {"arm": "cost $_{ of $5", "against": "an arm of a very long name " * 9}]
    figure = contrasts_plot({"primary": rows}, "relation group")
    (label,) = figure.axes[0].get_yticklabels()
    assert label.get_text().startswith("cost $_{ of $5 − an arm")
    assert save_figure(figure, tmp_path / "a.svg").read_text().count("cost $_{ of $5") == 1


def test_a_figure_that_cannot_be_drawn_costs_no_number(study, tmp_path):
    plan, _, done = study
    (tmp_path / "figures").write_text("a file where the folder goes")
    with pytest.raises(OSError):
        write_report(plan, done, tmp_path, "cacr study")
    for name in ("results.json", "tables.md", "README.md"):
        assert (tmp_path / name).stat().st_size > 100


def test_a_report_is_made_again_over_an_earlier_one(study, tmp_path):
    plan, _, done = study
    write_report(plan, done, tmp_path, "cacr study")
    before = (tmp_path / "figures" / "scores.png").read_bytes()
    (tmp_path / "figures" / "scores.png").write_text("old")
    write_report(plan, done, tmp_path, "cacr study")
    assert (tmp_path / "figures" / "scores.png").read_bytes() == before


def test_a_job_whose_start_no_other_makes_is_refused(study, tmp_path):
    plan, _, _ = study
    jobs = [job for job in jobs_of(plan, tmp_path) if job.arm == "rows, asked"]
    with pytest.raises(ValueError, match="rows, asked, seed 0 needs .*model, which no job makes"):
        run_jobs(jobs, 1)
