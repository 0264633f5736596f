"""Do it again into a new folder, and say whether it came out the same.

OUT/asked.json    what is repeated; --resume goes on with nothing else      OUT/README.md     what came out, in short
OUT/again/        the new run, as the command made it                       OUT/repeat.json   all of it, for machines

Each command runs in a process of its own, with the environment variables and the number of threads of then. The folder
that is repeated is only read.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cacr._files import may_begin, working_in, write_text_whole
from cacr._json import read_object
from cacr._processes import world_size
from cacr._stopping import INTERRUPTED, RESUMABLE, STOPPED, Preempted
from cacr.environment import environment, variables
from cacr.repeating.comparing import Compared, compare_files
from cacr.repeating.kinds import Kind, kind_of
from cacr.repeating.recorded import DAMAGED
from cacr.repeating.then_now import Differs, as_then, data_now, differences, folder_of, notes

Seen = Callable[[list[str]], dict[str, Any]]
"""Of a command of `cacr eval`: what it would measure and with what now, by benchmark, as its records say it."""
Tell = Callable[["Repeated"], None]
ASKED, AGAIN = "asked.json", "again"


@dataclass
class Repeated:
    """What is known of a repetition; before the run the half of it."""

    run: Path
    kind: str
    commands: list[list[str]]
    differs: list[Differs]
    """Versions, code, machine and settings."""
    data: list[Differs]
    """Captions, features, models, configurations, versions of benchmarks."""
    unknown: list[str]
    """What was not recorded then."""
    notes: list[str] = field(default_factory=list)
    files: list[Compared] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether every file that is compared has the same numbers, bit for bit."""
        return bool(self.files) and all(file.same for file in self.files)

    @property
    def outside(self) -> list[str]:
        """What a reader of then's tables would conclude otherwise now."""
        return [f"{file.file}: {said}" for file in self.files for said in file.outside]

    @property
    def intervals(self) -> int:
        """How many numbers with intervals, and paired differences, were looked at."""
        return sum(file.intervals for file in self.files)


def repeat(
    run: Path,
    out: Path,
    *,
    resume: bool = False,
    anyway: bool = False,
    seen: Seen | None = None,
    tell: Tell = lambda known: None,
) -> Repeated:
    """Run again what a folder holds, and compare the two.

    Args:
        run: A folder made by one of our commands; it is only read.
        out: A new folder.
        resume: Go on with a repetition that was stopped.
        anyway: Go on where data are other ones or missing.
        seen: Tells what an evaluation would measure now; without it, that is compared afterwards.
        tell: Called before anything runs, with what differs from then.

    Raises:
        FileExistsError: ``out`` exists and ``resume`` is not set.
        FileNotFoundError: Nothing there, nothing to resume, or data are missing.
        ValueError: Nothing that can be repeated, an unfinished run, other data than then, or a command that failed.
        BlockingIOError: Another process is at work in ``out``.
    """
    if world_size() > 1:
        raise ValueError(
            "`cacr repeat` starts as many processes as there were then; start it without torchrun"
        )
    run, out = run.resolve(), out.resolve()
    kind = kind_of(run)
    _check_folders(kind, run, out, resume)
    then = kind.environment(run)
    try:
        commands, inputs = kind.commands(run, out), kind.inputs(run)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{run} holds files that `cacr {kind.name}` does not write ({error!r}); they were changed after the run"
        ) from error
    known = _look(kind, run, commands, then, anyway, seen)
    tell(known)
    if known.data and not anyway:
        raise ValueError(
            f"{'; '.join(map(str, known.data))}. The same result is not to be expected of other data. Bring back those "
            "of then, or see what becomes of it all the same: --anyway"
        )
    out.mkdir(parents=True, exist_ok=True)
    with working_in(out):
        asked = {"run": str(run), "kind": kind.name, "commands": known.commands}
        write_text_whole(out / ASKED, json.dumps(asked, indent=1) + "\n")
        for name, text in inputs.items():
            write_text_whole(out / name, text)
        _do_again(kind, run, out / AGAIN, known.commands, then)
        found = kind.environment(out / AGAIN)
        known.differs, known.unknown = _machine(then, found, known.unknown)
        files = dict.fromkeys([*kind.files(run), *kind.files(out / AGAIN)])
        known.files = [compare_files(run, out / AGAIN, file) for file in files]
    return known


