"""What became of each test, what was expected of it, and the page that says so."""

from __future__ import annotations

import re
import tomllib
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

EXCEPTIONS = Path(__file__).with_name("exceptions.toml")
Tests = dict[tuple[str, str], str]
"""(class, test) -> a sentence."""


@dataclass
class Outcomes:
    """Of a run: which tests passed, which the library skipped, which failed; the last two with what was said."""

    passed: Tests
    skipped: Tests
    failed: Tests

    @classmethod
    def read(cls, junit: Path) -> Outcomes:
        """From pytest's report in JUnit's format."""
        passed, skipped, failed = found = ({}, {}, {})
        for case in ElementTree.parse(junit).iter("testcase"):
            where = case.get("classname", "").rpartition(".")[2], case.get("name", "")
            said = {one.tag: one.get("message", "") for one in case}
            kind = failed if said.keys() & {"failure", "error"} else skipped if "skipped" in said else passed
            kind[where] = next(iter(said.values()), "")
        return cls(*found)

    def wrong(self, excepted: Tests) -> list[str]:
        """A sentence for each failure that is not excepted, and each exception that did not fail."""
        new = [
            f"{kind}: {test} failed and is not excepted: {said}"
            for (kind, test), said in self.failed.items()
            if (kind, test) not in excepted
        ]
        stale = [where for where in excepted if where not in self.failed]
        return new + [
            f"{kind}: {test} is excepted and {'passed' if (kind, test) in self.passed else 'was not run'}; "
            f"take it out of {EXCEPTIONS.name}"
            for kind, test in stale
        ]


def exceptions(path: Path = EXCEPTIONS) -> Tests:
    """Why each excepted test of a class does not pass."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("excepted", [])
    return {(kind, test): one["why"] for one in entries for kind in one["classes"] for test in one["tests"]}


def page(outcomes: Outcomes, excepted: Tests, version: str, missing: str) -> str:
    """docs/trust/common_model_tests.md."""
    kinds = {
        "passed": outcomes.passed,
        "skipped by the library": outcomes.skipped,
        "excepted": {where: "" for where in outcomes.failed if where in excepted},
        "failed": {where: "" for where in outcomes.failed if where not in excepted},
    }
    counts = {name: Counter(kind for kind, _ in found) for name, found in kinds.items()}
    classes = sorted(set().union(*counts.values()))
    rows = [(f"`{one}`", *(found[one] for found in counts.values())) for one in classes]
    rows.append(("**all**", *(found.total() for found in counts.values())))
    return "\n".join(
        [
            "# The transformers library's own tests, over our models",
            "",
            f"Written by `python -m tests.common_models` (`make common`): `ModelTesterMixin` and `ConfigTester` of "
            f"transformers {version}, as its sdist holds them, over each class by itself, in tiny sizes.{missing}",
            "",
            f"| class | {' | '.join(kinds)} |",
            f"|---|{'--:|' * len(kinds)}",
            *(f"| {' | '.join(map(str, row))} |" for row in rows),
            "",
            "## Excepted, and why",
            "",
            *(_grouped(excepted) or ["Nothing."]),
            "",
            "## Skipped by the library, in its own words",
            "",
            "Of any model that is not composite, `test_sdpa_can_dispatch_composite_models` says that it does not "
            "support SDPA; `test_eager_matches_sdpa_inference` runs, and passes, with SDPA.",
            "",
            *_grouped(outcomes.skipped),
            "",
        ]
    )


def passed_before(text: str) -> int:
    """How many tests passed, as a page says; 0 if it does not."""
    found = re.search(r"^\| \*\*all\*\* \| (\d+) ", text, re.MULTILINE)
    return int(found[1]) if found else 0


def _grouped(found: Tests) -> list[str]:
    """A line for each reason: the tests and, unless it is of all, the classes."""
    everyone = {kind for kind, _ in found}
    by_reason: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for (kind, test), why in found.items():
        by_reason[re.sub(rf"<class '[\w.]*'>|\b{kind}\b", "it", why)].append((kind, test))
    lines = []
    for why, where in sorted(by_reason.items()):
        names = ", ".join(f"`{name}`" for name in sorted({test for _, test in where}))
        some = sorted({kind for kind, _ in where})
        of = "" if set(some) == everyone and len(some) > 1 else f" of {', '.join(f'`{one}`' for one in some)}"
        lines.append(f"- {names}{of}: {why.strip()}")
    return lines
