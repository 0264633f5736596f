"""Measuring on held-out pictures: the best checkpoint becomes the model, a run stops when nothing gets better."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from cacr.training import train
from cacr.training.run import open_data
from cacr.training.validation import first_pictures, recalls


@pytest.fixture
def config(config):
    return replace(config, steps=8, dev_split="dev", dev_pictures=12)


def lines(config):
    return [json.loads(line) for line in (config.out / "metrics.jsonl").read_text().splitlines()]


def measured(config):
    return {line["step"]: line["eval_recall"] for line in lines(config) if "eval_recall" in line}


def test_the_best_checkpoint_becomes_the_model(config):
    ruinous = replace(config, lr=0.05)  # it unlearns: the first measurement is the best
    train(ruinous)
    found = measured(ruinous)
    best = max(found, key=lambda step: (found[step], -step))
    assert found[best] > found[8]
    kept = load_file(ruinous.out / "checkpoints" / f"checkpoint-{best}" / "model.safetensors")
    for name, value in load_file(ruinous.out / "model" / "model.safetensors").items():
        assert torch.equal(value, kept[name]), name


def test_a_run_stops_when_nothing_gets_better(config):
    impatient = replace(config, lr=0.0, steps=20, patience=2)
    train(impatient)
    assert list(measured(impatient)) == [2, 4, 6]  # the first counts, then two that are no better


def test_a_resumed_run_remembers_how_long_it_has_waited(config, monkeypatch):
    impatient = replace(config, lr=0.0, steps=20, patience=2)

    def stop(step, numbers):
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(impatient, progress=stop)
    train(impatient, resume=True)
    assert list(measured(impatient)) == [2, 4, 6]


def test_measuring_does_not_change_what_is_learned(config, tmp_path):
    train(config)
    without = replace(config, out=tmp_path / "without", dev_split=None)
    train(without)
    ours, theirs = (
        load_file(c.out / "checkpoints" / "checkpoint-8" / "model.safetensors") for c in (config, without)
    )
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def test_its_interval_is_over_pictures():
    owners = [0, 0, 1, 1]
    match = torch.tensor([[2.0, 1], [2, 1], [2, 1], [2, 1]])  # picture 0 is found by all, picture 1 by none
    found = recalls(match, owners)
    assert found["R@1 caption to image"] == 0.5
    assert found["pictures"] == 2
    assert found["recall_error"] > 0


def test_the_first_pictures_keep_all_their_captions(config):
    pairs = open_data(config, dev=True)
    images, captions, owners = first_pictures(pairs, 3)
    assert images == [0, 1, 2]
    assert [pairs.image_of_caption[c] for c in captions] == [images[o] for o in owners]


def test_what_cannot_be_measured_is_refused(config, tmp_path):
    with pytest.raises(ValueError, match="the embedded world has one, named dev"):
        train(replace(config, dev_split="val"))
    with pytest.raises(ValueError, match="patience is 2 without a dev split"):
        replace(config, dev_split=None, patience=2)
    for split in ("val", None):
        with pytest.raises(ValueError, match="pictures that are trained on cannot tell when to stop"):
            replace(config, data=str(tmp_path), split=split, dev_split="val")


def test_batches_may_be_read_ahead(config, tmp_path):
    train(replace(config, dev_split=None, steps=4))
    ahead = replace(config, dev_split=None, steps=4, readers=2, out=tmp_path / "ahead")
    train(ahead)
    ours, theirs = (load_file(c.out / "model" / "model.safetensors") for c in (config, ahead))
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def test_tensorboard_gets_the_parts_of_the_loss(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("tensorboard")
    train(replace(config, dev_split=None, steps=2, track="tensorboard"))
    logged = list(config.out.rglob("events.out.tfevents.*"))
    assert len(logged) == 1
    assert b"rank_image" in logged[0].read_bytes()


def test_an_unknown_tracker_is_named(config):
    with pytest.raises(ValueError, match="unknown tracker 'tensorbord'. Did you mean 'tensorboard'"):
        replace(config, track="tensorbord")
