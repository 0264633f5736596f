"""docs/walkthrough.md does what it says: its blocks run in order, and print what stands below them."""

import contextlib
import io
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "walkthrough.md"
BLOCK = re.compile(r"```python\n(.*?)```(?:\n```text\n(.*?)```)?", re.DOTALL)
NUMBER = re.compile(r"[-+]?\d+\.\d+")


def test_the_walk_through_runs_and_prints_what_it_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) == 6
    for code, shown in blocks:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(code, str(PAGE), "exec"), names)
        printed = out.getvalue()
        assert NUMBER.sub("#", printed) == NUMBER.sub("#", shown)
        if "tuned" not in names:  # training ends in other digits on other machines
            found, wanted = ([float(x) for x in NUMBER.findall(text)] for text in (printed, shown))
            assert found == pytest.approx(wanted, rel=0.02, abs=0.002)
        else:
            last = printed
    assert "MB" in last
    match = names["tuned"].grid(names["example"].captions, names["pictures"])
    assert (match.diagonal() > match.flip(1).diagonal()).all()  # each caption fits its own picture better
    assert (tmp_path / "walkthrough.html").stat().st_size < 5e6
