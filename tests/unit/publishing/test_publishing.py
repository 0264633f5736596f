"""A model goes to the hub with a card that says what it is; what is there already is kept."""

import json
import shutil

import numpy as np
import pytest
from huggingface_hub import ModelCard

from cacr.publishing import model_card, publish
from cacr.publishing.card import MADE


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "run" / "model"
    for name in ("evaluation-scenes", "evaluation-dev"):
        (folder / name).mkdir(parents=True)
    (tmp_path / "run" / "config.toml").write_text('out = "/home/me/run"\nloss = "cacr"\nseed = 42\n')
    (folder / "config.json").write_text('{"model_type": "uniter"}')
    (folder / "model.safetensors").write_bytes(b"weights")
    rng = np.random.default_rng(0)
    for name, options in (("evaluation-scenes", {}), ("evaluation-dev", {"seed": "2", "n": "20"})):
        (folder / name / "scenes.json").write_text(json.dumps({"options": options}))
        with (folder / name / "scenes.jsonl").open("w") as file:
            for i in range(20):
                record = {
                    "example": f"e{i}",
                    "tags": ["relation", "left"],
                    "match": rng.random((2, 2)).tolist(),
                }
                file.write(json.dumps(record) + "\n")
    return folder


def test_the_card_holds_recipe_scores_with_intervals_and_citation(model):
    card = model_card(model, "me/my-model")
    assert 'loss = "cacr"' in card
    assert "2212.10549" in card
    rows = [line for line in card.splitlines() if "| relation | group |" in line]
    assert [row.split(" | ")[1] for row in rows] == ["seed 2, n 20", "all of it"]
    assert all("| 20 | 16.7 |" in row and "[" in row for row in rows)
    assert 'out = "run"' in card
    assert "/home/me" not in card  # where it lay is nobody's business
    parsed = ModelCard(card).data
    assert parsed.to_dict()["library_name"] == "cacr"
    assert any(r.metric_name == "group, relation" for r in parsed.eval_results)


def test_a_model_that_was_not_measured_says_so(model):
    for name in ("evaluation-scenes", "evaluation-dev"):
        shutil.rmtree(model / name)
    assert "Not measured yet" in model_card(model, "me/my-model")


def test_everything_of_the_model_is_uploaded_with_its_card_in_one_commit(model, hub):
    (model / ".lock").write_text("")
    assert publish(model, "me/m", private=True) == f"{hub.url}/me/m"
    found = hub.repositories["model", "me/m"]
    assert found.private
    of_the_folder = {"README.md", *(n for n in names(model) if n != ".lock")}
    assert {name for name in found.files if not name.endswith(".py")} == of_the_folder
    assert found.files["model.safetensors"] == b"weights"
    assert MADE.encode() in found.files["README.md"]
    assert not (model / "README.md").exists()
    assert sum("/commit/" in one for one in hub.asked) == 1


def test_what_is_on_the_hub_is_kept(model, hub):
    hub.put("me/m", {"README.md": b"mine"})
    with pytest.raises(FileExistsError, match="exists on the hub and is not changed; add --update"):
        publish(model, "me/m")
    assert set(hub.repositories["model", "me/m"].files) == {"README.md"}
    publish(model, "me/m", update=True)
    files = hub.repositories["model", "me/m"].files
    assert files["README.md"] == b"mine"
    assert "model.safetensors" in files


def test_a_card_says_what_was_measured_without_the_folders_of_the_machine(model):
    options = {"data": "/home/me/vsr", "images": ["/home/me/coco", "/media/more"], "n": 20}
    options["features"] = "hf://datasets/me/f@0/f.safetensors"
    (model / "evaluation-scenes" / "scenes.json").write_text(json.dumps({"options": options}))
    (model / "evaluation-dev" / "scenes.json").unlink()
    card = model_card(model, "me/my-model")
    rows = [line.split(" | ")[1] for line in card.splitlines() if "| relation | group |" in line]
    said = "data vsr, images coco and more, n 20, features hf://datasets/me/f@0/f.safetensors"
    assert rows == ["not said", said]
    assert "/home/me" not in card and "/media" not in card


@pytest.mark.parametrize(
    "before", [{"model.safetensors": b"old"}, {"README.md": f"{MADE}, long ago".encode()}]
)
def test_a_card_that_is_missing_or_ours_is_written_again(model, hub, before):
    hub.put("me/m", before)
    publish(model, "me/m", update=True)
    assert 'loss = "cacr"' in hub.repositories["model", "me/m"].files["README.md"].decode()


def test_a_card_in_the_folder_is_the_users(model, hub):
    (model / "README.md").write_text("my own words")
    publish(model, "me/m")
    assert hub.repositories["model", "me/m"].files["README.md"] == b"my own words"


def test_a_bare_name_is_the_users_own_also_in_the_card(model, hub):
    assert publish(model, "m") == f"{hub.url}/me/m"
    card = hub.repositories["model", "me/m"].files["README.md"].decode()
    assert 'RegionScorer.from_pretrained("me/m")' in card


def test_a_broken_connection_is_a_sentence(model, hub):
    hub.broken["/repos/create"] = lambda *_: (500, {}, b"{}")
    with pytest.raises(ConnectionError, match="the hub did not take me/m: .*500.* me/m`; all is safe in"):
        publish(model, "me/m")
    hub.repositories.clear()
    hub.broken = {"/commit/": lambda *_: (403, {}, b"{}")}
    with pytest.raises(ConnectionError, match="Log in with `hf auth login`, .* `cacr push .* me/m --update`"):
        publish(model, "me/m")
    hub.broken.clear()
    publish(model, "me/m", update=True)


def test_no_connection_is_a_sentence(model, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match=r"the hub did not take me/m: .* all is safe"):
        publish(model, "me/m")


def test_no_model_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no config\.json in"):
        publish(tmp_path, "me/m")


def names(folder):
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
