"""The command line: light to start, and a sentence for every mistake."""

import os
import subprocess
import sys

import pytest

from cacr.cli import COMMANDS, main


def run(*arguments, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "cacr", *arguments], capture_output=True, text=True, **kwargs
    )


def test_importing_cacr_imports_no_torch():
    code = "import cacr, sys; assert 'torch' not in sys.modules; assert 'transformers' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_help_needs_little_and_names_every_command():
    done = run("--help", env=os.environ | {"COLUMNS": "200", "PYTHONPROFILEIMPORTTIME": "1"})
    assert done.returncode == 0
    assert all(f" {name} " in done.stdout for name in COMMANDS)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "cyclopts" in imported
    assert not imported & {"torch", "transformers", "scipy", "matplotlib", "numpy", "PIL", "optuna"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_its_options(command, capsys):
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Usage: cacr" in shown
    for line in shown.splitlines():
        if line.startswith("│ --") and "[default" in line:
            assert line.split("[default")[0].strip("│ ").count(" ") >= 1, line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "scenes", "--wieght", "2"], "Did you mean --weight"),
        (["train", "scene"], "unknown recipe 'scene'. Did you mean 'scenes'"),
        (
            ["train", "scenes", "--loss", "carc", "--out", "{tmp}/r"],
            "unknown loss 'carc'. Did you mean 'cacr'",
        ),
        (["train"], "no recipe is given; expected one of cacr-base"),
        (["eval", "scenes-start", "scene"], "unknown benchmark 'scene'. Did you mean 'scenes'"),
        (["eval", "nowhere", "scenes"], "no model folder nowhere"),
        (["eval", "scenes-strat", "scenes"], "Did you mean scenes-start?"),
        (
            ["eval", "scenes-start", "retrieval", "--out", "{tmp}/e"],
            "needs a folder of captioned pictures: --data",
        ),
        (
            ["explore", "scenes-start", "--out", "{tmp}/x.html", "--layers", "7"],
            "layer is 7; the model has 3 layers",
        ),
        (["convert", "nothing.pt", "{tmp}/x"], "no checkpoint at nothing.pt"),
        (["rescore", "{tmp}"], "no records"),
        (["features", "{tmp}", "-o", "{tmp}/f.safetensors"], "no pictures in"),
        (["features", "-o", "{tmp}/f.safetensors"], "give pictures, or one store of features with --convert"),
        (["features", "--convert", "{tmp}", "-o", "{tmp}/f.safetensors"], "Error"),
        (["demo", "--out", "{tmp}"], "exists and is not overwritten"),
        (["demo", "--seeds", "0"], "expected 1 or more of each"),
        (["demo", "--full", "--seeds", "3"], "give either --full or"),
        (["demo", "--resume"], "which demo? Name its folder"),
        (["demo", "--resume", "--out", "{tmp}/none"], "no demo to resume"),
        (
            ["eval", "scenes-start", "scenes", "--n", "0", "--out", "{tmp}/e"],
            "n is 0; expected 1 example or more",
        ),
        (["dmeo"], "Did you mean"),
    ],
)
def test_a_mistake_gets_a_sentence(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").touch()
    code, said = said_by(capsys, *(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))
    assert code != 0
    assert message in said


def test_a_recipe_with_a_mistyped_key_is_named(tmp_path, capsys):
    (tmp_path / "my.toml").write_text("negativs = 3\n")
    code, said = said_by(capsys, "train", str(tmp_path / "my.toml"))
    assert code == 1
    assert "unknown option 'negativs'. Did you mean 'negatives'" in said


def said_by(capsys, *arguments):
    """Exit code and what was printed, on one line. An exception would fail the test: nothing may come from inside."""
    try:
        code = main(arguments)
    except SystemExit as stop:  # how the parser of arguments ends
        code = stop.code
    shown = capsys.readouterr()
    return code, " ".join((shown.out + shown.err).replace("│", " ").split())
