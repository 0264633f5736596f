"""Pages of the docs as things to run: blocks of Python, commands, files, and what a page shows that they print.

    ```python                     runs, in the order of the page, in one namespace; a ```text right below is its output
    ```console                    lines that begin with $ are commands, the others are what they print
    ```json title="FILE"          a file that the reader makes
    …                             alone in a line: any lines; within one: anything

Other blocks (with a title, or of another kind) are not run here. Of a notebook: its cells of code, and what it stored
that they print.
"""

import contextlib
import io
import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(
    r"^```(?P<kind>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
NUMBER = r"[-+]?\d+(?:\.\d+)?"
ANY = "…"


@dataclass(frozen=True)
class Step:
    """Something that a reader does, and what the page says is printed then (None: the page does not say)."""

    kind: str
    """python, console (a command) or file."""
    text: str
    shown: str | None = None
    name: str = ""
    """Of a file."""


def steps(page: Path) -> Iterator[Step]:
    """What a page, or a notebook, asks its reader to do, in order."""
    if page.suffix == ".ipynb":
        for cell in json.loads(page.read_text(encoding="utf-8"))["cells"]:
            printed = [
                "".join(one["text"]) for one in cell.get("outputs", ()) if one["output_type"] == "stream"
            ]
            if cell["cell_type"] == "code":
                yield Step("python", "".join(cell["source"]), "".join(printed) or None)
        return
    text = page.read_text(encoding="utf-8")
    blocks = list(FENCE.finditer(text))
    for block, following in zip_longest(blocks, blocks[1:]):
        kind, title, body = block.group("kind", "title", "text")
        if kind == "python" and title is None:
            near = following is not None and text[block.end() : following.start()].strip() == ""
            printed = near and following.group("kind") == "text"
            yield Step("python", body, following.group("text") if printed else None)
        elif kind == "console":
            for command in body.split("$ ")[1:]:
                line, _, shown = command.partition("\n")
                yield Step("console", line, shown or None)
        elif title is not None and kind != "python":
            yield Step("file", body, name=title)


def follow(
    page: Path, names: dict[str, Any], cacr: Callable[[list[str]], str] | None = None
) -> Iterator[tuple[Step, str]]:
    """Do what a page says where we are, and hold what is printed against it; gives each step with what it printed.

    Args:
        page: A page.
        names: The namespace of its Python.
        cacr: Runs ``cacr ARGUMENTS`` and gives what it printed.
    """
    for step in steps(page):
        printed = ""
        if step.kind == "file":
            Path(step.name).parent.mkdir(parents=True, exist_ok=True)
            Path(step.name).write_text(step.text, encoding="utf-8")
        elif step.kind == "console":
            name, *arguments = shlex.split(step.text)
            assert name == "cacr" and cacr is not None, f"{page.name}: {step.text}"
            printed = cacr(arguments)
        else:
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(step.text, f"<{page.name}>", "exec"), names)
            printed = out.getvalue()
        if step.shown is not None:
            assert _pattern(step.shown).fullmatch(printed.strip()), (
                f"{page.name} says that {step.text.strip()!r} prints\n{step.shown}\nIt prints\n{printed}"
            )
        yield step, printed


def numbers_are_near(step: Step, printed: str, **tolerance: float) -> None:
    """Fail where the numbers that a page shows are not those printed."""
    found = _pattern(step.shown).fullmatch(printed.strip())
    wanted = [float(one) for one in re.findall(NUMBER, step.shown)]
    assert [float(one) for one in found.groups()] == pytest.approx(wanted, **tolerance), step.text


def _pattern(shown: str) -> re.Pattern[str]:
    """What a page shows, as a pattern: any numbers, any space between words."""
    lines = []
    for line in shown.strip().splitlines():
        if line.strip() == ANY:
            lines.append(r"(?:.*\n)*?.*")
            continue
        words = []
        for word in line.split():
            parts = re.split(f"({NUMBER}|{ANY})", word)
            words.append(
                "".join(
                    ".*" if part == ANY else f"({NUMBER})" if index % 2 else re.escape(part)
                    for index, part in enumerate(parts)
                )
            )
        lines.append(r"[ \t]*" + r"[ \t]+".join(words) + r"[ \t]*")
    return re.compile(r"\n+".join(lines))
