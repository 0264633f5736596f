"""`cacr repeat` runs a folder again and finds it the same; what was changed since is found out before or after."""

import contextlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cacr._stopping import Preempted
from cacr.cli import main
from cacr.models.loading import load_model, load_processor
from cacr.models.shipped import shipped_model
from cacr.repeating import run as running

SIZE = {"steps": 4, "warmup": 1, "batch": 2, "candidates": 5, "negatives": 2, "scenes": 16}
SMALL = [f"--{name}={value}" for name, value in (SIZE | {"log-every": 1, "save-every": 2}).items()]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run, an evaluation of it, and a search, each as its command makes it."""
    folder = tmp_path_factory.mktemp("made")
    recipe = 'data = "scenes"\n[sweep]\ntrials = 2\nobjective = "scenes/relation/group"\nexamples = 8\n'
    (folder / "search.toml").write_text(
        f'{recipe}[sweep.space]\nloss = ["none", "cacr"]\nlr = {{low = 1e-5, high = 1e-3, log = true}}\n'
    )
    with shipped_model() as shipped:
        load_model(shipped).save_pretrained(folder / "start")
        load_processor(shipped).save_pretrained(folder / "start")
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        for words in (
            ["train", "scenes", "--model", "start", "--out", "train", *SMALL],
            ["eval", "train/model", "scenes", "--n", "12", "--out", "eval"],
            ["sweep", "search.toml", "--out", "sweep", *SMALL],
        ):
            patch.setattr("sys.argv", ["cacr", *words])  # what a record holds
            assert main(words) == 0
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    """A copy that a test may change; commands run in this process, which spares their start."""
    shutil.copytree(made, tmp_path / "made")
    monkeypatch.chdir(tmp_path / "made")
    for file in Path().glob("**/environment.json"):
        file.write_text(file.read_text().replace(str(made), str(tmp_path / "made")))

    def here(words, variables, folder, processes):
        with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["cacr", *words])
            assert main(words) == 0

    monkeypatch.setattr(running, "_run", here)
    return tmp_path / "made"


def repeated(capsys, *words, code=0):
    capsys.readouterr()
    assert main(["repeat", *words]) == code
    told = capsys.readouterr()
    return " ".join((told.out + told.err).split())


def recorded(name, **values):
    """Change what a folder says that it was made with."""
    file = Path("train/environment.json" if name == "train" else "eval/scenes.json")
    found = json.loads(file.read_text())
    (found if name == "train" else found["environment"]).update(values)
    file.write_text(json.dumps(found))


def report(name):
    return json.loads((Path(f"{name}-repeat") / "repeat.json").read_text())


def test_a_run_repeats_in_a_process_of_its_own_bit_for_bit(folder, capsys, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    before = {file: file.read_bytes() for file in Path("train").rglob("*") if file.is_file()}
    Path("json.py").write_text("raise SystemExit(9)")  # nothing is imported from the folder of then
    Path("train-repeat").mkdir()
    Path("train-repeat/.lock").touch()  # of one that was stopped at its beginning
    told = repeated(capsys, "train")
    assert "The same, bit for bit." in told
    assert "not as then" not in told  # the threads of then are no difference
    found = {file["file"] for file in report("train")["files"]}
    assert {"metrics.jsonl", "model/model.safetensors"} <= found
    assert before == {file: file.read_bytes() for file in Path("train").rglob("*") if file.is_file()}


@pytest.mark.parametrize("name", ["eval", "sweep"])
def test_evaluations_and_searches_repeat_bit_for_bit(folder, capsys, name):
    assert "The same, bit for bit." in repeated(capsys, name)
    found = {file["file"] for file in report(name)["files"]}
    assert found >= ({"scenes.jsonl", "scenes.json"} if name == "eval" else {"trials.jsonl"})


def test_records_without_a_command_repeat_by_their_options(folder, capsys, monkeypatch):
    recorded("eval", command=["my_script.py"], platform="[/x]", folder=str(folder))
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    told = repeated(capsys, "../eval")
    assert "[/x]" in told
    assert "The same, bit for bit." in told
    assert report("../eval")["commands"] == [["eval", "train/model", "scenes", "--n=12"]]


def test_a_changed_seed_is_found_out_before_anything_runs(folder, capsys):
    file = Path("train/config.toml")
    file.write_text(file.read_text().replace("seed = 42", "seed = 43"))
    told = repeated(capsys, "train", code=1)
    assert "configuration:" in told
    assert "--anyway" in told
    assert not Path("train-repeat").exists()
    told = repeated(capsys, "train", "--anyway", code=3)
    assert "Differs:" in told
    assert "The same bits were not to be expected: configuration is not as then." in told
    assert "tensors differ, by" in told


def test_another_starting_model_is_found_out_before_anything_runs(folder, capsys):
    weights = load_file("start/model.safetensors")
    weights["rank_output.bias"] = weights["rank_output.bias"] + 1
    save_file(weights, "start/model.safetensors", {"format": "pt"})
    assert "model:" in repeated(capsys, "train", code=1)
    shutil.rmtree("start")
    assert "not there now" in repeated(capsys, "train", code=1)


def test_another_model_of_an_evaluation_is_found_out_before_anything_runs(folder, capsys):
    file = "train/model/model.safetensors"
    weights = load_file(file)
    weights["rank_output.weight"] = -weights["rank_output.weight"]
    save_file(weights, file, {"format": "pt"})
    assert "weights of scenes:" in repeated(capsys, "eval", code=1)
    assert not Path("eval-repeat").exists()
    told = repeated(capsys, "eval", "--anyway", code=3)
    assert "Differs: 2 of 2 files." in told
    assert report("eval")["data"][0]["what"] == "weights of scenes"


def test_changed_results_are_found_out(folder, capsys):
    file = "train/model/model.safetensors"
    weights = load_file(file)
    weights["rank_output.bias"] = weights["rank_output.bias"] + 0.5
    save_file(weights, file, {"format": "pt"})
    told = repeated(capsys, "train", code=3)
    assert "1 of " in told
    assert "by 0.5 at most (rank_output.bias)" in told


def test_a_run_of_an_older_version_repeats_and_says_what_it_did_not_record(folder, capsys):
    file = Path("train/environment.json")
    full = json.loads(file.read_text())
    old = {name: full[name] for name in ("python", "platform", "processors", "processes", "threads", "git")}
    old |= {"gpus": [], "packages": {"torch": torch.__version__}, "command": ["cacr", "train"]}
    file.write_text(json.dumps(old))
    told = repeated(capsys, "train")
    assert "The same, bit for bit." in told
    assert "was not recorded then: packages/" in told
    assert {"code", "captions", "model", "configuration"} <= set(report("train")["not recorded"])


def test_a_stopped_repetition_goes_on(folder, capsys, monkeypatch):
    whole = running._run

    def stopped(words, *rest):
        raise Preempted

    monkeypatch.setattr(running, "_run", stopped)
    assert main(["repeat", "train"]) == 75
    monkeypatch.setattr(running, "_run", whole)
    assert "go on with it by --resume" in repeated(capsys, "train", code=1)
    assert "holds a repetition of" in repeated(capsys, "eval", "--out", "train-repeat", "--resume", code=1)
    assert "The same, bit for bit." in repeated(capsys, "train", "--resume")
    monkeypatch.setattr(running, "_run", stopped)  # nothing is left to run
    assert "The same, bit for bit." in repeated(capsys, "train", "--resume")


@pytest.mark.parametrize(
    ("prepare", "run", "message"),
    [
        (lambda: None, "nowhere", "nothing to repeat at"),
        (lambda: Path("empty").mkdir(), "empty", "holds nothing that can be repeated"),
        (lambda: None, "train/model", "give the run: cacr repeat"),
        (lambda: Path("f.safetensors").touch(), "f.safetensors", "does not say from which pictures"),
        (lambda: shutil.rmtree("train/model"), "train", "has not come to its end"),
        (lambda: Path("sweep/trials.jsonl").unlink(), "sweep", "has not come to its end"),
        (lambda: Path("train/environment.json").write_text("[]"), "train", "expected an object"),
        (lambda: Path("sweep/sweep.json").write_text('{"plan": {}}'), "sweep", "were changed after the run"),
        (lambda: Path("eval/scenes.json").write_text("{"), "eval", "is not JSON"),
        (lambda: recorded("train", processes="8"), "train", "processes is '8'; expected a whole number"),
        (lambda: recorded("eval", command=["cacr", "eval", "x"]), "eval", "BENCHMARKS requires"),
        (lambda: recorded("eval", command=["cacr", "eval", "x", "--[/x]"]), "eval", "Unknown option"),
        (lambda: recorded("eval", command=["cacr", "eval", "--help"]), "eval", "measures nothing"),
        (lambda: recorded("train", command=1), "train", "command is 1; expected a list of words"),
        (lambda: Path("eval/scenes.jsonl").unlink(), "eval", "holds nothing that can be repeated"),
        (lambda: Path("train-repeat/x").mkdir(parents=True), "train", "is not overwritten"),
    ],
)
def test_what_cannot_be_repeated_is_said(folder, capsys, prepare, run, message):
    prepare()
    assert message in repeated(capsys, run, code=1)


def test_a_repetition_inside_of_the_run_is_refused(folder, capsys):
    assert "which is only read" in repeated(capsys, "train", "--out", "train/again", code=1)
