"""What a number was made with is recorded: versions, code, machine, settings, and nothing that is private."""

import json
import subprocess
from importlib.metadata import version

import torch

from cacr.environment import code_hash, environment, git_state


def test_it_names_versions_code_machine_and_settings_as_plain_values():
    found = json.loads(json.dumps(environment()))
    assert found["packages"]["torch"] == version("torch")
    assert {"cacr", "transformers", "numpy", "safetensors", "tokenizers"} <= found["packages"].keys()
    assert found["processor"]["instructions"] == torch.backends.cpu.get_cpu_capability()
    assert found["processor"]["model"]
    assert found["threads"] == torch.get_num_threads()
    assert found["torch"]["deterministic_algorithms"] is False
    assert found["code"] == code_hash()


def test_a_setting_that_changes_numbers_is_seen():
    torch.use_deterministic_algorithms(True)
    try:
        assert environment()["torch"]["deterministic_algorithms"] is True
    finally:
        torch.use_deterministic_algorithms(False)


def test_variables_that_change_numbers_are_recorded_and_secrets_are_not(monkeypatch):
    for name in ("OMP_NUM_THREADS", "MKL_CBWR", "CUBLAS_WORKSPACE_CONFIG", "PYTHONHASHSEED"):
        monkeypatch.setenv(name, "1")
    for name in ("HF_TOKEN", "WANDB_API_KEY", "HOME", "USER"):
        monkeypatch.setenv(name, "secret")
    found = environment()["variables"]
    assert {"OMP_NUM_THREADS", "MKL_CBWR", "CUBLAS_WORKSPACE_CONFIG", "PYTHONHASHSEED"} <= found.keys()
    assert "secret" not in json.dumps(found)


def test_the_hash_of_the_code_changes_with_any_file_of_the_package(tmp_path):
    (tmp_path / "losses").mkdir()
    (tmp_path / "losses" / "one.py").write_text("a = 1\n")
    (tmp_path / "recipe.toml").write_text("lr = 1\n")
    before = code_hash(tmp_path)
    (tmp_path / "losses" / "__pycache__").mkdir()
    (tmp_path / "losses" / "__pycache__" / "one.pyc").write_bytes(b"1")
    assert code_hash(tmp_path) == before
    (tmp_path / "recipe.toml").write_text("lr = 2\n")
    assert code_hash(tmp_path) != before


def test_git_says_the_commit_and_whether_the_package_was_changed_since(tmp_path):
    package = tmp_path / "src" / "cacr"
    package.mkdir(parents=True)

    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    (package / "one.py").write_text("a = 1\n")
    assert git_state(package) == (None, None)  # installed: in no repository of its own
    (tmp_path / "pyproject.toml").write_text("")
    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    commit, changes = git_state(package)
    assert len(commit) == 40
    assert changes is None
    (tmp_path / "notes.md").write_text("no code")
    assert git_state(package) == (commit, None)
    (package / "one.py").write_text("a = 2\n")
    _, changed = git_state(package)
    (package / "two.py").write_text("b = 1\n")
    _, added = git_state(package)
    (package / "two.py").write_text("b = 2\n")
    _, other = git_state(package)
    assert len({None, changed, added, other}) == 4


def test_without_git_or_a_commit_there_is_no_state_and_nothing_fails(tmp_path, monkeypatch):
    package = tmp_path / "src" / "cacr"
    package.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("")
    subprocess.run(["git", "init"], cwd=tmp_path, check=True, capture_output=True)
    assert git_state(package) == (None, None)  # nothing was committed yet
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(package) == (None, None)
    assert environment()["git"] is None


def test_a_package_that_is_not_installed_has_no_version(monkeypatch):
    monkeypatch.setattr("cacr.environment.PACKAGES", ("torch", "no-such-package-as-this"))
    assert environment()["packages"] == {"torch": version("torch")}
