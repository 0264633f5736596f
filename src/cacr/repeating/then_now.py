"""What differs between then and now: versions, code, machine, settings, data; and what nobody wrote down then."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cacr.environment import OF_NUMBERS, variables
from cacr.repeating.kinds import Kind
from cacr.repeating.recorded import read_environment
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
THREADS = "OMP_NUM_THREADS"
NAMES_A_FILE = re.compile("TOOL|DIR|PATH|FILE|LOG|DUMP|CACHE")
"""In names of variables that may make a library load or write files, such as OMP_TOOL_LIBRARIES, CUDNN_LOGDEST_DBG."""
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
    given = now.get("variables")
    if isinstance(given, Mapping) and THREADS not in (then.get("variables") or {}):
        # `as_then` set it; ``threads`` tells it
        now = {**now, "variables": {name: value for name, value in given.items() if name != THREADS}}
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

    Which GPU is shown stays as it is now, unless none was shown then. A folder may be a stranger's: of its variables
    only those are taken that change numbers and name no file, which might be a library to load or a log to write; and
    no Python file is imported from the folder that the command runs in.
    """
    wanted = dict(os.environ)
    known = then.get("variables")
    if isinstance(known, dict):
        stay = {"CUDA_VISIBLE_DEVICES"} if known.get("CUDA_VISIBLE_DEVICES") != "" else set()
        for name in variables().keys() - known.keys() - stay:
            del wanted[name]
        wanted |= {name: value for name, value in known.items() if name not in stay and _is_safe(name, value)}
    threads = then.get("threads")
    if isinstance(threads, int) and THREADS not in (known or {}):
        wanted[THREADS] = str(threads)
    wanted["PYTHONSAFEPATH"] = "1"
    if "PYTHONPATH" in wanted:  # an empty or relative one would start from the new folder
        wanted["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, wanted["PYTHONPATH"].split(os.pathsep)))
    return wanted


def _is_safe(name: str, value: Any) -> bool:
    return (
        re.fullmatch(r"[A-Z0-9_]+", name) is not None
        and name.startswith(OF_NUMBERS)
        and NAMES_A_FILE.search(name) is None
        and isinstance(value, str)
        and value.isprintable()
        and not set(value) & set("/\\")
    )


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
        recorded = read_environment(file).get("data") or {}
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
    with contextlib.suppress(OSError):  # a name that is too long for any
        if isinstance(folder, str) and Path(folder).is_dir():
            return Path(folder)
    return Path.cwd()


def notes(then: Mapping[str, Any]) -> list[str]:
    """What a reader of differences should know beside them, each a sentence."""
    told = []
    for one in then.get("resumed") or ():
        if other := sorted(one.keys() - {"step", "command", "folder"}):
            told.append(f"Then, the run was resumed at step {one.get('step')} with other {', '.join(other)}.")
    if then.get("gpus"):
        told.append("GPUs add up in an order of their own: the same bits are not promised there.")
    return told


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
