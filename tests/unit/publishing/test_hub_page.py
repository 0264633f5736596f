"""docs/hub.md does what it says: its commands and blocks run in order, against a hub on this machine."""

import re
import shlex
from pathlib import Path

import pytest

from cacr.cli import main
from cacr.data.scenes import SceneCaptions
from cacr.models.loading import load_model, load_processor
from cacr.models.shipped import shipped_model
from cacr.regions import write_features
from cacr.training import TrainConfig
from cacr.training.folder import make_run_folder

PAGE = Path(__file__).parents[3] / "docs" / "hub.md"
STEP = re.compile(r"```python\n(?P<code>.*?)```|^    cacr (?P<command>[^\n]*)$", re.DOTALL | re.MULTILINE)


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


def test_the_page_runs_from_its_first_step_to_its_last(hub, folder, capsys):
    text = PAGE.read_text(encoding="utf-8").replace("OWNER", "me")
    steps = [found.groupdict() for found in STEP.finditer(text)]
    named = [step for step in steps if "MODEL" not in (step["command"] or "")]  # those ask for published data
    assert len(named) == 7
    for step in named:
        if step["code"]:
            exec(compile(step["code"], str(PAGE), "exec"), {})
        else:
            assert main(shlex.split(step["command"])) == 0, step["command"]
    assert {repo for _, repo in hub.repositories} == {"me/NAME", "me/FEATURES", "me/RECORDS"}
    assert "## Scores\n\n| benchmark" in hub.repositories["model", "me/NAME"].files["README.md"].decode()
