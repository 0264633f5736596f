"""Tests against mutants: everything is imported once, and each mutant lives in a process forked from there.

    collect the tests  ->  run them once, noting which test runs which line  ->  for each mutant: fork, graft it in,
    run the tests that reach its lines, the quickest first, until one fails

A mutant is killed by a test that fails or by an error while its module is made; timed out where its tests take many
times longer than without it; survived otherwise.
"""

import math
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import Any

import coverage
import pytest

from tests.mutation.areas import ROOT
from tests.mutation.grafting import forget, graft
from tests.mutation.mutants import Mutant

SLOW, ENOUGH, QUICK = 2.0, 10.0, 0.03
"""Processor seconds of a test, above which it is not asked; of all that one mutant is given; of a quick one."""
PATIENCE, LEAST = 8, 20
"""A mutant may use so many times the processor time of its tests, and so many seconds at least."""
MEMORY = 6 << 30
"""Bytes of address space beyond those in use."""
OUTCOMES = {0: "survived", 1: "killed", 2: "timed out"}
Told = Callable[[Mutant, str], None]
OPTIONS = (
    *("-o", "addopts=", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "--doctest-modules"),
    *(
        "--import-mode=importlib",
        "-q",
        "-s",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-m",
        "not slow and not gpu",
    ),
)
"""Of pytest. Shapes are not checked by jaxtyping here: tests alone have to notice."""


class Mutating:
    """The pytest plugin that does it.

    Args:
        mutants: What to try.
        processes: How many at a time.
        seconds: After which no more are tried.
        told: Is told each outcome.
    """

    def __init__(self, mutants: Sequence[Mutant], processes: int, seconds: float, told: Told):
        self.mutants, self.processes, self.seconds, self.told = mutants, processes, seconds, told
        self.outcomes: dict[Mutant, str] = {}
        self.failed: list[str] = []
        self.ready = False
        self._seconds: dict[str, float] = {}
        self._holders: dict[str, set[str]] = {}
        self.names: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember what failed."""
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """In the place of the usual loop."""
        files = sorted({one.file for one in self.mutants})
        self.names = {item.nodeid: dict(item.dtest.globs) for item in session.items if hasattr(item, "dtest")}
        reached = self._baseline(session.items, files)
        self._holders = {file: _holders(session.items, sys.modules[module_of(file)]) for file in files}
        by_id = {item.nodeid: item for item in session.items}
        self.ready = True
        running: dict[int, tuple[Mutant, float]] = {}
        started = time.monotonic()
        for mutant in self.mutants:
            if time.monotonic() - started > self.seconds:
                break
            tests = self._ordered(mutant, reached)
            while len(running) >= self.processes:
                self._wait(running)
            limit = LEAST + PATIENCE * sum(self._seconds[test] for test in tests)
            pid = os.fork()
            if pid == 0:
                _child(mutant, [by_id[test] for test in tests], int(limit), self)
            running[pid] = (mutant, time.monotonic() + 30 * limit)
        while running:
            self._wait(running)
        return True

    def _wait(self, running: dict[int, tuple[Mutant, float]]) -> None:
        """Until one has ended; those that hang without using the processor are ended."""
        while True:
            for pid, (mutant, deadline) in list(running.items()):
                done, status = os.waitpid(pid, os.WNOHANG)
                if not done and time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                    done, status = os.waitpid(pid, 0)[0], 0x0200
                if done:
                    del running[pid]
                    code = os.waitstatus_to_exitcode(status)
                    late = code in (-signal.SIGXCPU, -signal.SIGKILL)
                    self.outcomes[mutant] = OUTCOMES.get(2 if late else code, "killed")
                    self.told(mutant, self.outcomes[mutant])
                    return
            time.sleep(0.002)

    def _baseline(self, items: Sequence[pytest.Item], files: Sequence[str]) -> dict[str, dict[int, set[str]]]:
        """File -> line -> tests that run it. Every test passes, or nothing can be said of mutants."""
        paths = [str(ROOT / "src/cacr" / file) for file in files]
        names = [module_of(file) for file in files]
        measured = coverage.Coverage(data_file=None, include=paths, config_file=False)
        measured.start()
        for item, following in zip(items, [*items[1:], None], strict=True):
            measured.switch_context(item.nodeid)
            for name in names:
                forget(sys.modules[name])
            begun = time.process_time()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            self._seconds[item.nodeid] = time.process_time() - begun
        measured.stop()
        if self.failed:
            raise pytest.UsageError(
                f"{len(self.failed)} tests fail without any mutant; first {self.failed[0]}"
            )
        data = measured.get_data()
        found = {}
        for file, path in zip(files, paths, strict=True):
            lines = data.contexts_by_lineno(path)
            found[file] = {line: {test for test in tests if test} for line, tests in lines.items()}
        return found

    def _ordered(self, mutant: Mutant, reached: dict[str, dict[int, set[str]]]) -> list[str]:
        """Tests that run its lines; all of its file where those run while it is imported."""
        lines = reached[mutant.file]
        tests = set().union(*(lines.get(line, set()) for line in range(mutant.first, mutant.last + 1)))
        if not tests:  # it is run while the module is imported
            tests = set().union(*lines.values()) | self._holders[mutant.file]
        quick = [test for test in tests if self._seconds[test] < SLOW]
        place: Counter[str] = Counter()
        ranked = []
        for test in sorted(quick, key=lambda test: self._seconds[test]):
            function = test.partition("[")[0]
            turn = 0 if self._seconds[test] < QUICK else 1 + place[function]
            ranked.append(
                (turn, self._seconds[test], test)
            )  # quick ones, then each function before any again
            place[function] += turn > 0
        ranked.sort()
        used = list(accumulate(seconds for _, seconds, _ in ranked))
        return [test for (_, _, test), so_far in zip(ranked, used, strict=True) if so_far <= ENOUGH]


def _holders(items: Sequence[pytest.Item], module: ModuleType) -> set[str]:
    """Tests whose own module has imported something that this one made."""
    found = set()
    for item in items:
        for name, value in vars(getattr(item, "module", module)).items():
            ours = getattr(value, "__module__", "cacr").partition(".")[0] == "cacr"
            if ours and not isinstance(value, ModuleType) and vars(module).get(name) is value:
                found.add(item.nodeid)
                break
    return found


def module_of(file: str) -> str:
    """The name of a file's module."""
    return "cacr." + file.removesuffix(".py").replace("/", ".")


