"""What an input reaches in the package: inputs that reach something new are changed further.

By lines, with Python's own tracing, on for the package's code alone and for a function only until all of its lines were
seen; or by branches and comparisons, with atheris (libFuzzer), where it is installed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from random import Random
from types import CodeType, FrameType
from typing import Any

import cacr
from tests.fuzz.inputs import LARGEST, changed
from tests.fuzz.reader import Reader

PACKAGE = cacr.__path__[0]


class Lines:
    """Lines of the package that were reached so far, by the name of their file."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, int]] = set()
        self._left: dict[CodeType, set[int] | None] = {}
        self._new: set[tuple[str, int]] = set()

    def during(self, trial: Callable[[], str]) -> tuple[str, set[tuple[str, int]]]:
        """What a trial gives, and the lines that it reached and none before."""
        self._new = set()
        sys.settrace(self._call)
        try:
            said = trial()
        finally:
            sys.settrace(None)
        self.seen |= self._new
        return said, self._new

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        try:
            left = self._left[code]
        except KeyError:
            name = code.co_filename
            left = None
            if name.startswith(PACKAGE):
                left = {line for *_, line in code.co_lines() if line and (name, line) not in self.seen}
            self._left[code] = left
        return self._line if left else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        code, line = frame.f_code, frame.f_lineno
        left = self._left[code]
        if left and line in left:
            left.discard(line)
            self._new.add((code.co_filename, line))
        return self._line


def has_atheris() -> bool:
    """Whether atheris is installed."""
    return find_spec("atheris") is not None


def instrumented() -> AbstractContextManager[Any]:
    """While it is entered, modules of the package are imported so that atheris sees their branches."""
    if not has_atheris():
        return nullcontext()
    import atheris

    return atheris.instrument_imports(include=["cacr"])


def libfuzzer(reader: Reader, corpus: Path, count: int, seed: int) -> Callable[[Any], None]:
    """Inputs that libFuzzer chooses, changed by it or by our changes; for a child, which it ends.

    Args:
        reader: Whose modules were imported under `instrumented`.
        corpus: Folder of the inputs that reached something new; more are added.
        count: How many.
        seed: Of the changes.
    """

    def feed(trying: Any) -> None:
        import atheris

        pool = [*reader.seeds, *(file.read_bytes() for file in sorted(corpus.iterdir()))]

        left = count

        def test(data: bytes) -> None:
            nonlocal left
            left -= 1
            if not trying(data) or not left:
                trying.end()  # what libFuzzer does at its end is not the reader's

        def change(data: bytes, largest: int, number: int) -> bytes:
            rng = Random(number)
            if rng.random() < 0.25:
                return atheris.Mutate(data, largest)
            return changed(rng, data, pool, reader.text)[:largest]

        own = ("segv", "bus", "abrt", "ill", "fpe", "int", "term", "xfsz", "usr1", "usr2")
        options = [f"-handle_{name}=0" for name in own]  # the parent sees the signal
        options += ["-timeout=0", "-rss_limit_mb=0", "-malloc_limit_mb=0", "-detect_leaks=0"]
        options.append(f"-artifact_prefix={corpus.parent}/")  # not where it was started
        sizes = ["-runs=-1", f"-seed={seed + 1}", f"-max_len={LARGEST + max(map(len, reader.seeds))}"]
        atheris.Setup(["fuzz", *options, *sizes, str(corpus)], test, custom_mutator=change)
        atheris.Fuzz()

    return feed
