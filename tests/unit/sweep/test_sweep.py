"""A search tries what it was told to, keeps what it found, and goes on where it was stopped."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from cacr.recipes import recipe_names, recipe_path
from cacr.sweep import SweepPlan, sweep
from cacr.sweep.run import _suggest
from cacr.training import TrainConfig

HERE = Path(__file__)
CONFIG = TrainConfig(
    model="new",
    scenes=12,
    steps=6,
    batch=2,
    candidates=5,
    negatives=3,
    hidden=16,
    layers=1,
    heads=2,
    save_every=2,
    log_every=1,
    warmup=1,
    dev_split="dev",
    dev_pictures=6,
)
PLAN = SweepPlan(
    {"loss": ["none", "cacr"], "lr": {"low": 1e-4, "high": 1e-2, "log": True}}, trials=4, warm_up=1
)


def seen(trials):
    return {t.number: (t.state, dict(t.options), t.value) for t in trials}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    config = replace(CONFIG, out=tmp_path_factory.mktemp("sweep") / "whole")
    return config, sweep(config, PLAN)


def test_every_trial_is_a_run_with_its_own_options(whole):
    config, trials = whole
    assert sorted(t.number for t in trials) == [0, 1, 2, 3]
    for t in trials:
        own = TrainConfig.from_toml(config.out / f"trial-{t.number:04d}" / "config.toml")
        assert (own.loss, own.lr) == (t.options["loss"], pytest.approx(t.options["lr"]))
        assert t.low <= t.value <= t.high
        assert t.n == 6
    listed = [json.loads(line) for line in (config.out / "trials.jsonl").read_text().splitlines()]
    assert {row["number"]: row["value"] for row in listed} == {t.number: t.value for t in trials}


def test_a_run_below_the_others_is_stopped_at_its_own_measurement(tmp_path):
    config = replace(
        CONFIG, out=tmp_path / "pruned", model="scenes-start", hidden=128, dev_pictures=30, steps=4
    )
    plan = SweepPlan(
        {"lr": {"low": 1e-4, "high": 1e-1, "log": True}}, trials=6, warm_up=1
    )  # much of it ruins the model
    trials = sweep(config, plan)
    pruned = [t for t in trials if t.state == "pruned"]
    assert pruned
    assert min(t.value for t in trials if t.state == "complete") > min(t.value for t in pruned)
    lines = (config.out / f"trial-{pruned[0].number:04d}" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == 2  # at once, not a measurement later
    assert pruned[0].value == json.loads(lines[-1])["eval_recall"]


def test_the_best_is_the_one_with_the_highest_recall_of_its_metrics(whole):
    config, trials = whole
    values = {}
    for t in trials:
        if t.state == "complete":
            lines = (config.out / f"trial-{t.number:04d}" / "metrics.jsonl").read_text().splitlines()
            values[t.number] = max(json.loads(line).get("eval_recall", 0) for line in lines)
    assert trials[0].value == max(values.values()) == values[trials[0].number]
    best = TrainConfig.from_toml(config.out / "best.toml")
    assert best.loss == trials[0].options["loss"]


def test_a_killed_search_ends_like_one_never_killed(whole, tmp_path):
    _, trials = whole
    out = tmp_path / "killed"
    died = subprocess.run([sys.executable, str(HERE), str(out)], capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert (out / "trial-0002" / "config.toml").is_file()
    assert not (out / "trial-0002" / "model").exists()
    again = sweep(replace(CONFIG, out=out), PLAN, resume=True)
    assert seen(again) == seen(trials)


def test_a_finished_search_may_get_more_trials(tmp_path):
    config = replace(CONFIG, out=tmp_path / "more", steps=2)
    plan = replace(PLAN, trials=1)
    sweep(config, plan)
    with pytest.raises(FileExistsError, match="is not overwritten"):
        sweep(config, plan)
    assert len(sweep(config, replace(plan, trials=2), resume=True)) == 2
    with pytest.raises(ValueError, match="search with other options"):
        sweep(replace(config, lr=1.0), plan, resume=True)


def test_a_trial_that_cannot_be_is_listed_with_the_reason(tmp_path):
    config = replace(CONFIG, out=tmp_path / "failing", steps=2)
    plan = SweepPlan({"negatives": [2, 9]}, trials=6)
    trials = sweep(config, plan)
    failed = [t for t in trials if t.state == "failed"]
    assert failed
    assert "negatives is 9 and candidates 5" in failed[0].why
    with pytest.raises(ValueError, match="none of 1 trials came to its end; trial 0: negatives is 9"):
        sweep(replace(config, out=tmp_path / "all"), SweepPlan({"negatives": [9]}, trials=1))


def test_a_benchmark_on_the_dev_album_can_be_the_objective(tmp_path):
    config = replace(CONFIG, out=tmp_path / "benchmark", model="scenes-start", steps=1, dev_split=None)
    plan = SweepPlan({"loss": ["none"]}, trials=1, objective="scenes/relation/group", examples=8)
    (trial,) = sweep(config, plan)
    assert trial.n == 4
    assert 0 <= trial.value <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": {}}, "nothing to search"),
        ({"space": {"lrr": [1]}}, "Did you mean 'lr'"),
        ({"space": {"lr": {"low": 1.0}}}, "lr is {'low': 1.0}; expected a list of choices"),
        (
            {"space": {"lr": {"low": 0.0, "high": 1.0, "log": True}}},
            "on a logarithmic scale; expected above 0",
        ),
        ({"objective": "group"}, 'expected "recall", or BENCHMARK/GROUP/METRIC'),
        ({"trials": 0}, "trials is 0"),
        (
            {"space": {"candidates": {"low": 3.0, "high": 4.0}}},
            "an end of candidates is 3.0; expected .* int",
        ),
        ({"space": {"lr": ["a"]}}, "a choice of lr is 'a'; expected .* float"),
        ({"space": {"steps": [1, 2]}}, "unknown option 'steps'"),
    ],
)
def test_a_mistake_in_the_plan_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        replace(PLAN, **change)


def test_what_is_missing_is_said_before_there_is_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no model folder nowhere"):
        sweep(replace(CONFIG, out=tmp_path / "a", model="nowhere"), PLAN)
    with pytest.raises(FileNotFoundError, match="no captions at nothing"):
        sweep(replace(CONFIG, out=tmp_path / "a", data="nothing.json", split="train"), PLAN)
    assert not (tmp_path / "a").exists()


def test_numbers_are_drawn_of_the_kind_that_the_option_has():
    whole, log = {"low": 2, "high": 5}, {"low": 1, "high": 1000, "log": True}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    some = lambda name, where: [_suggest(study.ask(), name, where) for _ in range(40)]
    assert set(some("layer", whole)) == {2, 3, 4, 5}
    assert all(type(one) is int for one in some("warmup", log))
    assert sum(one < 32 for one in some("warmup", log)) > 10  # half of them, by their logarithms
    assert len(set(some("weight", whole))) == 40  # a number with a fraction, though its ends have none


def test_an_objective_that_cannot_be_measured_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no dev_split is given"):
        sweep(replace(CONFIG, out=tmp_path / "a", dev_split=None), PLAN)
    with pytest.raises(ValueError, match="unknown benchmark 'winoground'"):
        sweep(replace(CONFIG, out=tmp_path / "b"), replace(PLAN, objective="winoground/all/group"))


@pytest.mark.parametrize("name", [n for n in recipe_names() if "sweep" in recipe_path(n).read_text()])
def test_packaged_plans_are_read(name):
    assert SweepPlan.from_recipe(recipe_path(name)).trials == 20
    TrainConfig.from_toml(recipe_path(name))  # and training leaves them alone


def test_a_recipe_without_a_plan_is_named(tmp_path):
    (tmp_path / "r.toml").write_text("steps = 3\n")
    with pytest.raises(ValueError, match=r"has no table \[sweep\]"):
        SweepPlan.from_recipe(tmp_path / "r.toml")
    (tmp_path / "r.toml").write_text("[sweep]\ntrial = 3\n")
    with pytest.raises(ValueError, match="Did you mean 'trials'"):
        SweepPlan.from_recipe(tmp_path / "r.toml")


def test_a_mistake_in_the_plan_of_a_recipe_names_its_file(tmp_path):
    (tmp_path / "r.toml").write_text("[sweep]\ntrials = 0\n[sweep.space]\nlr = [1e-4]\n")
    with pytest.raises(ValueError, match=r"r\.toml: trials is 0 and warm_up \d+; expected 1 or more of each"):
        SweepPlan.from_recipe(tmp_path / "r.toml")


def die(trial, step, numbers):
    if (trial, step) == (2, 3):  # after the warm-up, past a measurement
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sweep(replace(CONFIG, out=Path(sys.argv[1])), PLAN, progress=die)
