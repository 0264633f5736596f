"""Lines that tests run, by room: ``python -m tests.covering [TEST …]`` (``make coverage``).

Runs the suite as ``make test`` does, its subprocesses measured too, and writes docs/trust/coverage.md: of each room
(src/cacr/ROOM) the lines, the share that ran, and why the rest did not, from the hand-written ``covering.toml``. Paths
of tests measure with these alone and print the page instead.
"""

import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "trust" / "coverage.md"
REASONS = Path(__file__).with_name("covering.toml")
KEPT = ROOT / "build" / "coverage.json"
"""coverage's report, as --from takes it."""
GPU = "Runs on a GPU only, and the tests have none."
SEVERAL = "Runs where several processes share the work; those of the tests are counted only if they end by themselves."
PACKAGE = "Runs where an optional package is missing; the tests have all of them."
REFUSAL = "The sentence of a refusal that no test asks for, and what it is made of."
COMPILED = "Runs while torch.compile reads it; what it reads is not counted."
PLACES = {
    "cuda": GPU,
    "gpu": GPU,
    "is_compiling()": COMPILED,
    "os.name": "Runs on another operating system only.",
    "platform": "Runs on another operating system only.",
    "world_size()": SEVERAL,
    "rank()": SEVERAL,
}
"""What stands in a condition -> why no test runs what it guards."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write.

    Returns:
        pytest's exit code, or 1 where lines that did not run have no reason yet.
    """
    found = argparse.ArgumentParser(prog="python -m tests.covering", description=__doc__)
    found.add_argument("tests", nargs="*", metavar="TEST", help="paths of tests; all if none")
    found.add_argument(
        "--from", dest="measured", type=Path, help="coverage's JSON report, instead of running tests"
    )
    asked = found.parse_args(arguments)
    code = 0
    if asked.measured is None:
        code, report = measure(asked.tests)
    else:
        report = json.loads(asked.measured.read_text(encoding="utf-8"))
    text, bare = page(report["files"], reasons())
    if asked.tests:
        print(text)
        return code
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    print(f"{bare} lines that no test runs have no reason yet. See {PAGE}")
    return code or int(bare > 0)


def measure(tests: Sequence[str]) -> tuple[int, dict[str, Any]]:
    """pytest's exit code, and coverage's report."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "COVERAGE_FILE": str(Path(folder, "data")),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        tool = [sys.executable, "-m", "coverage"]
        suite = ["-m", "pytest", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
        suite += ["-m", "not slow and not gpu", *tests]
        code = subprocess.run([*tool, "run", *suite], cwd=ROOT, env=environment).returncode
        KEPT.parent.mkdir(exist_ok=True)
        subprocess.run([*tool, "combine", "--quiet"], cwd=ROOT, env=environment, check=True)
        subprocess.run([*tool, "json", "--quiet", "-o", str(KEPT)], cwd=ROOT, env=environment, check=True)
        return code, json.loads(KEPT.read_text(encoding="utf-8"))


def reasons(path: Path = REASONS) -> dict[str, str]:
    """Pattern of "file: function" below src/cacr -> why no test runs the lines that none runs."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("unrun", []) if path.is_file() else []
    return {where: entry["why"] for entry in entries for where in entry["where"]}


