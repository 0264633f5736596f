"""What becomes of the exit code of a command that is run again."""

import sys

import pytest

from cacr._stopping import Preempted
from cacr.repeating.run import _run


@pytest.mark.parametrize(("code", "error"), [(75, Preempted), (130, KeyboardInterrupt), (1, ValueError)])
def test_a_command_that_was_stopped_stops_the_repetition_alike(tmp_path, monkeypatch, code, error):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(error) as raised:
        _run(["train"], {}, tmp_path, 1)
    assert raised.type is error
