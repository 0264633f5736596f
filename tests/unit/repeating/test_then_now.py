"""What is another than then is told, what was not written down is told apart, and the new run gets what was set."""

import subprocess
import sys
from pathlib import Path

import pytest

from cacr.environment import environment, variables
from cacr.repeating.then_now import as_then, differences, of_weight


@pytest.fixture
def then():
    return environment()


def test_nothing_differs_from_itself(then):
    assert differences(then, then) == ([], [])


@pytest.mark.parametrize(
    ("name", "inner", "value"),
    [
        ("packages", "torch", "1.0"),
        ("processor", "instructions", "AVX2"),
        ("torch", "deterministic_algorithms", True),
        ("threads", None, 64),
        ("code", None, "another"),
    ],
)
def test_what_may_change_a_number_is_named_and_counts(then, name, inner, value):
    now = then | {name: value if inner is None else then[name] | {inner: value}}
    (one,), unknown = differences(then, now)
    assert one.what == (name if inner is None else f"{name}/{inner}")
    assert of_weight([one]) == [one]
    assert not unknown


def test_another_commit_with_the_same_code_is_named_and_does_not_count(then):
    found, _ = differences(then, then | {"git": "1234", "processors": 99})
    assert {one.what for one in found} == {"git", "processors"}
    assert of_weight(found) == []


def test_a_package_or_variable_that_was_not_there_is_a_difference(then):
    now = then | {"packages": then["packages"] | {"newer": "1"}, "variables": {"MKL_CBWR": "AVX2"}}
    names = {one.what for one in differences(then, now)[0]}
    assert {"packages/newer", "variables/MKL_CBWR"} <= names


def test_what_an_older_version_did_not_record_is_told_apart(then):
    old = {name: then[name] for name in ("python", "platform", "processors", "threads", "gpus", "git")}
    old["packages"] = {"torch": then["packages"]["torch"]}
    found, unknown = differences(old, then)
    assert not found
    assert {"code", "processor/model", "packages/numpy", "torch/mkl"} <= set(unknown)


def test_the_new_run_has_the_variables_and_threads_of_then(monkeypatch):
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    given = as_then({"variables": {"PYTHONHASHSEED": "5", "CUDA_VISIBLE_DEVICES": "3"}, "threads": 7})
    assert "MKL_CBWR" not in given
    assert (given["PYTHONHASHSEED"], given["OMP_NUM_THREADS"]) == ("5", "7")
    assert given["CUDA_VISIBLE_DEVICES"] == "1"  # which GPU is a matter of now
    assert as_then({"variables": {"CUDA_VISIBLE_DEVICES": ""}})["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LD_PRELOAD", "evil.so"),
        ("PYTHONPATH", "evil"),
        ("OMP_TOOL_LIBRARIES", "evil.so"),
        ("TORCHINDUCTOR_CACHE_DIR", "evil"),
        ("CUDNN_LOGDEST_DBG", "metrics.jsonl"),
        ("MKL_CBWR", "/evil.so"),
        ("MKL_CBWR", "AVX2\0"),
        ("MKL_CBWR", ["AVX2"]),
        ("MKL_=", "1"),
    ],
)
def test_no_variable_of_a_folder_runs_code_or_names_a_file(monkeypatch, name, value):
    monkeypatch.delenv(name, raising=False)
    assert name not in as_then({"variables": {name: value}})


def test_no_file_of_the_folder_that_a_command_runs_in_is_imported(monkeypatch, tmp_path):
    (tmp_path / "evil.py").touch()
    monkeypatch.setenv("PYTHONPATH", f":{Path.cwd()}")  # an empty one stands for the current folder
    words = [sys.executable, "-c", "import evil"]
    assert subprocess.run(words, cwd=tmp_path).returncode == 0
    assert subprocess.run(words, cwd=tmp_path, env=as_then({}), capture_output=True).returncode == 1


def test_the_number_of_threads_that_the_new_run_is_given_is_no_difference(then, monkeypatch):
    then["variables"].pop("OMP_NUM_THREADS", None)
    given = then | {"variables": variables(as_then(then))}
    assert "OMP_NUM_THREADS" in given["variables"]
    assert differences(then, given) == ([], [])
    named = given | {"variables": given["variables"] | {"OMP_NUM_THREADS": "99"}}
    assert [one.what for one in differences(named, given)[0]] == ["variables/OMP_NUM_THREADS"]


def test_variables_that_were_not_recorded_stay_as_they_are(monkeypatch):
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    assert as_then({})["MKL_CBWR"] == "AVX2"