def page(files: Mapping[str, Any], why: Mapping[str, str]) -> tuple[str, int]:
    """The page as Markdown, and how many lines have no reason."""
    home = ROOT / "src"  # tests copy the package to other places
    files = {path: found for path, found in files.items() if Path(ROOT, path).is_relative_to(home)}
    rooms: dict[str, list[tuple[str, Any]]] = {}
    for path, found in sorted(files.items()):
        file = Path(path).as_posix().partition("src/cacr/")[2]
        room, inner, _ = file.partition("/")
        rooms.setdefault(f"`{room}/`" if inner else "files beside the rooms", []).append((file, found))
    lines = [
        "# Lines that tests run",
        "",
        "Written by `python -m tests.covering`: the suite of `make test`, processes that it starts included, but "
        "not those that it kills. What runs on a GPU, with several machines or for minutes is not in that suite.",
        "",
        "| room | files | lines | run | share | branches taken |",
        "|---|--:|--:|--:|--:|--:|",
        *(_row(room, [found for _, found in some]) for room, some in sorted(rooms.items())),
        _row("**all**", list(files.values())),
        "",
        "## What no test runs, and why",
    ]
    bare = 0
    for room, some in sorted(rooms.items()):
        told: dict[str, list[str]] = {}
        for file, found in some:
            plain = _plain_reasons(file, found["missing_lines"])
            for name, unrun in _by_function(file, found["missing_lines"]).items():
                reason = next(
                    (text for where, text in why.items() if fnmatch(f"{file}: {name}", where)), None
                )
                for text in dict.fromkeys(plain.get(number, reason) for number in unrun):
                    numbers = [number for number in unrun if plain.get(number, reason) == text]
                    bare += len(numbers) if text is None else 0
                    told.setdefault(text or "Not explained yet.", []).append(
                        f"`{file}: {name}` ({_ranges(numbers)})"
                    )
        if told:
            lines += [
                "",
                f"### {room}",
                "",
                *(f"- {text} {'; '.join(where)}" for text, where in told.items()),
            ]
    return "\n".join(lines) + "\n", bare


def _row(name: str, found: Sequence[Any]) -> str:
    total = {
        key: sum(one["summary"].get(key, 0) for one in found)
        for key in ("num_statements", "covered_lines", "num_branches", "covered_branches")
    }
    lines, ran = total["num_statements"], total["covered_lines"]
    cells = [name, len(found), lines, ran, _percent(ran, lines)]
    return f"| {' | '.join(map(str, cells))} | {_percent(total['covered_branches'], total['num_branches'])} |"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _by_function(file: str, numbers: Sequence[int]) -> dict[str, list[int]]:
    """Function (or class.method, or "the module") -> its lines among these."""
    if not numbers:
        return {}
    spans: list[tuple[int, int, str]] = []
    _spans(_tree(file), "", spans)
    found: dict[str, list[int]] = {}
    for number in numbers:
        inside = [(end - start, name) for start, end, name in spans if start <= number <= end]
        found.setdefault(min(inside)[1] if inside else "the module", []).append(number)
    return found


@cache
def _tree(file: str) -> ast.Module:
    return ast.parse((ROOT / "src/cacr" / file).read_text(encoding="utf-8"))


def _plain_reasons(file: str, numbers: Sequence[int]) -> dict[int, str]:
    """Line -> why no test runs it, where its own place in the code says so."""
    if not numbers:
        return {}
    found: dict[int, str] = {}
    for node in ast.walk(_tree(file)):
        if not isinstance(node, ast.If | ast.ExceptHandler | ast.Raise):
            continue
        body: Sequence[ast.stmt] = [node] if isinstance(node, ast.Raise) else node.body
        begin, last = body[0].lineno, body[-1]
        why = REFUSAL if isinstance(last, ast.Raise) else None
        if isinstance(node, ast.If):
            asked = ast.unparse(node.test)
            why = next((text for sign, text in PLACES.items() if sign in asked), why)
        elif isinstance(node, ast.ExceptHandler):
            begin = node.lineno
            why = PACKAGE if node.type and "ImportError" in ast.unparse(node.type) else why
        if why is not None:
            lines = range(begin, (last.end_lineno or last.lineno) + 1)
            found |= {line: why for line in lines if found.get(line, REFUSAL) == REFUSAL}
    return {number: found[number] for number in numbers if number in found}


def _spans(node: ast.AST, before: str, spans: list[tuple[int, int, str]]) -> None:
    for child in ast.iter_child_nodes(node):
        name = before
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{before}.{child.name}".strip(".")
            spans.append((child.lineno, child.end_lineno or child.lineno, name))
        _spans(child, name, spans)


def _ranges(numbers: Sequence[int]) -> str:
    """``3, 5-7``."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][-1] + 1:
            found[-1] = [found[-1][0], number]
        else:
            found.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found)


if __name__ == "__main__":
    raise SystemExit(main())
