"""A run folder records what a repetition needs, and keeps it when the run is resumed elsewhere; seeds decide alone."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cacr.models.loading import load_model
from cacr.models.shipped import shipped_model
from cacr.training import train
from cacr.training.folder import data_of, make_run_folder, note_resumed
from cacr.training.run import open_data


def recorded(config):
    return json.loads((config.out / "environment.json").read_text())


def test_a_run_folder_records_hashes_of_what_it_learns_from(config):
    pairs = open_data(config)
    make_run_folder(config, pairs)
    data = recorded(config)["data"]
    assert data == json.loads(json.dumps(data_of(config, pairs)))
    assert {"configuration", "captions", "regions", "features", "model"} == data.keys()
    assert data["model"]["of"] == "all bytes"
    assert recorded(config)["folder"] == str(Path.cwd())


def test_the_hash_of_the_configuration_is_of_all_but_its_folder(config):
    one = data_of(config)["configuration"]
    assert data_of(replace(config, out=Path("elsewhere")))["configuration"] == one
    assert data_of(replace(config, seed=config.seed + 1))["configuration"] != one


def test_another_starting_model_has_another_hash(config, tmp_path):
    with shipped_model() as folder:
        model = load_model(folder)
    model.save_pretrained(tmp_path / "start")
    mine = replace(config, model=str(tmp_path / "start"))
    before = data_of(mine)["model"]
    (tmp_path / "start" / "evaluation-scenes").mkdir()  # where `cacr eval` writes
    (tmp_path / "start" / "evaluation-scenes" / "scenes.json").write_text("{}")
    assert data_of(mine)["model"] == before
    next(model.parameters()).data += 1
    model.save_pretrained(tmp_path / "start")
    assert data_of(mine)["model"] != before


def test_what_resumes_a_run_is_added_and_overwrites_nothing(config, monkeypatch):
    make_run_folder(config)
    first = recorded(config)
    note_resumed(config, config.out / "checkpoints" / "checkpoint-2")
    monkeypatch.setenv("OMP_DYNAMIC", "true")
    note_resumed(config, None)
    found = recorded(config)
    same, other = found.pop("resumed")
    assert found == first
    assert same["step"] == 2
    assert "variables" not in same
    assert "packages" not in same
    assert other["step"] == 0
    assert other["variables"]["OMP_DYNAMIC"] == "true"


@pytest.mark.parametrize("content", [None, "", "[1]", '{"resumed": 3}'])
def test_a_run_without_a_readable_record_can_be_resumed_all_the_same(config, content):
    make_run_folder(config)
    file = config.out / "environment.json"
    file.unlink() if content is None else file.write_text(content)
    note_resumed(config, None)
    assert (file.read_text() if file.exists() else None) == content or len(recorded(config)["resumed"]) == 1


def test_the_same_seed_gives_the_same_run_in_another_process_and_with_a_reader(config, tmp_path):
    train(replace(config, out=tmp_path / "here", readers=1))
    code = (
        "import sys; from dataclasses import replace; from pathlib import Path\n"
        "from cacr.training import TrainConfig, train\n"
        "train(TrainConfig.from_toml(Path(sys.argv[1]), out=Path(sys.argv[2]), readers=0))"
    )
    words = [sys.executable, "-c", code, tmp_path / "here" / "config.toml", tmp_path / "there"]
    variables = os.environ | {"PYTHONHASHSEED": "77", "OMP_NUM_THREADS": str(torch.get_num_threads())}
    subprocess.run(words, check=True, capture_output=True, env=variables)
    for name in ("model/model.safetensors", "metrics.jsonl", "model/config.json"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes(), name
