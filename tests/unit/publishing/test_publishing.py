"""A model goes to the hub with a card that says what it is; what is there already is kept."""

import json
import shutil

import numpy as np
import pytest
from huggingface_hub import ModelCard

from cacr.publishing import model_card, publish
from cacr.publishing.card import MADE


class Hub:
    """A hub in memory, with the four calls that are made of it."""

    def __init__(self, folder, existing=None):
        self.folder, self.files = folder, dict(existing or {})
        self.made = bool(existing)

    def whoami(self):
        return {"name": "me"}

    def repo_exists(self, repo):
        assert repo == "me/m"
        return self.made

    def create_repo(self, repo, private, exist_ok):
        self.made, self.private = True, private
        return f"https://hub/{repo}"

    def upload_folder(self, repo_id, folder_path, ignore_patterns):
        assert repo_id == "me/m"
        names = [f.relative_to(folder_path).as_posix() for f in folder_path.rglob("*") if f.is_file()]
        kept = [n for n in names if not n.startswith(".") and n not in ignore_patterns]
        self.files |= {name: (folder_path / name).read_bytes() for name in kept}

    def upload_file(self, path_or_fileobj, path_in_repo, repo_id):
        self.files[path_in_repo] = path_or_fileobj

    def file_exists(self, repo, name):
        return name in self.files

    def hf_hub_download(self, repo, name):
        path = self.folder / "downloaded"
        path.write_bytes(self.files[name])
        return str(path)


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


def test_everything_of_the_model_is_uploaded_with_its_card(model, tmp_path):
    hub = Hub(tmp_path)
    assert publish(model, "me/m", private=True, api=hub) == "https://hub/me/m"
    assert hub.private
    assert {
        "config.json",
        "model.safetensors",
        "README.md",
        "evaluation-scenes/scenes.jsonl",
    } <= hub.files.keys()
    assert MADE.encode() in hub.files["README.md"]
    assert not (model / "README.md").exists()


def test_what_is_on_the_hub_is_kept(model, tmp_path):
    hub = Hub(tmp_path, {"README.md": b"mine"})
    with pytest.raises(FileExistsError, match="exists on the hub and is not changed; add --update"):
        publish(model, "me/m", api=hub)
    publish(model, "me/m", update=True, api=hub)
    assert hub.files["README.md"] == b"mine"
    assert "model.safetensors" in hub.files


def test_a_card_says_what_was_measured_without_the_folders_of_the_machine(model):
    options = {"data": "/home/me/vsr", "images": ["/home/me/coco", "/media/more"], "n": 20}
    (model / "evaluation-scenes" / "scenes.json").write_text(json.dumps({"options": options}))
    (model / "evaluation-dev" / "scenes.json").unlink()
    card = model_card(model, "me/my-model")
    rows = [line.split(" | ")[1] for line in card.splitlines() if "| relation | group |" in line]
    assert rows == ["not said", "data vsr, images coco and more, n 20"]
    assert "/home/me" not in card and "/media" not in card


def test_a_card_that_is_missing_or_ours_is_written_again(model, tmp_path):
    for before in ({"model.safetensors": b"old"}, {"README.md": f"{MADE}, long ago".encode()}):
        hub = Hub(tmp_path, before)
        publish(model, "me/m", update=True, api=hub)
        assert 'loss = "cacr"' in hub.files["README.md"].decode()


def test_a_card_in_the_folder_is_the_users(model, tmp_path):
    (model / "README.md").write_text("my own words")
    hub = Hub(tmp_path)
    publish(model, "me/m", api=hub)
    assert hub.files["README.md"] == b"my own words"


def test_a_bare_name_is_the_users_own(model, tmp_path):
    assert publish(model, "m", api=Hub(tmp_path)) == "https://hub/me/m"


def test_a_broken_connection_is_a_sentence(model, tmp_path):
    class Lost(Hub):
        def create_repo(self, repo, private, exist_ok):
            raise RuntimeError("no route")

    with pytest.raises(ConnectionError, match="the hub did not take me/m: no route"):
        publish(model, "me/m", api=Lost(tmp_path))


def test_no_connection_is_a_sentence(model, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match=r"the hub did not take me/m: .* the model itself is safe"):
        publish(model, "me/m")


def test_no_model_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no config\.json in"):
        publish(tmp_path, "me/m")
