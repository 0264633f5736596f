"""What goes to the hub comes back the same: a model, features, records, each with a card that is true of it."""

import json
import re

import pytest
import torch
from huggingface_hub import DatasetCard, ModelCard
from torch.testing import assert_close

from cacr.benchmarks import BENCHMARKS, Options
from cacr.benchmarks.records import write_records
from cacr.data.scenes import SceneCaptions
from cacr.models.loading import load_model, load_processor
from cacr.models.shipped import shipped_model
from cacr.models.uniter import UniterForImageTextRetrieval, UniterProcessor
from cacr.publishing import data_card, model_card, publish, publish_data
from cacr.regions import open_features, write_features
from cacr.scorers import ConstantScorer, RegionScorer
from cacr.training import TrainConfig
from cacr.training.folder import make_run_folder


@pytest.fixture
def run(tmp_path):
    """A run's folder whose model is the shipped start."""
    out = tmp_path / "run"
    make_run_folder(TrainConfig(out=out))
    with shipped_model() as folder:
        load_model(folder).save_pretrained(out / "model")
        load_processor(folder).save_pretrained(out / "model")
    return out


@pytest.fixture
def scenes():
    return SceneCaptions(2, 3)


@pytest.fixture
def features(scenes, tmp_path):
    """A features file of three scenes."""
    path = tmp_path / "features.safetensors"
    write_features(path, {str(i): scenes.picture(i).regions for i in range(3)})
    return path


def code(card):
    return re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)


def test_a_published_model_scores_as_before_by_its_name(hub, run, scenes):
    publish(run / "model", "me/m", license="mit")
    asked = scenes.captions, [scenes.picture(i) for i in range(3)]
    expected = RegionScorer.from_pretrained(run / "model").match(*asked)
    assert torch.equal(RegionScorer.from_pretrained("me/m").match(*asked), expected)


def test_the_classes_of_transformers_push_and_read_it_too(hub, run, scenes):
    model, processor = load_model(run / "model"), load_processor(run / "model")
    model.push_to_hub("me/m")
    processor.push_to_hub("me/m")
    found, read = UniterForImageTextRetrieval.from_pretrained("me/m"), UniterProcessor.from_pretrained("me/m")
    inputs = scenes.captions, [scenes.picture(i).regions for i in range(3)]
    with torch.no_grad():
        assert_close(found.eval()(**read(*inputs)).rank_scores, model(**processor(*inputs)).rank_scores)
    files = hub.repositories["model", "me/m"].files
    assert "More Information Needed" in files["README.md"].decode()  # a form, which publish fills in
    publish(run / "model", "me/m", update=True)
    assert "## Recipe" in hub.repositories["model", "me/m"].files["README.md"].decode()


def test_the_use_that_a_card_shows_runs(hub, run, features, monkeypatch, tmp_path, capsys):
    publish(run / "model", "me/m")
    publish_data(features, "me/f", license="mit")
    monkeypatch.chdir(tmp_path)
    for kind, repo in (("model", "me/m"), ("dataset", "me/f")):
        for block in code(hub.repositories[kind, repo].files["README.md"].decode()):
            exec(block, {})
    score, by_transformers, shape = capsys.readouterr().out.splitlines()
    assert score.startswith("tensor([") and by_transformers.startswith("tensor([[")
    assert shape.startswith("torch.Size([")
    with_code = hub.repositories["model", "me/m"].files
    publish(run / "model", "me/m", update=True, code=False)
    assert "configuration_uniter.py" in with_code and not list((run / "model").glob("*.py"))


def test_a_card_has_what_the_hub_asks_for(run):
    data = ModelCard(model_card(run / "model", "me/m", "mit")).data.to_dict()
    assert data["license"] == "mit"
    assert data["language"] == "en"
    assert data["library_name"] == "cacr"
    assert data["pipeline_tag"] == "zero-shot-image-classification"
    assert {"uniter", "image-text-matching"} <= set(data["tags"])
    assert "base_model" not in data and "datasets" not in data  # neither is on the hub
    card = model_card(run / "model", "me/m")
    for section in (
        "Scores",
        "Use",
        "Intended use and limits",
        "Training data",
        "Recipe",
        "Made with",
        "Licence",
        "Cite",
    ):
        assert f"\n## {section}\n" in card
    assert "scenes, the embedded world" in card and "The model started from: scenes-start." in card
    assert re.search(r"Python 3\.\d+\.\d+, cacr \S+, torch \S+, transformers \S+", card)
    assert "license" not in ModelCard(card).data.to_dict()


def test_what_a_run_read_from_the_hub_is_in_the_card_with_its_commit(run):
    made = json.loads((run / "environment.json").read_text())
    hub = {"model": f"hf://uni/base@{'a' * 40}", "data": f"hf://datasets/me/d@{'b' * 40}"}
    (run / "environment.json").write_text(json.dumps(made | {"data": {"captions": "c0ffee", "hub": hub}}))
    recipe = (run / "config.toml").read_text()
    (run / "config.toml").write_text(
        recipe.replace('"scenes-start"', '"uni/base"').replace(
            'data = "scenes"', 'data = "hf://datasets/me/d"'
        )
    )
    card = model_card(run / "model", "me/m")
    data = ModelCard(card).data.to_dict()
    assert data["base_model"] == "uni/base" and data["datasets"] == ["me/d"]
    assert f'model = "hf://uni/base@{"a" * 40}"' in card
    assert f"Captioned pictures: hf://datasets/me/d@{'b' * 40}, hash of the captions c0ffee." in card


def test_features_come_back_as_they_were(hub, features, scenes):
    publish_data(features, "me/f", license="cc-by-4.0", made="Drawn scenes; no detector.")
    store = open_features("hf://datasets/me/f/features.safetensors")
    for i in range(3):
        assert torch.equal(store[str(i)].features, scenes.picture(i).regions.features)
    card = DatasetCard(hub.repositories["dataset", "me/f"].files["README.md"].decode())
    assert card.data.license == "cc-by-4.0"
    assert "Drawn scenes; no detector." in card.text
    assert 'open_features("hf://datasets/me/f/features.safetensors")' in card.text
    assert f"features file: 3 pictures, {store.width} numbers per region, float32" in card.text
    with pytest.raises(FileExistsError, match="add --update"):
        publish_data(features, "me/f", license="mit")


def test_records_are_published_with_their_tables(hub, tmp_path):
    out = tmp_path / "evaluation"
    benchmark, options = BENCHMARKS["scenes"], Options(n=4)
    work = benchmark.open(options)
    records = work.records([work.ask(ConstantScorer(), part) for part in range(work.parts)])
    write_records(out, benchmark, records, ConstantScorer(), {}, options, work.version)
    publish_data(out, "me/r", license="mit")
    files = hub.repositories["dataset", "me/r"].files
    assert set(files) == {"README.md", "scenes.json", "scenes.jsonl"}
    card = files["README.md"].decode()
    assert "| scenes | n 4 | relation | text | 0.0 [0.0, 65.8] | 2 | 25.0 |" in card


def test_what_is_neither_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected region features, or a folder of `cacr eval`"):
        data_card(tmp_path / "none", "me/x", "mit")
    with pytest.raises(ValueError, match="holds no region features"):
        data_card(tmp_path, "me/x", "mit")
    (tmp_path / "other.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match=r"other\.jsonl"):
        data_card(tmp_path, "me/x", "mit")
