"""What is run again, what becomes of what was begun, and of the exit code of a command that is run again."""

import signal
import sys
from pathlib import Path

import pytest

from cacr._stopping import Preempted
from cacr.repeating import run as running
from cacr.repeating.comparing import Compared
from cacr.repeating.kinds import EVAL, KINDS
from cacr.repeating.report import conclusions, sentences
from cacr.repeating.run import Repeated, _do_again, _look, _run


def program(tmp_path, monkeypatch, lines):
    """Let another program be the one that runs commands."""
    file = tmp_path / "python"
    file.write_text(f"#!/bin/sh\n{lines}\n")
    file.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(file))


@pytest.fixture
def ran(monkeypatch):
    """The words of the commands that are run, in place of running them."""
    found = []
    monkeypatch.setattr(running, "_run", lambda words, *given: found.append(words))
    return found


@pytest.mark.parametrize(("code", "error"), [(75, Preempted), (130, KeyboardInterrupt), (1, ValueError)])
def test_a_command_that_was_stopped_stops_the_repetition_alike(tmp_path, monkeypatch, code, error):
    program(tmp_path, monkeypatch, f"exit {code}")
    with pytest.raises(error) as raised:
        _run(["train"], {}, tmp_path, 1)
    assert raised.type is error


def test_a_command_has_ended_by_itself_before_its_repetition_is_stopped(tmp_path, monkeypatch):
    ready, ended = tmp_path / "ready", tmp_path / "ended"
    ends = f"trap 'echo checkpoint > {ended}; exit' TERM"
    program(tmp_path, monkeypatch, f"{ends}\necho > {ready}\nwhile :; do sleep 0.02; done")

    def stop(number, frame):
        if ready.exists():
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            _run(["train"], {"PATH": "/usr/bin:/bin"}, tmp_path, 1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert ended.read_text() == "checkpoint\n"


def test_each_command_after_the_first_goes_on_in_the_folder(tmp_path, ran):
    commands = [["eval", "m", "scenes"], ["eval", "m", "vsr"]]
    _do_again(EVAL, run_of(tmp_path, "scenes.jsonl"), tmp_path / "again", commands, {})
    out = f"--out={tmp_path / 'again'}"
    assert ran == [[*commands[0], out], [*commands[1], out, "--resume"]]


def test_what_was_begun_is_gone_on_with_and_what_was_not_is_begun_anew(tmp_path, ran):
    run, again = run_of(tmp_path, "metrics.jsonl"), tmp_path / "again"
    again.mkdir()
    (again / "half").touch()  # killed before anything could be resumed
    _do_again(KINDS["train"], run, again, [["train", "r"]], {})
    assert not again.exists()
    again.mkdir()
    (again / "config.toml").touch()
    _do_again(KINDS["train"], run, again, [["train", "r"]], {})
    assert ran == [["train", "r", f"--out={again}"], ["train", "r", f"--out={again}", "--resume"]]
    assert (again / "config.toml").is_file()
    (again / "metrics.jsonl").touch()
    _do_again(KINDS["train"], run, again, [["train", "r"]], {})
    assert len(ran) == 2  # all of it was there


def run_of(tmp_path, *names):
    (tmp_path / "then").mkdir()
    for name in names:
        (tmp_path / "then" / name).touch()
    return tmp_path / "then"


def test_data_that_cannot_be_looked_at_are_a_refusal_or_with_anyway_a_note(tmp_path):
    def seen(command):
        raise FileNotFoundError("no pictures in there")

    with pytest.raises(FileNotFoundError, match="no pictures in there"):
        _look(EVAL, tmp_path, [["eval"]], {}, False, seen)
    known = _look(EVAL, tmp_path, [["eval"]], {}, True, seen)
    assert "Data could not be looked at: no pictures in there" in known.notes
    assert known.data == []


def test_without_an_interval_no_conclusion_is_drawn():
    files = [Compared("metrics.jsonl", False, "differs")]
    found = Repeated(Path("r"), "train", [], [], [], [], [], files)
    assert "nothing says whether the difference matters" in conclusions(found)
    files.append(Compared("results.json", False, "differs", intervals=4))
    assert conclusions(found).startswith("The conclusions hold: of 4 numbers")
    files[1].outside = ["text is 0.7 now"]
    assert conclusions(found).startswith("1 of 4 numbers")
    assert "results.json: text is 0.7 now" in sentences(found)
