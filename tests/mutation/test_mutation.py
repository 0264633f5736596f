"""The mutation check itself: known changes of the losses are noticed, an unchanged file is not."""

import json
import os
import subprocess
import sys

import pytest

from tests.mutation.areas import ROOT

pytest.importorskip("mutmut", reason="needs mutmut: install the extra test")

from tests.mutation import report
from tests.mutation.mutants import change_of, mutants_of, source_of

KNOWN = {
    "losses/congruence.py": ("detach_cross: bool = True", "detach_cross: bool = False"),
    "losses/divergence.py": ("(log_p.exp() - log_q.exp())", "(log_p.exp() + log_q.exp())"),
    "losses/comparison.py": ("loss = parts[0] + parts[1]", "loss = parts[0] - parts[1]"),
    "losses/iais.py": ("one_hot(cross.argmax(-1)", "one_hot(cross.argmax(-2)"),
    "losses/schedules.py": ("rate * (done - 1)", "rate * (done + 1)"),
}
TESTS = ("tests/unit/losses/test_congruence.py", "tests/unit/losses/test_ranking_and_schedules.py")
TRY = """
import json, sys
from tests.mutation.areas import ROOT
from tests.mutation.mutants import Mutant, source_of
from tests.mutation.running import try_mutants
asked, tests, out = json.loads(sys.argv[1])
mutants = [Mutant(file, 1, 9999, source_of(ROOT, file).replace(was, now), now) for file, was, now in asked]
outcomes = try_mutants(mutants, tests)
json.dump([[one.change, outcome] for one, outcome in outcomes.items()], open(out, "w"))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="mutants are tried in forked processes")
def test_known_changes_are_noticed_and_an_unchanged_file_is_not(tmp_path):
    asked = [(file, was, now) for file, (was, now) in KNOWN.items()]
    asked += [(file, "", "") for file in KNOWN]
    given = json.dumps([asked, TESTS, str(tmp_path / "out.json")])
    subprocess.run(
        [sys.executable, "-c", TRY, given], cwd=ROOT, check=True, stdout=subprocess.DEVNULL, timeout=120
    )
    outcomes = json.loads((tmp_path / "out.json").read_text())
    assert len(outcomes) == 2 * len(KNOWN)
    assert {now for now, outcome in outcomes if outcome == "killed"} == {now for _, now in KNOWN.values()}
    assert {now for now, outcome in outcomes if outcome == "survived"} == {""}


@pytest.mark.parametrize("file", KNOWN)
def test_these_changes_are_among_the_mutants(file):
    was, now = KNOWN[file]
    source = source_of(ROOT, file)
    assert source.count(was) == 1
    assert source.replace(was, now) in {one.source for one in mutants_of(file, source)}


def test_wording_types_and_assertions_are_left_alone():
    source = '''"""A docstring."""
from typing import Any
Rows = list[int]
__all__ = ["double"]
def double(x: int = 1) -> int:
    """Twice."""
    assert x is not None
    if x < 0:
        raise ValueError("x is below 0")
    return sum(a for a, _ in zip([x, x], [x, x], strict=True))
'''
    changed = "\n".join(one.change for one in mutants_of("any.py", source))
    assert "x <= 0" in changed and "x: int = 2" in changed
    for left in ("docstring", "Any", "Rows", "__all__", "Twice", "assert", "XX", "strict=False"):
        assert left not in changed


def test_a_change_is_told_without_line_numbers_and_indentation():
    assert change_of(["    a = 1", "    b"], ["    a = 2", "    b"]) == "-a = 1\n+a = 2"


def test_nine_of_ten_mutants_were_noticed_and_every_survivor_has_a_reason():
    files = report.kept()
    noticed, tried = report.share(files.values())
    assert noticed >= report.WANTED * tried > 1000
    assert report.unexplained(files) == []


def test_every_reason_is_of_a_survivor():
    lived = {(file, one["change"]) for file, found in report.kept().items() for one in found["survivors"]}
    assert set(report.reasons()) <= lived
