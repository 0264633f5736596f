"""What all commands share: examples that hold, exit codes, how much is said and to whom, colors, completion."""

import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cacr.benchmarks import BENCHMARKS
from cacr.cli import COMMANDS, GROUPED, main, parsed
from cacr.cli.examples import EXAMPLES
from cacr.cli.exits import EXIT_CODES
from cacr.cli.show import bar
from cacr.cli.voice import console, speak, speaking, voice

WIDTH = 78
"""Characters that a line of examples has in a terminal of 80."""
COLOR = re.compile(r"\x1b\[[\d;]*m")
HUES = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7])[;m]")
RUNNABLE = {
    "eval": ("the shipped model, on fresh scenes", "chance, as a measured row"),
    "compare": ("the second against the first, example by example",),
    "rescore": ("the tables once more", "as Markdown, with a plot"),
    "explore": ("the shipped model on scenes", "figures for a paper"),
    "analyze": ("the shipped model, 50 examples",),
    "repeat": ("into a folder of your choice",),
}


def run(*arguments, **variables):
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    return subprocess.run(
        [sys.executable, "-m", "cacr", *arguments],
        capture_output=True,
        text=True,
        env=environment | {"PYTHONIOENCODING": "utf-8"} | variables,
    )


def words(line):
    """Of an example what follows ``cacr``."""
    inner = re.fullmatch(r'eval "\$\((.*)\)"', line)
    line = (inner[1] if inner else line).partition(" > ")[0]
    _, _, rest = line.rpartition("-m cacr ") if line.startswith("torchrun ") else line.partition("cacr ")
    return shlex.split(rest)


def test_every_command_has_two_examples_to_four():
    assert EXAMPLES.keys() == COMMANDS.keys()
    assert all(2 <= len(some) <= 4 for some in EXAMPLES.values())


@pytest.mark.parametrize(
    ("command", "line"), [(command, line) for command, some in EXAMPLES.items() for line in some.values()]
)
def test_every_example_is_a_command_line_that_there_is(command, line):
    given = words(line)
    assert given[0] == command
    function, bound = parsed(given)
    assert f"{function.__module__}:{function.__name__}" == COMMANDS[command][0]
    assert len(line) <= WIDTH, "it cannot be copied where it takes two lines"
    assert set(bound.arguments.get("benchmarks", ())) <= BENCHMARKS.keys()


@pytest.mark.parametrize("command", ["eval", "push", "completion"])
def test_the_help_of_a_command_shows_its_examples(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"# {what}" in shown and line in shown for what, line in EXAMPLES[command].items())


@pytest.mark.slow
def test_examples_run_as_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command, some in RUNNABLE.items():
        for what in some:
            monkeypatch.setattr("sys.argv", ["cacr", *words(EXAMPLES[command][what])])
            assert main(words(EXAMPLES[command][what])) == 0, what


def test_the_list_of_commands_begins_with_the_demo_and_ends_with_what_is_shared():
    shown = run("--help").stdout
    places = [shown.index(f" {title} ──") for title in ("Start", "Train", "Measure", "See", "Prepare")]
    assert places == sorted(places)
    assert shown.index(" demo ") < shown.index(" analyze ") < shown.index(" push ")


def test_exit_codes_are_told_by_help():
    assert set(EXIT_CODES) == {0, 1, 2, 3, 75, 130}
    shown = " ".join(run("--help").stdout.split())
    assert all(f"{code} {what}" in shown for code, what in EXIT_CODES.items())


def test_the_page_of_the_command_line_has_every_command_in_its_group_and_every_code():
    page = (Path(__file__).parents[3] / "docs" / "command_line.md").read_text()
    for title, commands in GROUPED.items():
        assert f"| {title} | {', '.join(f'`{name}`' for name in commands)} |" in page
    codes = page.partition("## Exit codes")[2].partition("\n## ")[0]
    assert re.findall(r"^\| (\d+) \|", codes, flags=re.M) == [str(code) for code in EXIT_CODES]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["evl"], "unknown command 'evl'. Did you mean 'eval'?"),
        (["--jsn", "benchmarks"], "unknown command '--jsn'. Did you mean '--json'?"),
        (["completion", "basch"], "Invalid value"),
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


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_a_shell_completes_commands_and_their_options(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in COMMANDS)
    assert "quick-gelu" in script and "calibration" in script and "quiet" in script
    if shell == "bash" and shutil.which("bash"):
        assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
        asked = f"{script}\nCOMP_WORDS=(cacr eval --quick); COMP_CWORD=2; _cacr; echo ${{COMPREPLY[@]}}"
        assert "--quick-gelu" in subprocess.run(["bash", "-c", asked], capture_output=True, text=True).stdout
