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
A_FEW, SECONDS = 200, 0.25
"""Inputs of each kind, and how long new ones are made: slow readers get fewer."""


def found(reader, folder, inputs, mark=None):
    """What a reader did not withstand, and how many inputs it was given."""
    tally = attempt(reader, folder, each(inputs), mark)
    return [(one.kind, one.said) for one in tally.findings], tally


@pytest.fixture(params=READERS)
def reader(request):
    return READERS[request.param]


@pytest.fixture
def folder(reader, tmp_path):
    folder = lay_out(reader, tmp_path / "it")
    warm(reader, folder)
    return folder


@pytest.mark.parametrize("name", [name for name in READERS if kept(READERS[name])])
def test_what_was_found_once_is_mended(name, tmp_path):
    reader = READERS[name]
    folder = lay_out(reader, tmp_path / "it")
    warm(reader, folder)
    findings, tally = found(reader, folder, kept(reader))
    assert findings == []
    assert tally.tried == len(kept(reader))


def test_nothing_is_executed(reader, folder, tmp_path):
    mark = tmp_path / "executed"
    assert found(reader, folder, bombs(mark).values(), mark)[0] == []


def test_broken_files_are_read_or_refused_by_name(reader, folder):
    rng, start = Random(0), time.monotonic()

    def broken():
        every = cuts(reader.seeds)
        yield from rng.sample(every, min(A_FEW, len(every)))
        for _ in range(A_FEW):
            if time.monotonic() - start < SECONDS:
                yield changed(rng, rng.choice(reader.seeds), reader.seeds, reader.text)

    findings, tally = found(reader, folder, broken())
    assert findings == []
    assert tally.read + tally.refused == tally.tried > 0


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
