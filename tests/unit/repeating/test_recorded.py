"""What a folder says of how it was made is held to what is written: a stranger may have written it."""

import json
import re
import shutil
from pathlib import Path

import pytest

from cacr.cli import app
from cacr.environment import environment
from cacr.repeating.kinds import EVAL, KINDS, kind_of
from cacr.repeating.recorded import read_environment
from cacr.study import StudyPlan, jobs_of
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


def test_settings_that_no_demo_has_are_refused(tmp_path):
    (tmp_path / "settings.json").write_text('{"arms": 3}')
    with pytest.raises(ValueError, match=r"settings\.json holds settings that no demo has .*'arms'"):
        KINDS["demo"].commands(tmp_path, tmp_path)


def test_a_study_is_run_again_by_its_own_plan_once_all_of_it_is_done(data, tmp_path):
    file = tmp_path / "plan.toml"
    shutil.copy(data / "plan.toml", file)
    kind = kind_of(tmp_path)
    assert kind.commands(tmp_path, tmp_path) == [["study", str(file)]]
    assert kind.unfinished(tmp_path)
    (tmp_path / "results.json").write_text("{}")
    for job in jobs_of(StudyPlan.from_toml(file), tmp_path):
        assert kind.unfinished(tmp_path)
        for records in job.records:
            records.parent.mkdir(parents=True, exist_ok=True)
            records.touch()
    assert not kind.unfinished(tmp_path)


def test_an_analysis_is_made_again_by_its_command_and_only_from_the_shell(tmp_path):
    command = ["cacr", "analyze", "a=m", "--out", "there", "--n", "4", "--out=here"]
    (tmp_path / "analysis.json").write_text(json.dumps({"environment": {"command": command}}))
    assert KINDS["analyze"].commands(tmp_path, tmp_path) == [["analyze", "a=m", "--n", "4"]]
    for other in (["my_script.py"], None):
        (tmp_path / "analysis.json").write_text(json.dumps({"environment": {"command": other}}))
        with pytest.raises(ValueError, match=r"analysis\.json does not say which command made it"):
            KINDS["analyze"].commands(tmp_path, tmp_path)


def of_records(folder, options):
    """The command of records that were made from Python with some options."""
    (folder / "vsr.jsonl").touch()
    (folder / "vsr.json").write_text(json.dumps({"scorer": {"name": "m"}, "options": options}))
    (command,) = EVAL.commands(folder, folder)
    return command


def test_options_of_records_are_those_of_the_command(tmp_path):
    options = {"data": "d", "images": ["a b", "c"], "errata": False, "n": 3, "blind": True}
    command = of_records(tmp_path, options)
    assert command == ["eval", "m", "vsr", "--data=d", "--images", "a b", "c", "--no-errata", "--n=3"]
    given = app().parse_args(command, exit_on_error=False)[1].arguments
    found = {name: given[name] for name in ("model", "benchmarks", "data", "images", "errata", "n")}
    assert found == {
        "model": "m",
        "benchmarks": ["vsr"],
        "data": Path("d"),
        "images": [Path("a b"), Path("c")],
        "errata": False,
        "n": 3,
    }
    assert of_records(tmp_path, {"errata": True})[3:] == ["--errata"]


def test_regions_of_a_detector_that_is_not_recorded_cannot_be_found_again(tmp_path):
    with pytest.raises(ValueError, match="do not say which detector's files found their regions"):
        of_records(tmp_path, {"detector": "BottomUp, 36 regions"})
