"""Steps that are not finite never reach the weights; a run told to stop ends its step and is resumed exactly."""

import json
import os
import shutil
import signal
from dataclasses import replace
from multiprocessing import active_children, current_process

import pytest
import torch
from safetensors.torch import load_file

from cacr._stopping import Preempted, after_this_step, exit_code, preemptible
from cacr.training import train
from cacr.training.checkpoints import latest_checkpoint, remove_unfinished
from cacr.training.groups import GroupCollator
from cacr.training.guard import IN_A_ROW, NonFiniteLoss
from cacr.training.parts import PartsInLog


def weights(run):
    return load_file(run / "model" / "model.safetensors")


def lines(config):
    return [json.loads(line) for line in (config.out / "metrics.jsonl").read_text().splitlines()]


def break_batches(monkeypatch, numbers):
    """Batches of these numbers, from 0, have a feature that is nan."""
    usual, made = GroupCollator.__call__, []

    def call(self, items):
        batch = usual(self, items)
        if len(made) in numbers:
            batch["regions"]["region_features"][0, 0, 0] = torch.nan
        made.append(1)
        return batch

    monkeypatch.setattr(GroupCollator, "__call__", call)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_batch(config, monkeypatch):
    break_batches(monkeypatch, {3})
    with pytest.raises(
        NonFiniteLoss, match=r"step 4: the loss or its gradient is not finite; the batch is in"
    ):
        train(config)
    about = json.loads((config.out / "nonfinite" / "step-000004-process-0.json").read_text())
    assert about["not finite in the input"] == ["0/regions/region_features"]
    assert [sorted(one) for one in about["items"]] == [
        ["caption", "its captions", "its pictures", "picture"]
    ] * 2
    tensors = load_file(config.out / "nonfinite" / "step-000004-process-0.safetensors")
    assert tensors["0/regions/region_features"].isnan().sum() == 1
    assert latest_checkpoint(config.out).name == "checkpoint-2"
    saved = load_file(latest_checkpoint(config.out) / "model.safetensors")
    assert all(value.isfinite().all() for value in saved.values())


def test_a_run_that_stopped_goes_on_without_such_steps_if_asked(config, monkeypatch):
    with monkeypatch.context() as patch:
        break_batches(patch, {3})
        with pytest.raises(NonFiniteLoss):
            train(config)
    train(replace(config, nonfinite="skip"), resume=True)
    assert [line["step"] for line in lines(config)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_skipped_step_changes_no_weight_and_is_counted(config, monkeypatch, accumulate):
    config = replace(config, nonfinite="skip", save_every=1, accumulate=accumulate)
    break_batches(monkeypatch, {3 * accumulate})
    train(config)
    assert all(value.isfinite().all() for value in weights(config.out).values())
    assert [line.get("skipped") for line in lines(config)] == [None, None, None, 1.0, 1.0, 1.0]
    assert [line["loss"] is None for line in lines(config)] == [False, False, False, True, False, False]
    before, after = (
        load_file(config.out / "checkpoints" / f"checkpoint-{step}" / "model.safetensors") for step in (5, 6)
    )
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_weights_are_those_of_before_after_a_skipped_step(config, monkeypatch):
    config = replace(config, nonfinite="skip", save_every=1, steps=3)
    break_batches(monkeypatch, {2})
    train(config)
    before, after = (
        load_file(config.out / "checkpoints" / f"checkpoint-{step}" / "model.safetensors") for step in (2, 3)
    )
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_skipping_ends_where_every_step_is_broken(config, monkeypatch):
    config = replace(config, nonfinite="skip", steps=20)
    break_batches(monkeypatch, set(range(3, 40)))
    with pytest.raises(NonFiniteLoss, match=f"those of {IN_A_ROW} steps in a row"):
        train(config)
    assert lines(config)[-1]["skipped"] == IN_A_ROW - 1


@pytest.mark.parametrize(("step", "log_every", "readers"), [(1, 1, 0), (3, 4, 1), (4, 4, 0)])
def test_a_run_told_to_stop_resumes_to_the_same_weights_and_lines(config, tmp_path, step, log_every, readers):
    config = replace(config, log_every=log_every, readers=readers)
    whole = replace(config, out=tmp_path / "whole")
    train(whole)

    def told(done, numbers):
        if done == step:
            readers_of_this_run = active_children()
            assert len(readers_of_this_run) == readers
            for process in (*readers_of_this_run, current_process()):  # a scheduler tells them all
                os.kill(process.pid, signal.SIGTERM)

    with pytest.raises(Preempted):
        train(config, progress=told)
    assert not (config.out / "model").exists()
    assert latest_checkpoint(config.out).name == f"checkpoint-{step + 1}"
    train(config, resume=True)
    assert all(torch.equal(value, weights(config.out)[name]) for name, value in weights(whole.out).items())
    assert lines(config) == lines(whole)


def test_a_run_told_to_stop_in_its_last_step_is_finished(config):
    def told(done, numbers):
        if done == config.steps - 1:
            os.kill(os.getpid(), signal.SIGTERM)

    assert train(config, progress=told).is_dir()


def test_a_checkpoint_that_lost_a_part_of_a_file_does_not_count(config):
    def told(done, numbers):
        if done == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Preempted):
        train(config, progress=told)
    newest = latest_checkpoint(config.out)
    shutil.copytree(newest, newest.with_name("checkpoint-5 by hand"))
    optimizer = newest / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:-1])
    assert latest_checkpoint(config.out).name == "checkpoint-4"


def test_a_checkpoint_of_an_older_version_which_told_no_sizes_counts(config):
    folder = config.out / "checkpoints" / "checkpoint-4"
    folder.mkdir(parents=True)
    assert latest_checkpoint(config.out) is None
    (folder / "complete").touch()
    assert latest_checkpoint(config.out) == folder


def test_what_a_kill_left_of_checkpoints_is_removed_on_going_on_and_nothing_else_is(config):
    run = config.out / "checkpoints"
    for name in ("checkpoint-2", "checkpoint-4", "checkpoint-4 by hand"):
        (run / name).mkdir(parents=True)
    (run / "checkpoint-2" / "complete").write_text("{}")
    remove_unfinished(config.out)
    assert sorted(one.name for one in run.iterdir()) == ["checkpoint-2", "checkpoint-4 by hand"]


def test_a_checkpoint_takes_the_place_of_what_a_kill_left_of_it(config):
    folder = config.out / "checkpoints" / "checkpoint-2"

    def progress(step, numbers):
        if step == 1:
            folder.mkdir(parents=True)
            (folder / "half.safetensors").write_bytes(b"half")

    train(replace(config, steps=2), progress=progress)
    assert latest_checkpoint(config.out) == folder and not (folder / "half.safetensors").exists()


def test_what_was_noted_before_a_stop_goes_on_where_the_model_is():
    parts = PartsInLog()
    parts.note_again({"loss": [1.0]}, torch.device("meta"))
    parts.note(loss=torch.zeros((), device="meta"))
    assert {value.device.type for value in parts._noted["loss"]} == {"meta"}


def test_the_first_sigterm_stops_work_and_later_ones_do_not_disturb_what_is_being_saved():
    saved = []
    with pytest.raises(Preempted), preemptible():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            saved.append(exit_code())
    assert saved == [75]


def test_the_exit_code_after_ctrl_c_is_another():
    with preemptible(), after_this_step() as told:
        assert not told()
        assert exit_code() == 130
