"""Several processes are one run: the same weights, one log, and a lost process costs nothing but time."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cacr.training import TrainConfig, train
from cacr.training.processes import AGAIN
from cacr.training.validation import recalls

HERE = Path(__file__)
CONFIG = TrainConfig(
    model="new",
    scenes=16,
    steps=6,
    batch=4,
    candidates=15,
    negatives=15,  # 64 pairs for each of two processes: they are learned from in parts
    dropout=0.0,  # each process draws its own; without, the arithmetic is the same
    hidden=32,
    save_every=2,
    log_every=1,
    lr=1e-3,
    warmup=2,
    weight=4.0,
    dev_split="dev",
    dev_pictures=65,  # 33 for one process, 32 for the other: not equally many rounds
)
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def launch(config, *more, timeout=300):
    """Train in two processes, as a person would: the command line under torchrun, or this file to lose one."""
    config.out.parent.mkdir(parents=True, exist_ok=True)
    recipe = config.out.parent / "recipe.toml"
    recipe.write_text(config.to_toml())
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [*LAUNCH, *more, str(recipe)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment)


def same_weights(ours, theirs):
    """Equal up to the order of sums.

    Biases of keys are left out: softmax does not depend on them, so their gradients are rounding, which Adam scales up.
    """
    ours, theirs = load_file(ours / "model.safetensors"), load_file(theirs / "model.safetensors")
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if not name.endswith("key.bias"):
            torch.testing.assert_close(value, theirs[name], atol=2e-6, rtol=1e-5, msg=name)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return train(replace(CONFIG, out=tmp_path_factory.mktemp("alone") / "run"))


@pytest.mark.parametrize("shard", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_two_processes_that_lose_one_and_resume_end_with_the_weights_of_one_process(alone, tmp_path, shard):
    config = replace(CONFIG, out=tmp_path / "run", shard=shard)
    died = launch(config, str(HERE), "die")
    assert died.returncode != 0
    assert AGAIN in died.stderr
    assert not (config.out / "model").exists()
    again = launch(config, str(HERE), "resume")
    assert again.returncode == 0, again.stderr
    same_weights(config.out / "model", alone)
    lines = [json.loads(line) for line in (config.out / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5, 6]
    ours = [line["eval_recall"] for line in lines if "eval_recall" in line]
    theirs = [json.loads(line) for line in (alone.parent / "metrics.jsonl").read_text().splitlines()]
    assert ours == pytest.approx([line["eval_recall"] for line in theirs if "eval_recall" in line])
    for mine, single in zip(
        [line for line in lines if "loss" in line],
        [line for line in theirs if "loss" in line],
        strict=True,
    ):
        assert mine["vision"] == pytest.approx(single["vision"], rel=1e-3)  # the mean over both processes
        assert mine["loss"] == pytest.approx(single["loss"], rel=1e-4)


@pytest.mark.slow
def test_the_command_line_under_torchrun(alone, tmp_path):
    config = replace(CONFIG, out=tmp_path / "run")
    done = launch(config, "-m", "cacr", "train")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("The model is in") == 1  # one process speaks
    same_weights(config.out / "model", alone)


def test_recalls_of_a_perfect_and_of_a_constant_scorer():
    owners = [0, 0, 1, 2]
    match = (torch.tensor(owners)[:, None] == torch.arange(3)).float()
    assert recalls(match, owners)["recall"] == 1.0
    constant = recalls(torch.zeros(4, 3), owners)
    assert constant["R@1 caption to image"] == constant["R@1 image to caption"] == 0.0


def main(how, recipe):
    """In each process: one of them is killed at the third step, or the run is resumed."""
    config = TrainConfig.from_toml(Path(recipe))

    def progress(step, numbers):
        if how == "die" and step == 3 and os.environ["RANK"] == "1":
            os.kill(os.getpid(), 9)

    try:
        train(config, resume=how == "resume", progress=progress)
    except ConnectionError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