def _child(mutant: Mutant, items: Sequence[pytest.Item], limit: int, plugin: Mutating) -> None:
    """Never returns."""
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        graft(sys.modules[module_of(mutant.file)], mutant.source)
        plugin.failed = []
        for item, following in zip(items, [*items[1:], None], strict=True):
            if hasattr(item, "dtest"):  # whose names are let go when it has run
                names = plugin.names[item.nodeid]
                item.dtest.globs.update(names | vars(sys.modules[names["__name__"]]))
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if plugin.failed:
                break
        code = 1 if plugin.failed else 0
    except BaseException:
        code = 1
    finally:
        os._exit(code)


def try_mutants(
    mutants: Sequence[Mutant],
    tests: Sequence[str],
    processes: int = 1,
    seconds: float = math.inf,
    told: Told = lambda mutant, outcome: None,
) -> dict[Mutant, str]:
    """Each mutant's outcome: "killed", "timed out" or "survived"; in the order given, as far as the time suffices.

    Args:
        mutants: Of files whose modules the tests import.
        tests: Paths of tests, as for pytest.
        processes: Mutants at a time.
        seconds: After which no more are tried.
        told: Is told each outcome when it is there.

    Raises:
        RuntimeError: A test fails without any mutant.
    """
    plugin = Mutating(mutants, processes, seconds, told)
    code = pytest.main([*OPTIONS, *(str(ROOT / test) for test in tests)], plugins=[plugin])
    if not plugin.ready:
        raise RuntimeError(
            f"pytest exits with {code} without any mutant; failed: {plugin.failed[:3] or 'nothing'}"
        )
    return plugin.outcomes
