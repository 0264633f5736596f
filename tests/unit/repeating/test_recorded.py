"""What a folder says of how it was made is held to what is written: a stranger may have written it."""

import json
import re

import pytest

from cacr.environment import environment
from cacr.repeating.kinds import KINDS, kind_of
from cacr.repeating.recorded import read_environment
from cacr.training.folder import configuration_hash


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("processes", "8"),
        ("processes", 10**9),
        ("threads", True),
        ("command", ["cacr", 1]),
        ("command", ["cacr", "eval\0"]),
        ("folder", 1),
        ("variables", ["OMP_NUM_THREADS"]),
        ("data", []),
        ("data", {"features": {"hash": "a", "bytes": "s"}}),
        ("resumed", [1]),
    ],
)
def test_a_value_of_another_type_is_refused_by_its_name(tmp_path, name, value):
    file = tmp_path / "environment.json"
    whole = environment() | {
        "folder": "/a",
        "data": {"model": None, "captions": "a"},
        "resumed": [{"step": 1}],
    }
    file.write_text(json.dumps(whole))
    assert read_environment(file) == whole
    file.write_text(json.dumps(whole | {name: value}))
    with pytest.raises(ValueError, match=f"{re.escape(str(file))}: {name} is .*; expected"):
        read_environment(file)


def test_a_demo_has_as_many_seeds_as_there_are_folders_of(tmp_path):
    (tmp_path / "settings.json").write_text("{}")
    for name in ("CACR-seed-0", "none-seed-0", "none-seed-999999999"):
        (tmp_path / "arms" / name).mkdir(parents=True)
    assert KINDS["demo"].commands(tmp_path, tmp_path)[0][:2] == ["demo", "--seeds=2"]
    assert kind_of(tmp_path).unfinished(tmp_path)


def test_going_on_after_losses_that_are_not_finite_leaves_the_configuration():
    assert configuration_hash('nonfinite = "stop"') == configuration_hash('nonfinite = "skip"')