def _check_folders(kind: Kind, run: Path, out: Path, resume: bool) -> None:
    if kind.unfinished(run):
        raise ValueError(
            f"what `cacr {kind.name}` began in {run} has not come to its end, so nothing is there to compare with; "
            "go on with it by --resume first"
        )
    if out == run or out.is_relative_to(run):
        raise ValueError(f"{out} is inside {run}, which is only read; give another folder with --out")
    if resume:
        if not (out / ASKED).is_file():
            raise FileNotFoundError(
                f"no repetition to resume in {out}: it has no {ASKED}; start it without --resume"
            )
        if read_object(out / ASKED).get("run") != str(run):
            raise ValueError(
                f"{out} holds a repetition of {read_object(out / ASKED).get('run')}, not of {run}"
            )
    elif not may_begin(out):
        raise FileExistsError(
            f"{out} exists and is not overwritten; go on with it by --resume, or name another --out"
        )


def _look(
    kind: Kind, run: Path, commands: list[list[str]], then: Mapping[str, Any], anyway: bool, seen: Seen | None
) -> Repeated:
    """What differs from then, before anything runs."""
    now = environment() | {
        name: then[name] for name in ("processes", "threads") if then.get(name) is not None
    }  # what the new run is given
    now["variables"] = variables(as_then(then))
    differs, unknown = _machine(then, now, [])
    known = Repeated(run, kind.name, commands, differs, [], unknown, notes(then))
    try:
        known.data, missing = data_now(kind, run, then)
        known.unknown += missing
        if kind.name == "eval" and seen is not None:
            with contextlib.chdir(folder_of(then)):
                known.data += _measured_now(run, commands, seen)
    except (ValueError, OSError) as error:
        if not anyway:
            raise
        known.notes.append(f"Data could not be looked at: {error}")
    return known


def _machine(
    then: Mapping[str, Any], now: Mapping[str, Any], unknown: Sequence[str]
) -> tuple[list[Differs], list[str]]:
    differs, missing = differences(then, now)
    return differs, list(dict.fromkeys([*missing, *unknown]))


def _measured_now(run: Path, commands: Sequence[list[str]], seen: Seen) -> list[Differs]:
    """Versions of the data and hashes of the weights that evaluations would have now, where they are others."""
    found = []
    for command in commands:
        for name, values in seen(command).items():
            about = read_object(run / f"{name}.json", DAMAGED) if (run / f"{name}.json").is_file() else {}
            before = {"version": about.get("version")} | about.get("scorer", {})
            found += [
                Differs(f"{what} of {name}", before[what], value)
                for what, value in values.items()
                if before.get(what) is not None and before[what] != value
            ]
    return found


def _do_again(
    kind: Kind, run: Path, again: Path, commands: Sequence[list[str]], then: Mapping[str, Any]
) -> None:
    """Run the commands, unless all that they make is there; what was begun is gone on with."""
    if again.is_dir() and all((again / file).is_file() for file in kind.files(run)):
        return
    mark = kind.marks[0]
    begun = again.is_dir() and (kind.name == "eval" or any(again.glob(mark)))
    if again.exists() and not begun:  # killed before it could be resumed
        shutil.rmtree(again)
    for number, command in enumerate(commands):
        words = [*command, f"--out={again}"]
        if begun or number:
            words.append("--resume")
        _run(words, as_then(then), folder_of(then), then.get("processes") or 1)


def _run(words: Sequence[str], variables: Mapping[str, str], folder: Path, processes: int) -> None:
    launched = (
        ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        if processes > 1
        else []
    )
    child = subprocess.Popen(
        [sys.executable, *launched, "-m", "cacr", *words], env=dict(variables), cwd=folder, stdout=2
    )
    try:
        code = child.wait()
    except BaseException:  # it ends as it would by itself, and its own checkpoint stays
        child.terminate()
        child.wait()
        raise
    if code == RESUMABLE:
        raise Preempted(STOPPED)
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        raise ValueError(
            f"`cacr {' '.join(words)}` ended with code {code}; what it said is above. Put that right and go on with "
            "--resume"
        )
