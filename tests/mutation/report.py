"""docs/trust/mutations.json and the page from it: counts per file, and every survivor with the reason why it lives.

The reasons are written by hand in ``explained.toml``, by file and change, so that a rerun keeps them.
"""

import json
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cacr.statistics import proportion
from tests.mutation.areas import FILES, ROOT
from tests.mutation.mutants import Mutant

FOLDER = ROOT / "docs" / "trust"
EXPLAINED = Path(__file__).with_name("explained.toml")
WANTED = 0.9
"""Share of mutants that have to be killed."""
KINDS = {
    "same": "same behaviour: no input tells it from the original",
    "cost": "only speed or memory: the values are the same",
    "wording": "only wording",
    "unreached": "needs a GPU or a size that tests do not have",
    "guard": "a check, or a bound of rounding, that nothing comes near",
    "open": "a test could tell; none does yet",
}


@dataclass(frozen=True)
class Reason:
    """Why a survivor lives."""

    kind: str
    """One of ``KINDS``."""
    why: str


def reasons(path: Path = EXPLAINED) -> dict[tuple[str, str], Reason]:
    """(file, change) -> why.

    Raises:
        ValueError: An unknown kind.
    """
    found = {}
    for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("survivors", []):
        if entry["kind"] not in KINDS:
            raise ValueError(f"{path}: {entry['kind']!r} is no kind of survivor; known: {', '.join(KINDS)}")
        for change in entry["changes"]:
            found[entry["file"], change.strip()] = Reason(entry["kind"], " ".join(entry["why"].split()))
    return found


def kept(folder: Path = FOLDER) -> dict[str, Any]:
    """What is known of each file from earlier runs."""
    path = folder / "mutations.json"
    return json.loads(path.read_text(encoding="utf-8"))["files"] if path.is_file() else {}


def with_outcomes(
    known: Mapping[str, Any], made: Mapping[str, Sequence[Mutant]], outcomes: Mapping[Mutant, str]
) -> dict[str, Any]:
    """What is known of each file, these ones tried anew.

    Args:
        known: As from `kept`.
        made: File -> its mutants.
        outcomes: Of those that were tried.
    """
    new = {}
    for file, some in made.items():
        tried = {one: outcomes[one] for one in some if one in outcomes}
        counts = Counter(tried.values())
        new[file] = {"mutants": len(some)} | {
            name: counts[name] for name in ("killed", "timed out", "survived")
        }
        lived = [one for one, outcome in tried.items() if outcome == "survived"]
        new[file]["survivors"] = [{"line": one.first, "change": one.change} for one in lived]
    both = {**known, **new}
    return {file: both[file] for file in sorted(both, key=_place)}


def survivors(known: Mapping[str, Any], made: Mapping[str, Sequence[Mutant]]) -> list[Mutant]:
    """The mutants that survived earlier; where a change is made in several places, so many of them as survived."""
    found = []
    for file, some in made.items():
        lived = {(one["line"], one["change"]) for one in known.get(file, {}).get("survivors", [])}
        found += [one for one in some if (one.first, one.change) in lived]
    return found


def again(
    known: Mapping[str, Any], made: Mapping[str, Sequence[Mutant]], outcomes: Mapping[Mutant, str]
) -> dict[str, Any]:
    """What is known of each file after its survivors were tried again; those not tried survive still."""
    new = {file: dict(found) for file, found in known.items()}
    for mutant, outcome in outcomes.items():
        found = new[mutant.file]
        here = {"line": mutant.first, "change": mutant.change}
        if outcome != "survived" and here in found["survivors"]:
            left = list(found["survivors"])
            left.remove(here)
            found.update({"survivors": left, "survived": found["survived"] - 1, outcome: found[outcome] + 1})
    return new


def _place(file: str) -> tuple[int, str]:
    return (FILES.index(file) if file in FILES else len(FILES)), file


def write(files: Mapping[str, Any], folder: Path = FOLDER) -> None:
    """The JSON and the page."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"files": files}, indent=1, ensure_ascii=False)
    (folder / "mutations.json").write_text(text + "\n", encoding="utf-8")
    (folder / "mutations.md").write_text(page(files, reasons()), encoding="utf-8")


def page(files: Mapping[str, Any], why: Mapping[tuple[str, str], Reason]) -> str:
    """The page as Markdown."""
    kinds = Counter(
        why[file, one["change"]].kind if (file, one["change"]) in why else "not explained"
        for file, found in files.items()
        for one in found["survivors"]
    )
    lines = [
        "# Mutations: would a test notice?",
        "",
        "Each line of the losses and of the metrics is changed a little (another sign, another axis, an argument left "
        "out), one change at a time, and the tests that run it are run. A change that no test notices survives. "
        "Written by `python -m tests.mutation`; the operators are mutmut's, what is left out stands in "
        "`tests/mutation/mutants.py`, the reasons in `tests/mutation/explained.toml`.",
        "",
        "| file | mutants | tried | killed | timed out | survived | killed or timed out |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *(_row(f"`{file}`", [found]) for file, found in files.items()),
        _row("**losses**", _under(files, "losses/")),
        _row("**benchmarks and statistics**", [v for k, v in files.items() if not k.startswith("losses/")]),
        _row("**all**", list(files.values())),
        "",
        "A file is tried whole, or a random part of it; the interval (Wilson, 95 %) is of that drawing. Each mutant is "
        "given the tests that run its lines, the quickest first, up to ten processor seconds of them.",
        "",
        "## Survivors",
        "",
        *(f"- {count} x {KINDS.get(kind, 'not explained yet')}" for kind, count in kinds.most_common()),
    ]
    for file, found in files.items():
        lines += _survivors(file, found["survivors"], why)
    return "\n".join(lines) + "\n"


def _under(files: Mapping[str, Any], start: str) -> list[Any]:
    return [found for file, found in files.items() if file.startswith(start)]


def share(found: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    """Mutants that were noticed, and that were tried."""
    noticed = sum(one["killed"] + one["timed out"] for one in found)
    return noticed, noticed + sum(one["survived"] for one in found)


def _row(name: str, found: list[Any]) -> str:
    total = {key: sum(one[key] for one in found) for key in ("mutants", "killed", "timed out", "survived")}
    noticed, tried = share(found)
    text = f"{100 * noticed / tried:.1f} %" if tried else "-"
    if tried < total["mutants"]:
        drawn = proportion([True] * noticed + [False] * (tried - noticed))
        text += f" [{100 * drawn.low:.1f}, {100 * drawn.high:.1f}]"
    cells = [name, total["mutants"], tried, total["killed"], total["timed out"], total["survived"], text]
    return f"| {' | '.join(map(str, cells))} |"


def _survivors(file: str, survivors: Iterable[Any], why: Mapping[tuple[str, str], Reason]) -> list[str]:
    grouped: dict[str, list[str]] = {}
    for one in survivors:
        reason = why.get((file, one["change"]))
        text = f"{reason.why} ({KINDS[reason.kind].partition(':')[0]})" if reason else "Not explained yet."
        grouped.setdefault(text, []).append(one["change"])
    lines = ["", f"### {file}"] if grouped else []
    for text, changes in grouped.items():
        lines += ["", text, "", "```diff", *"\n\n".join(dict.fromkeys(changes)).splitlines(), "```"]
    return lines


def unexplained(files: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(file, change) of survivors without a reason."""
    why = reasons()
    return [
        (file, one["change"])
        for file, found in files.items()
        for one in found["survivors"]
        if (file, one["change"]) not in why
    ]
