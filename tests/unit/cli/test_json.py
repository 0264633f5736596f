"""With ``--json`` standard output is one document: what was found, where it was written, what to run next."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from cacr.cli import COMMANDS, main, parsed
from cacr.cli import demo as demonstrating
from cacr.cli import study as studying
from cacr.demo.run import jobs_of as jobs_of_demo
from cacr.regions import Regions, write_features
from cacr.study import StudyPlan, jobs_of

TINY = "--model=new --scenes=12 --warmup=1 --batch=2 --candidates=5 --negatives=2 --hidden=16 --layers=1 --heads=2"
LINES = {
    "train": f"train scenes --out run --steps 1 --log-every 1 {TINY}",
    "pretrain": "pretrain --out start --scenes 40 --steps 1 --groups 2 --masked 4",
    "eval": "eval random scenes --n 4 --out records",
    "rescore": "rescore one --plot scores.png",
    "compare": "compare one two --plot both.png",
    "benchmarks": "benchmarks winoground scenes",
    "explore": "explore scenes-start --n 1 --out page.html --layers 0",
    "analyze": "analyze scenes-start --n 6 --out analysis",
    "features": "features --convert others.safetensors -o made.safetensors",
    "convert": "convert uniter.pt model --config uniter.json",
    "models": "models vilt --repetitions 0 --out models.md",
    "push": "push oscar me/m",
    "demo": "demo --seeds 1 --out demo",
    "study": "study plan.toml --out study",
}
FOUND = {
    "train": "last",
    "eval": "scenes",
    "rescore": "scenes",
    "compare": "scenes",
    "analyze": "results",
    "features": "pictures",
    "convert": "parameters",
    "models": "architectures",
    "push": "address",
    "demo": "results",
    "study": "results",
}
"""Command -> a name that its document has."""
ELSEWHERE = {"sweep", "repeat", "completion"}
"""Their runs are longer (below), or it prints a script."""


@pytest.fixture
def inputs(tmp_path, monkeypatch, data, hub):
    """What the lines read; demo and study do not run."""
    from cacr.explore.analysis import correlations

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(correlations, "DRAWS", 60)
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 2)
    write_features(Path("others.safetensors"), {"a.jpg": Regions(torch.ones(2, 4), boxes)})
    for name, own in (
        ("uniter_tiny.pt", "uniter.pt"),
        ("uniter_tiny.json", "uniter.json"),
        ("plan.toml",) * 2,
    ):
        shutil.copy(data / name, own)
    shutil.copytree(data / "oscar" / "retrieval", "oscar")
    score = {"value": 0.5, "low": None, "high": None, "n": 8, "seeds": 1}
    of_one = {"scores": {"none": score}, "difference from none": {}, "chance": 1 / 6}
    monkeypatch.setattr(demonstrating, "run_demo", lambda config, *given: jobs_of_demo(config))
    monkeypatch.setattr(demonstrating, "write_report", lambda *given: {"scenes": of_one})
    monkeypatch.setattr(
        studying, "run_study", lambda *given: jobs_of(StudyPlan.from_toml(given[0]), given[1])
    )
    monkeypatch.setattr(studying, "write_report", lambda *given: {"contrasts": {"primary": []}})
    monkeypatch.setattr(studying, "headline", lambda found: "Nothing is resolved.")


def document(capsys, line, code=0):
    assert main([*line.split(), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_every_command_that_finds_something_is_asked_here():
    assert LINES.keys() | ELSEWHERE == COMMANDS.keys()


@pytest.mark.parametrize("command", LINES)
def test_a_command_prints_one_document_with_what_it_found_and_where_it_wrote(command, inputs, capsys):
    for name in ("one", "two") if command in ("rescore", "compare") else ():
        document(capsys, f"eval random scenes --n 4 --out {name}")
    found = document(capsys, LINES[command])
    if command == "benchmarks":
        assert list(found) == ["winoground", "scenes"]
        return
    assert FOUND.get(command, "wrote") in found
    wrote = [one for some in found["wrote"].values() for one in (some if isinstance(some, list) else [some])]
    assert wrote or command == "push"
    if command not in ("demo", "study"):
        assert all(Path(one).exists() for one in wrote)
    for line in found["next"].values():
        program, *words = line.split()
        assert program == "cacr" and parsed(words)


def test_without_it_the_same_is_said_to_a_person_and_quietly_only_where(inputs, capsys):
    assert main(LINES["features"].split()) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["Found", "Wrote", "Measure"]
    Path("made.safetensors").unlink()
    assert main(["--quiet", *LINES["features"].split()]) == 0
    told = capsys.readouterr()
    assert told.out == "Wrote the regions of 1 pictures, 4 numbers each, to made.safetensors.\n"
    assert not told.err


@pytest.mark.slow
def test_a_search_and_a_repetition_print_one_document(inputs, capsys):
    recipe = 'data = "scenes"\n[sweep]\ntrials = 1\nobjective = "scenes/relation/group"\nexamples = 8\n'
    Path("search.toml").write_text(f"{recipe}[sweep.space]\nlr = {{low = 1e-5, high = 1e-3, log = true}}\n")
    found = document(capsys, f"sweep search.toml --out search --steps 1 {TINY}")
    assert len(found["trials"]) == 1 and Path(found["wrote"]["best"]).is_file()
    assert document(capsys, "repeat search")["same"] is True
    Path("search/trials.jsonl").write_text(
        Path("search/trials.jsonl").read_text().replace('"n": 4', '"n": 5')
    )
    assert document(capsys, "repeat search --out other", code=3)["same"] is False
