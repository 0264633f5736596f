"""A sample of the faults of a disk; all of them: ``python -m tests.faults``."""

from pathlib import Path

import pytest

from tests.faults.commands import COMMANDS
from tests.faults.disk import FULL, MOUNTED, PRELOADED, can_compile, can_mount, check_said, preloaded
from tests.faults.driver import Bench
from tests.faults.fault import Miss, Trial


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    if not can_compile():
        pytest.skip("a C compiler named cc is needed to make a disk that refuses")
    return Bench(tmp_path_factory.mktemp("faults"), preloaded())


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, marks=[pytest.mark.slow] if number else [])
        for number, fault in enumerate(PRELOADED)
    ],
    ids=lambda fault: fault.name,
)
def test_a_disk_that_refuses_ends_a_command_with_a_sentence_and_harms_nothing(bench, fault):
    row = bench.row(fault, COMMANDS["convert"], 1, seed=0)
    assert (row.misses, row.survived) == ([], 1)


@pytest.mark.slow
def test_answers_survive_a_full_disk_and_are_not_asked_again(bench):
    row = bench.row(PRELOADED[0], COMMANDS["eval"], 1, seed=0)
    assert (row.misses, row.survived) == ([], 1)


@pytest.mark.slow
@pytest.mark.parametrize("fault", MOUNTED, ids=lambda fault: fault.name)
def test_a_small_disk_of_its_own_says_the_same(bench, fault):
    if not can_mount():
        pytest.skip("this user may not mount a disk in memory")
    row = bench.row(fault, COMMANDS["convert"], 1, seed=0)
    assert (row.misses, row.survived) == ([], 1)


@pytest.mark.parametrize(
    ("said", "codes", "why"),
    [
        ("Traceback (most recent call last):\nOSError\n", [1], "a traceback"),
        (f"Error: model could not be written: {FULL.says}\n", [0], "it ended with"),
        (f"Error: model could not be written: {FULL.says}\n", [None], "it did not end"),
        ("Error: [Errno 28] No space left on device\n", [1], "0 of 1 sentences"),
        (f"Error: the file could not be written: {FULL.says}\n", [1], "names no file"),
    ],
)
def test_a_command_that_breaks_its_promise_is_caught(said, codes, why):
    victim = type("Victim", (), {"said": said})()
    trial = Trial(COMMANDS["convert"], Path("trial"), None, None, None)
    with pytest.raises(Miss, match=why):
        check_said(victim, codes, trial, FULL.says)
