"""Commands take names of the hub where they take folders, and their records say which commit was read."""

import json

import pytest

from cacr.cli import main
from cacr.data.scenes import SceneCaptions
from cacr.models.shipped import shipped_model
from cacr.regions import write_features


@pytest.fixture
def pinned(hub):
    """The shipped start on the hub as me/start; its address with the commit."""
    with shipped_model() as folder:
        files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    return f"hf://me/start@{hub.put('me/start', files)}"


@pytest.fixture
def captions(hub, tmp_path):
    """Four captioned scenes on the hub as the data set me/d; its address with the commit."""
    scenes = SceneCaptions(2, 4)
    names = [f"{i}.png" for i in range(4)]
    regions = {name: scenes.picture(i).regions for i, name in enumerate(names)}
    write_features(tmp_path / "f.safetensors", regions)
    lines = [json.dumps({"image": name, "caption": scenes.captions[i]}) for i, name in enumerate(names)]
    for i, name in enumerate(names):
        scenes.picture(i).image.save(tmp_path / name)
    files = {name: (tmp_path / name).read_bytes() for name in names} | {
        "captions.jsonl": "\n".join(lines).encode(),
        "features.safetensors": (tmp_path / "f.safetensors").read_bytes(),
    }
    return f"hf://datasets/me/d@{hub.put('me/d', files, 'dataset')}"


def run(*arguments):
    assert main([str(argument) for argument in arguments]) == 0


def test_a_model_and_data_of_the_hub_are_measured(hub, pinned, captions, tmp_path, capsys):
    run("eval", "me/start", "retrieval", "--data", "hf://datasets/me/d", "--out", tmp_path / "out")
    about = json.loads((tmp_path / "out" / "retrieval.json").read_text())
    assert (about["scorer"]["name"], about["scorer"]["hub"]) == ("me/start", pinned)
    assert about["options"] == {"data": captions}
    again = ["--data", captions, "--out", tmp_path / "out", "--resume"]
    hub.put("me/start", {"README.md": b"a word of the card"})
    run("eval", "me/start", "retrieval", *again)  # the same weights in another commit


def test_a_run_starts_from_the_hub(pinned, captions, tmp_path, capsys):
    out = tmp_path / "run"
    short = ["--steps=1", "--warmup=1", "--batch=1", "--candidates=2", "--negatives=1"]
    regions = "hf://datasets/me/d/features.safetensors"
    data = ["--data=hf://datasets/me/d", f"--features={regions}"]
    run("train", "--model=me/start", *data, f"--out={out}", *short)
    made = json.loads((out / "environment.json").read_text())["data"]
    features = f"{captions}/features.safetensors"
    assert made["hub"] == {"data": captions, "features": features, "model": pinned}
    assert made["model"]["bytes"] > 0
    config = (out / "config.toml").read_text()
    for line in ('model = "me/start"', 'data = "hf://datasets/me/d"', f'features = "{regions}"'):
        assert line in config


@pytest.mark.slow
def test_attention_of_a_model_of_the_hub_is_measured(pinned, tmp_path, capsys):
    run("analyze", "me/start", "--n", 8, "--layers=-1", "--heads=mean", "--out", tmp_path / "analysis")
    asked = json.loads((tmp_path / "analysis" / "analysis.json").read_text())["asked"]
    assert asked["models"] == {"start": pinned}


def test_attention_of_a_model_of_the_hub_is_shown(pinned, captions, tmp_path, capsys):
    page = tmp_path / "page.html"
    run("explore", "me/start@main", "--pairs", "hf://datasets/me/d", "--n", 1, "--out", page)
    assert page.stat().st_size > 10_000


def test_a_name_that_is_nowhere_is_a_sentence(hub, capsys):
    assert main(["eval", "me/nothing", "scenes"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "no model folder me/nothing; expected RUN/model" in said
    assert "the hub has no model me/nothing, or it is private" in said
