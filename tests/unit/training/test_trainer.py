"""Fine-tuning learns from the hardest negatives, adds the attention loss of the true pairs, and resumes exactly."""

import json
import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from cacr._files import working_in
from cacr.losses import LOSSES
from cacr.training import TrainConfig, train
from cacr.training.checkpoints import latest_checkpoint
from cacr.training.start import starting_model


def weights(run):
    return load_file(run / "model" / "model.safetensors")


def test_a_run_leaves_a_self_contained_folder(config):
    model = train(config)
    assert model == config.out / "model"
    lines = [json.loads(line) for line in (config.out / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert {"loss", "rank_image", "rank_text", "vision", "language", "weight", "learning_rate"} <= set(
        lines[0]
    )
    assert [line["weight"] for line in lines] == pytest.approx([math.exp(5 * (i / 6 - 1)) for i in range(6)])
    assert json.loads((config.out / "environment.json").read_text())["packages"]["torch"]
    assert "cacr train" in (config.out / "README.md").read_text()
    assert TrainConfig.from_toml(config.out / "config.toml") == config
    start, _ = starting_model(config, None)
    assert any(
        not torch.equal(value, start.state_dict()[name]) for name, value in weights(config.out).items()
    )


def test_the_same_seed_gives_the_same_weights(config, tmp_path):
    train(config)
    again = replace(config, out=tmp_path / "again")
    train(again)
    for name, value in weights(config.out).items():
        assert torch.equal(value, weights(again.out)[name]), name


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_every_loss_trains(config, loss):
    train(replace(config, loss=loss, steps=2))
    line = json.loads((config.out / "metrics.jsonl").read_text().splitlines()[-1])
    assert all(math.isfinite(value) for value in line.values())
    assert ("vision" in line) == (loss != "none")


def test_a_run_killed_before_it_began_may_begin_again_but_a_folder_of_ones_own_is_kept(config):
    config.out.mkdir()
    (config.out / "README.md").write_text("mine")
    with pytest.raises(FileExistsError, match="is not overwritten"):
        train(replace(config, steps=1))
    assert (config.out / "README.md").read_text() == "mine"
    (config.out / "environment.json").write_text("{}")  # what a run writes first
    train(replace(config, steps=1))
    assert (config.out / "model").is_dir()


def test_half_precision_trains(config):
    train(replace(config, precision="bf16", steps=2))
    lines = [json.loads(line) for line in (config.out / "metrics.jsonl").read_text().splitlines()]
    assert all(math.isfinite(value) for value in lines[-1].values())
    assert all(value.dtype == torch.float32 for value in weights(config.out).values())  # autocast alone
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match='precision is "fp16", which needs a GPU'):
            train(replace(config, precision="fp16"))


def test_the_attention_loss_changes_what_is_learned(config, tmp_path):
    train(config)
    without = replace(config, loss="none", out=tmp_path / "without")
    train(without)
    name = "uniter.encoder.layer.2.attention.self.query.weight"
    assert not torch.equal(weights(config.out)[name], weights(without.out)[name])


def test_frozen_layers_do_not_learn(config):
    train(replace(config, freeze_layers=2))
    start, _ = starting_model(config, None)
    before, after = start.state_dict(), weights(config.out)
    frozen = (
        "uniter.embeddings.",
        "uniter.region_embeddings.",
        "uniter.encoder.layer.0.",
        "uniter.encoder.layer.1.",
    )
    for name, value in after.items():
        if name.startswith(frozen):
            assert torch.equal(value, before[name]), name
    assert not torch.equal(
        after["uniter.encoder.layer.2.output.dense.weight"],
        before["uniter.encoder.layer.2.output.dense.weight"],
    )


def test_activation_checkpointing_trains_the_same(config, tmp_path):
    train(config)
    saving = replace(config, checkpointing=True, out=tmp_path / "saving")
    train(saving)
    for name, value in weights(config.out).items():
        torch.testing.assert_close(value, weights(saving.out)[name], rtol=1e-4, atol=1e-5)


class Killed(Exception):
    """Stands for a kill in the middle of a step."""


def kill_at(monkeypatch, step):
    original = TrainerCallback.on_step_begin

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == step:
            raise Killed
        return original(self, args, state, control, **kwargs)

    monkeypatch.setattr(TrainerCallback, "on_step_begin", on_step_begin)


@pytest.mark.parametrize("step", [1, 3, 4])
def test_a_stopped_run_resumes_to_the_same_weights(config, tmp_path, monkeypatch, step):
    whole = replace(config, out=tmp_path / "whole")
    train(whole)
    with monkeypatch.context() as patch:
        kill_at(patch, step)
        with pytest.raises(Killed):
            train(config)
    assert not (config.out / "model").exists()
    train(config, resume=True)
    for name, value in weights(whole.out).items():
        assert torch.equal(value, weights(config.out)[name]), name
    steps = [json.loads(line)["step"] for line in (config.out / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_a_checkpoint_cut_off_by_a_kill_is_not_resumed_from(config, monkeypatch):
    with monkeypatch.context() as patch:
        kill_at(patch, 4)
        with pytest.raises(Killed):
            train(config)
    newest = latest_checkpoint(config.out)
    assert newest.name == "checkpoint-4"
    (newest / "complete").unlink()
    (newest / "optimizer.pt").write_bytes(b"half")
    assert latest_checkpoint(config.out).name == "checkpoint-2"
    train(config, resume=True)
    assert (config.out / "model").is_dir()


def test_an_existing_run_is_not_overwritten(config):
    train(replace(config, steps=1))
    with pytest.raises(FileExistsError, match="exists and is not overwritten"):
        train(config)
    with pytest.raises(FileExistsError, match="has finished"):
        train(replace(config, steps=1), resume=True)


def test_another_configuration_is_not_resumed(config, monkeypatch):
    with monkeypatch.context() as patch:
        kill_at(patch, 3)
        with pytest.raises(Killed):
            train(config)
    with pytest.raises(ValueError, match=r"another configuration: lr = 0\.01 \(then: 0\.0005\)"):
        train(replace(config, lr=0.01), resume=True)


def test_a_run_of_a_version_without_a_newer_setting_is_resumed(config, monkeypatch):
    with monkeypatch.context() as patch:
        kill_at(patch, 3)
        with pytest.raises(Killed):
            train(config)
    written = config.out / "config.toml"
    lines = written.read_text().splitlines(keepends=True)
    written.write_text("".join(line for line in lines if not line.startswith("mining_precision")))
    with pytest.raises(ValueError, match=r"mining_precision = bf16 \(then: same\)"):
        train(replace(config, mining_precision="bf16"), resume=True)
    train(config, resume=True)
    assert (config.out / "model").is_dir()


def test_a_mistake_leaves_no_folder_in_the_way(config):
    with pytest.raises(ValueError, match="layer is 9"):
        train(replace(config, layer=9))
    assert not config.out.exists()


def test_two_processes_cannot_work_in_one_folder(config, monkeypatch):
    with monkeypatch.context() as patch:
        kill_at(patch, 3)
        with pytest.raises(Killed):
            train(config)
    with working_in(config.out), pytest.raises(BlockingIOError, match="another process is at work"):
        train(config, resume=True)


def test_processes_that_cannot_share_a_batch_are_refused(config, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="batch is 2, and 3 processes share it; give a multiple of 3"):
        train(config)
    monkeypatch.setenv("WORLD_SIZE", "1")
    with pytest.raises(ValueError, match="shard is set and there is one process"):
        train(replace(config, shard=True))


def test_nothing_to_resume_is_said(config):
    with pytest.raises(FileNotFoundError, match="no run to resume"):
        train(config, resume=True)


def test_features_of_another_width_are_named(config, data):
    from cacr.data.scenes import tokenizer
    from cacr.models.uniter import UniterConfig, UniterForImageTextRetrieval, UniterProcessor

    folder = config.out.parent / "wide"
    UniterForImageTextRetrieval(
        UniterConfig(
            vocab_size=60,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=8,
            cls_token_id=1,
            sep_token_id=2,
            mask_token_id=3,
        )
    ).save_pretrained(folder)
    UniterProcessor(tokenizer()).save_pretrained(folder)
    with pytest.raises(ValueError, match=r"have 40 numbers per region; the model .* was made for 2048"):
        train(replace(config, model=str(folder)))


def test_a_layer_that_is_not_there_is_named(config):
    with pytest.raises(ValueError, match="layer is 3; the model has 3 layers"):
        train(replace(config, layer=3))


def test_a_starting_model_that_is_not_there_is_named(config):
    with pytest.raises(FileNotFoundError, match='no model folder nowhere; expected "scenes-start"'):
        train(replace(config, model="nowhere"))


def test_mining_is_free_of_dropout_and_leaves_training_mode(config):
    from transformers import TrainingArguments

    from cacr.training import GroupCollator, GroupDataset, RetrievalTrainer
    from cacr.training.run import open_data

    model, processor = starting_model(config, None)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    pairs = open_data(config)
    trainer = RetrievalTrainer(
        recipe=config,
        processor=processor,
        model=model,
        args=TrainingArguments(str(config.out), report_to="none"),
    )
    batch = GroupCollator(pairs, processor)([GroupDataset(pairs, 1, 5)[0]])
    model.train()
    first, second = trainer._mine(model, batch), trainer._mine(model, batch)
    assert first.shape == (2, 6)
    assert torch.equal(first, second)
    assert model.training
    assert not first.requires_grad
