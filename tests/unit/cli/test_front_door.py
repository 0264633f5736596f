"""What all commands share: exit codes, how much is said and to whom, colors."""

import logging
import os
import re
import subprocess
import sys

import pytest

from cacr.cli import main, parsed
from cacr.cli.exits import EXIT_CODES
from cacr.cli.show import bar
from cacr.cli.voice import console, speak, speaking, voice

COLOR = re.compile(r"\x1b\[[\d;]*m")
HUES = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7])[;m]")


def run(*arguments, **variables):
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    return subprocess.run(
        [sys.executable, "-m", "cacr", *arguments],
        capture_output=True,
        text=True,
        env=environment | {"PYTHONIOENCODING": "utf-8"} | variables,
    )


def test_the_list_of_commands_begins_with_the_demo_and_ends_with_what_is_shared():
    shown = run("--help").stdout
    places = [shown.index(f" {title} ──") for title in ("Start", "Train", "Measure", "See", "Prepare")]
    assert places == sorted(places)
    assert shown.index(" demo ") < shown.index(" analyze ") < shown.index(" push ")


def test_exit_codes_are_told_by_help():
    assert set(EXIT_CODES) == {0, 1, 2, 3, 75, 130}
    shown = " ".join(run("--help").stdout.split())
    assert all(f"{code} {what}" in shown for code, what in EXIT_CODES.items())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["evl"], "unknown command 'evl'. Did you mean 'eval'?"),
        (["--jsn", "benchmarks"], "unknown command '--jsn'. Did you mean '--json'?"),
        (["eval", "random", "scenes", "--sed", "3"], "Unknown option: --sed. Did you mean --seed?"),
        (["compare", "runs/a"], "SECOND"),
    ],
)
def test_a_command_line_that_is_none_is_told_on_standard_error_with_code_2(arguments, sentence, capsys):
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert sentence in " ".join(told.err.replace("│", " ").split())
    assert not told.out


def test_flags_of_every_command_stand_before_or_after_it():
    given = ["eval", "scenes-start", "scenes", "--n", "3"]
    for flags in (["--json"], ["-q"], ["--quiet", "--json"], ["-v"]):
        assert parsed([*flags, *given]) == parsed([*given, *flags]) == parsed(given)
    assert parsed(["explore", "m", "--words", "mug", "grass", "--quiet"])[1].arguments["words"] == [
        "mug",
        "grass",
    ]


def test_a_mistake_has_a_traceback_where_it_was_asked_for(capsys):
    assert main(["benchmarks", "winogrond"]) == 1
    assert capsys.readouterr().err.startswith("Error: unknown benchmark 'winogrond'. Did you mean")
    assert main(["benchmarks", "winogrond", "--verbose"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("Traceback") and "Error: unknown benchmark" in told
    assert main(["-v", "-q", "benchmarks"]) == 1
    assert "expected one of them" in capsys.readouterr().err


def test_libraries_are_heard_with_verbose_and_not_with_quiet_nor_afterwards(capsys):
    from transformers.utils import logging as of_transformers

    log = logging.getLogger("cacr.training")
    for flags, heard in (((False, True), "INFO cacr.training: one\n"), ((True, False), "")):
        before = of_transformers.get_verbosity()
        with speaking():
            speak(*flags, json=False)
            assert (of_transformers.get_verbosity() == logging.INFO) == flags[1]
            log.info("one")
            if flags[0]:
                log.warning("two")
        log.info("three")
        assert capsys.readouterr().err == heard
        assert of_transformers.get_verbosity() == before
        assert log.isEnabledFor(logging.WARNING)
    assert not (voice.quiet or voice.verbose or voice.json or console.stderr)


def test_a_bar_is_for_a_person_who_watches(monkeypatch):
    assert bar().disable
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert not bar().disable
    assert bar(visible=False).disable
    with speaking():
        speak(quiet=True, verbose=False, json=False)
        assert bar().disable


@pytest.mark.parametrize("arguments", [["--help"], ["evl"]])
def test_no_color_is_obeyed_by_help_and_errors_and_a_pipe_has_none(arguments):
    def shown(**variables):
        done = run(*arguments, **variables)
        return done.stdout + done.stderr

    assert HUES.search(shown(FORCE_COLOR="1"))
    assert not HUES.search(shown(FORCE_COLOR="1", NO_COLOR="1"))
    assert not COLOR.search(shown())
