"""docs/hub.md does what it says: its commands and blocks run in order, against a hub on this machine."""

from pathlib import Path

import pytest
from tests.journey.pages import DOCS, follow

from cacr.cli import main
from cacr.data.scenes import SceneCaptions
from cacr.models.loading import load_model, load_processor
from cacr.models.shipped import shipped_model
from cacr.regions import write_features
from cacr.training import TrainConfig
from cacr.training.folder import make_run_folder

PAGE = DOCS / "hub.md"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the run and the features that the page speaks of."""
    monkeypatch.chdir(tmp_path)
    make_run_folder(TrainConfig(out=Path("runs/cacr")))
    with shipped_model() as start:
        load_model(start).save_pretrained("runs/cacr/model")
        load_processor(start).save_pretrained("runs/cacr/model")
    scenes = SceneCaptions(2, 2)
    write_features("features.safetensors", {str(i): scenes.picture(i).regions for i in range(2)})
    assert main(["eval", "runs/cacr/model", "scenes", "--n", "4"]) == 0
    return tmp_path


def test_the_page_runs_from_its_first_step_to_its_last(hub, folder):
    page = folder / PAGE.name
    page.write_text(PAGE.read_text(encoding="utf-8").replace("OWNER", "me"), encoding="utf-8")

    def cacr(arguments):
        assert main(arguments) == 0, arguments
        return ""

    assert len(list(follow(page, {}, cacr))) == 7
    assert {repo for _, repo in hub.repositories} == {"me/NAME", "me/FEATURES", "me/RECORDS"}
    assert "## Scores\n\n| benchmark" in hub.repositories["model", "me/NAME"].files["README.md"].decode()
