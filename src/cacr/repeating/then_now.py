"""What differs between then and now: versions, code, machine, settings, data; and what nobody wrote down then."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cacr.environment import OF_NUMBERS
from cacr.repeating.kinds import Kind, read_object
from cacr.training import TrainConfig
from cacr.training.folder import configuration_hash, data_of
from cacr.training.run import open_data

ABSENT = "-"
NOT_OF_THE_MACHINE = frozenset(("command", "folder", "data", "resumed"))
SAYS_NOTHING_OF_NUMBERS = (
    "git",
    "git_changes",
    "platform",
    "processors",
    "processor/usable",
    "processor/cores",
)
"""What may differ and leaves the numbers as they are: ``code`` tells whether the code is another."""
LISTS = ("packages/", "variables/")
"""What is recorded as far as it is there: a name that is missing was not there."""


@dataclass(frozen=True)
class Differs:
    """One thing that is not as it was."""

    what: str
    then: Any
    now: Any

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dict(self.__dict__)

    def __str__(self) -> str:
        return f"{self.what}: {self.then} then, {self.now} now"


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[list[Differs], list[str]]:
    """What of the environment differs, and what is not compared since it was not recorded then."""
    before, after = _flat(then), _flat(now)
    found, unknown = [], []
    for name in dict.fromkeys([*after, *before]):
        listed = name.startswith(LISTS) and name.split("/")[0] in then and "code" in then
        if name not in before and not listed:
            unknown.append(name)
        elif before.get(name, ABSENT) != after.get(name, ABSENT):
            found.append(Differs(name, before.get(name, ABSENT), after.get(name, ABSENT)))
    return found, unknown


def of_weight(found: Sequence[Differs]) -> list[Differs]:
    """Those that may change a number: with any of them, the same bits are not to be expected."""
    return [one for one in found if one.what not in SAYS_NOTHING_OF_NUMBERS]


def as_then(then: Mapping[str, Any]) -> dict[str, str]:
    """This process's environment with the variables that change numbers, and the threads, as they were.

    Which GPU is shown stays as it is now, unless none was shown then.
    """
    wanted = dict(os.environ)
    known = then.get("variables")
    if isinstance(known, dict):
        for name in [name for name in wanted if name.startswith(OF_NUMBERS)]:
            if name != "CUDA_VISIBLE_DEVICES" and name not in known:
                del wanted[name]
        shown = {
            name: value for name, value in known.items() if name != "CUDA_VISIBLE_DEVICES" or value == ""
        }
        wanted |= {name: str(value) for name, value in shown.items()}
    threads = then.get("threads")
    if isinstance(threads, int) and not (isinstance(known, dict) and "OMP_NUM_THREADS" in known):
        wanted["OMP_NUM_THREADS"] = str(threads)
    return wanted


def data_now(kind: Kind, run: Path, then: Mapping[str, Any]) -> tuple[list[Differs], list[str]]:
    """Which data of its training runs are not those of then, and what nobody recorded.

    All configurations are looked at, and the captions, features and model of the first run.

    Raises:
        FileNotFoundError: Data that are no longer there.
        ValueError: Data that can no longer be read.
    """
    found: list[Differs] = []
    unknown: list[str] = []
    files = sorted(run.glob(kind.runs)) if kind.runs is not None else []
    for number, file in enumerate(files):
        own = file.parent / "config.toml"
        recorded = read_object(file).get("data")
        recorded = recorded if isinstance(recorded, dict) else {}
        now: dict[str, Any] = {}
        if number == 0:
            config = TrainConfig.from_toml(own)
            with contextlib.chdir(folder_of(then)):
                now = data_of(config, open_data(config))
        now["configuration"] = configuration_hash(own.read_text(encoding="utf-8"))
        for name, value in now.items():
            what = name if len(files) == 1 else f"{name} of {file.parent.relative_to(run)}"
            if name not in recorded:
                unknown.append(what)
            elif recorded[name] != value:
                found.append(Differs(what, _short(recorded[name]), _short(value)))
    return found, unknown


def folder_of(then: Mapping[str, Any]) -> Path:
    """The folder that relative paths start from: that of then, if it is recorded and there; else this one."""
    folder = then.get("folder")
    return Path(folder) if isinstance(folder, str) and Path(folder).is_dir() else Path.cwd()


def _short(value: Any) -> Any:
    if isinstance(value, Mapping):
        return f"{value.get('hash')} ({value.get('bytes', 0):,} bytes)"
    return "not there" if value is None else value


def _flat(environment: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in environment.items():
        if name in NOT_OF_THE_MACHINE:
            continue
        if isinstance(value, Mapping):
            found |= {f"{name}/{inner}": one for inner, one in value.items()}
        else:
            found[name] = ", ".join(map(str, value)) or "none" if isinstance(value, list) else value
    return {name: ABSENT if value is None else value for name, value in found.items()}
