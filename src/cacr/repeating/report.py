"""What a repetition found, as one sentence, as a page and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cacr._files import write_text_whole
from cacr.repeating.comparing import Compared
from cacr.repeating.run import AGAIN, Repeated
from cacr.repeating.then_now import of_weight

SHOWN, FILES = 12, 3
"""Reasons and files that are named in sentences; all are in the tables."""


def verdict(found: Repeated) -> str:
    """The sentence: the same, bit for bit; or what differs."""
    if found.same:
        return "The same, bit for bit."
    odd = sorted((file for file in found.files if not file.same), key=_weight)
    shown = "; ".join(f"{file.file}: {file.said}" for file in odd[:FILES])
    more = f"; and {len(odd) - FILES} more" if len(odd) > FILES else ""
    return f"Differs: {len(odd)} of {len(found.files)} files. {shown}{more}."


def _weight(file: Compared) -> tuple[bool, float]:
    """Weights first, then what differs most."""
    return not file.file.endswith(".safetensors"), 0.0 if file.largest is None else -file.largest


def conclusions(found: Repeated) -> str:
    """Whether what one would have concluded then holds now; empty where nothing differs."""
    if found.same:
        return ""
    if not found.intervals:
        return (
            "No number with an interval was made, so nothing says whether the difference matters: measure both models "
            "with cacr eval, and see with cacr compare."
        )
    if not found.outside:
        return (
            f"The conclusions hold: of {found.intervals} numbers and paired differences every one is within its "
            "interval."
        )
    return f"{len(found.outside)} of {found.intervals} numbers and paired differences are outside of their intervals."


def expectation(found: Repeated) -> str:
    """Whether the same bits were to be expected."""
    reasons = [one.what for one in of_weight(found.differs)] + [one.what for one in found.data]
    if not reasons:
        return "" if found.same or found.notes else "Nothing that was recorded explains it."
    listed = ", ".join(reasons[:SHOWN]) + (" …" if len(reasons) > SHOWN else "")
    return (
        f"The same bits were not to be expected: {listed} {'is' if len(reasons) == 1 else 'are'} not as then."
    )


def sentences(found: Repeated) -> list[str]:
    """All that there is to say, the verdict first."""
    told = [verdict(found), conclusions(found), *found.outside[:SHOWN], expectation(found), *found.notes]
    if found.unknown:
        shown = ", ".join(found.unknown[:SHOWN]) + (" …" if len(found.unknown) > SHOWN else "")
        told.append(f"Not compared, since it was not recorded then: {shown}.")
    return [one for one in told if one]


def write_repeated(found: Repeated, out: Path) -> None:
    """Write README.md and repeat.json."""
    write_text_whole(out / "repeat.json", json.dumps(as_json(found), indent=1) + "\n")
    write_text_whole(out / "README.md", markdown(found))


def as_json(found: Repeated) -> dict[str, Any]:
    """Plain values."""
    return {
        "run": str(found.run),
        "kind": found.kind,
        "commands": found.commands,
        "same": found.same,
        "verdict": verdict(found),
        "conclusions": conclusions(found),
        "then and now": [one.to_json() for one in found.differs],
        "data": [one.to_json() for one in found.data],
        "not recorded": found.unknown,
        "notes": found.notes,
        "files": [one.to_json() for one in found.files],
    }


def markdown(found: Repeated) -> str:
    """The page."""
    lines = [f"# {found.run.name}, repeated", "", *(f"{one}\n" for one in sentences(found))]
    if found.differs or found.data:
        lines += ["| | then | now |", "|---|---|---|"]
        lines += [f"| {one.what} | {one.then} | {one.now} |" for one in (*found.data, *found.differs)] + [""]
    lines += ["| file | |", "|---|---|", *(f"| {one.file} | {one.said} |" for one in found.files), ""]
    lines += [f"Then: {found.run}. Now: `{AGAIN}/`. Made by", ""]
    return "\n".join([*lines, *(f"    cacr {' '.join(command)}" for command in found.commands)]) + "\n"
