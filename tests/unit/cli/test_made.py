"""What `cacr convert`, `train`, `pretrain`, `push` and `study` say of what they made, wherever it lies."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cacr.cli import main
from cacr.cli import study as studying
from cacr.models.loading import load_model, load_processor
from cacr.regions import Regions, open_features, write_features
from cacr.study import StudyPlan, jobs_of

ODD = "runs [/b] [red]"
"""A folder's name that the console's markup would take for its own."""
SMALL = [
    "--model=new",
    "--scenes=12",
    "--steps=1",
    "--warmup=1",
    "--batch=2",
    "--candidates=5",
    "--negatives=2",
]
SMALL += ["--hidden=16", "--layers=1", "--heads=2"]


@pytest.fixture
def out(tmp_path):
    return tmp_path / ODD / "made"


def said(capsys, *arguments, code=0):
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == code
    return capsys.readouterr().out


def test_a_trained_model_is_put_on_the_hub_and_its_place_is_said(out, hub, capsys):
    told = said(capsys, "train", "scenes", f"--out={out}", *SMALL, "--push-to-hub", "m")
    assert f"The model is in {out}/model, the losses in {out}/metrics.jsonl.\n" in told
    assert f"The model is at {hub.url}/me/m\n" in told
    files = hub.repositories["model", "me/m"].files
    assert files["model.safetensors"] == (out / "model" / "model.safetensors").read_bytes()


def test_a_model_is_pushed_with_the_options_of_the_hub(data, out, hub, capsys):
    shutil.copytree(data / "oscar" / "retrieval", out)
    told = said(capsys, "push", out, "me/m", "--private", "--license", "mit")
    assert told == f"The model is at {hub.url}/me/m\n"
    found = hub.repositories["model", "me/m"]
    assert found.private and {"config.json", "README.md"} <= found.files.keys()
    assert main(["push", str(out), "me/m"]) == 1
    assert "add --update to upload into it" in " ".join(capsys.readouterr().err.split())
    (out / "new.txt").touch()
    told = said(capsys, "push", out, "me/m", "--update")
    assert "Its card names no licence:  cacr push" in told and "--update --license NAME" in told
    assert "new.txt" in found.files


def test_features_are_pushed_as_a_data_set_and_read_by_the_address_that_is_said(tmp_path, hub, capsys):
    regions = Regions(torch.ones(1, 4), torch.tensor([[0, 0, 1, 1.0]]))
    write_features(tmp_path / "features.safetensors", {"a.jpg": regions})
    push = ("push", tmp_path / "features.safetensors", "f", "--dataset")
    said(capsys, *push, code=1)  # without a licence
    assert not hub.repositories
    told = said(capsys, *push, "--license", "cc-by-4.0", "--made", "Drawn.")
    assert "Read it as hf://datasets/me/f\n" in told
    assert list(open_features("hf://datasets/me/f")) == ["a.jpg"]
    said(capsys, "push", tmp_path, "m", "--made", "x", code=1)
    said(capsys, *push, "--license", "mit", "--language", "de", code=1)


def test_a_start_that_is_pretrained_can_be_measured_as_it_says(out, capsys):
    told = said(capsys, "pretrain", f"--out={out}", "--scenes=40", "--steps=1", "--groups=2", "--masked=4")
    assert told == f"The model is in {out}.\nMeasure it:  cacr eval {out} scenes scenes-retrieval\n"
    assert load_model(out).config.num_hidden_layers == 3
    assert type(load_processor(out)).__name__ == "UniterProcessor"


def test_what_was_made_and_what_was_left_out_of_a_checkpoint_is_said(data, out, tmp_path, capsys):
    state = load_file(data / "uniter_tiny.safetensors")
    state = {name: value for name, value in state.items() if "rank_output" not in name}
    extra = {f"uniter.more.{i}.[/b]": torch.zeros(1) for i in range(8)}
    config = ["--config", data / "uniter_tiny.json"]
    torch.save(state | extra, tmp_path / "more.pt")
    told = said(capsys, "convert", tmp_path / "more.pt", out, *config)
    assert "starts as the match row" in told
    assert f"Left out: {', '.join(list(extra)[:6])} and 2 more.\n" in told
    torch.save(state | dict(list(extra.items())[:2]), tmp_path / "few.pt")
    told = said(capsys, "convert", tmp_path / "few.pt", tmp_path / "few", *config)
    assert f"Left out: {', '.join(list(extra)[:2])}.\n" in told


def test_a_study_that_was_stopped_early_says_how_to_go_on_and_makes_no_report(out, capsys, monkeypatch):
    monkeypatch.setattr(studying, "run_study", lambda *given: [])  # Ctrl-C before the first job was done
    told = said(capsys, "study", f"--out={out}", code=130)
    assert f"Go on:  cacr study --out {out} --resume\n" in told
    assert told.startswith("Stopped after 0 of ") and "so there is no report.\n" in told
    assert not out.exists()


def test_a_study_that_is_done_names_its_arms_as_they_are_and_ends_well(
    data, tmp_path, out, capsys, monkeypatch
):
    plan = (data / "plan.toml").read_text().replace('"rows"', '"rows [/b]"')
    (tmp_path / "plan.toml").write_text(plan)
    row = {"arm": "rows [/b]", "against": "none", "value": 0.1, "low": 0.05, "high": 0.2, "n": 8, "seeds": 1}
    row |= {"adjusted p": 0.004, "verdict": "resolved"}

    def run(file, folder, resume, workers, report):
        jobs = jobs_of(StudyPlan.from_toml(file), folder)
        for job in jobs:
            report(job, 5, 5)
        return jobs

    monkeypatch.setattr(studying, "run_study", run)
    monkeypatch.setattr(studying, "write_report", lambda *given: {"contrasts": {"primary": [row]}})
    told = said(capsys, "study", tmp_path / "plan.toml", f"--out={out}")
    assert "rows [/b] │ none" in told and "Stopped" not in told
    assert "1 of 1 primary contrasts are resolved after Holm; rows [/b] − none: +10.0" in told
    assert f"The report is in {out}/README.md, its tables in {out}/tables.md" in told


def test_converted_features_are_said_with_the_file_that_holds_them(tmp_path, out, capsys):
    stored = {"a.jpg": Regions(torch.ones(2, 4), torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 2))}
    write_features(tmp_path / "f.safetensors", stored)
    told = said(capsys, "features", "--convert", tmp_path / "f.safetensors", "-o", f"{out}.safetensors")
    assert f"Wrote the regions of 1 pictures, 4 numbers each, to {out}.safetensors.\n" in told
    assert told.endswith(f"cacr eval MODEL retrieval --data CAPTIONS --features {out}.safetensors\n")
    assert list(open_features(Path(f"{out}.safetensors"))) == ["a.jpg"]
