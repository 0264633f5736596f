"""Every reader withstands what one once did not, pickle bombs, and a few hundred broken files more.

`python -m tests.fuzz` tries 100,000 a reader; docs/trust/readers.md says what came of it.
"""

import os
import pickle
import signal
import time
from random import Random

import pytest

from tests.fuzz.bombs import bombs
from tests.fuzz.fuzzing import kept, warm
from tests.fuzz.inputs import changed, cuts
from tests.fuzz.reader import Reader
from tests.fuzz.registry import corpus_of, readers
from tests.fuzz.trying import attempt, each, lay_out

READERS = {corpus_of(reader).name: reader for reader in readers()}
A_FEW, SECONDS = 150, 0.25
"""Inputs of each kind, and how long new ones are made: slow readers get fewer."""


def found(reader, folder, inputs, mark=None):
    """What a reader did not withstand, and how many inputs it was given."""
    tally = attempt(reader, folder, each(inputs), mark)
    return [(one.kind, one.said) for one in tally.findings], tally


@pytest.mark.parametrize("name", READERS)
def test_files_are_read_or_refused_by_name_and_nothing_is_executed(name, tmp_path):
    """Pickle bombs, what was found once, beginnings of whole files, and changed ones; in one child, for speed."""
    reader, mark = READERS[name], tmp_path / "executed"
    folder = lay_out(reader, tmp_path / "it")
    warm(reader, folder)

    def inputs():
        rng, start = Random(0), time.monotonic()
        yield from bombs(mark).values()
        yield from kept(reader)
        every = cuts(reader.seeds)
        yield from rng.sample(every, min(A_FEW, len(every)))
        for _ in range(A_FEW):
            if time.monotonic() - start < SECONDS:
                yield changed(rng, rng.choice(reader.seeds), reader.seeds, reader.text)

    findings, tally = found(reader, folder, inputs(), mark)
    assert findings == []
    assert tally.read + tally.refused == tally.tried > len(bombs(mark)) + len(kept(reader))


WRONG = {
    "foreign": lambda path: {}["missing"],
    "crash": lambda path: os.kill(os.getpid(), signal.SIGSEGV),
    "memory": lambda path: b"x" * (200 << 20),
    "executed": lambda path: pickle.loads(path.read_bytes()),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_reader_that_does_wrong_is_found(tmp_path, kind):
    reader = Reader("wrong", "a.bin", (b"x",), WRONG[kind])
    mark = tmp_path / "executed"
    findings, tally = found(reader, lay_out(reader, tmp_path / "it"), [bombs(mark)["pickle"]], mark)
    assert kind in [kind for kind, _ in findings]
    assert tally.tried == 1


def test_a_refusal_without_the_files_name_is_foreign(tmp_path):
    def read(path):
        raise ValueError("it is broken")

    reader = Reader("wrong", "a.bin", (b"x",), read)
    findings, _ = found(reader, lay_out(reader, tmp_path / "it"), [b"y"])
    assert [kind for kind, _ in findings] == ["foreign"]


def test_a_hang_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.fuzz.trying.STUCK", 1.0)
    reader = Reader("wrong", "a.bin", (b"x",), lambda path: time.sleep(60))
    findings, tally = found(reader, lay_out(reader, tmp_path / "it"), [b"y", b"z"])
    assert [kind for kind, _ in findings] == ["hang"]
    assert tally.tried == 1
