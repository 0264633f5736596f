"""What a folder holds, which commands make it again, and which of its files are compared.

| kind | known by | made again by | compared |
|---|---|---|---|
| train | config.toml | cacr train RUN/config.toml | weights, metrics.jsonl, hashes of the data |
| sweep | sweep.json | cacr sweep, its recipe written again | trials.jsonl, weights and metrics of every trial |
| study | plan.toml | cacr study RUN/plan.toml | results.json, and of every run weights, metrics, records |
| demo | settings.json, arms/ | cacr demo with its settings | the same |
| analyze | analysis.json | the command it recorded | analysis.json, records.jsonl |
| eval | NAME.json, NAME.jsonl | the command it recorded, or its options | records, what was measured with what |
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cacr._json import json_lines, read_object
from cacr.benchmarks import BENCHMARKS
from cacr.benchmarks.records import read_about
from cacr.demo import DemoConfig
from cacr.demo.run import jobs_of as jobs_of_demo
from cacr.repeating.recorded import DAMAGED, read_environment
from cacr.study import StudyPlan
from cacr.study import jobs_of as jobs_of_study
from cacr.study.workers import Job

OF_RUN = ("metrics.jsonl", "model/*.safetensors", "model/config.json", "environment.json")
OF_JOBS = (
    "results.json",
    *(f"*/*/run/{name}" for name in OF_RUN),
    "*/*/records/*.json*",
    "starts/*/model/*.safe*",
)
RECIPE = "recipe.toml"
WRITTEN = ("--out", "--resume", "--no-resume")
"""Options of a recorded command that say where, and not what."""


@dataclass(frozen=True)
class Kind:
    """A kind of folder that a command of ours makes."""

    name: str
    marks: tuple[str, ...]
    """Patterns of files by which it is known; the first is what a run that began has."""
    compared: tuple[str, ...]
    """Patterns of the files that a repetition is to make again."""
    commands: Callable[[Path, Path], list[list[str]]]
    """Folder, and one beside the new one for what the commands read -> commands, without --out and --resume."""
    unfinished: Callable[[Path], bool]
    inputs: Callable[[Path], dict[str, str]] = lambda run: {}
    """Files that the commands read: name beside the new folder -> text."""
    runs: str | None = None
    """Pattern of the environment.json of its training runs."""

    def files(self, folder: Path) -> list[Path]:
        """What is compared, by the path inside the folder."""
        found = {file for pattern in self.compared for file in folder.glob(pattern) if file.is_file()}
        return sorted(file.relative_to(folder) for file in found if file.name[0] != ".")

    def environment(self, folder: Path) -> dict[str, Any]:
        """What the first run of it, or its first record, says that it was made with; empty if nothing does."""
        if self.runs is not None:
            for file in sorted(folder.glob(self.runs)):
                return read_environment(file)
        return next(filter(None, map(read_environment, sorted(folder.glob("*.json")))), {})


def kind_of(folder: Path) -> Kind:
    """What a folder holds.

    Raises:
        FileNotFoundError: No such folder.
        ValueError: Nothing that can be repeated, and what to do instead.
    """
    if not folder.exists():
        raise FileNotFoundError(f"nothing to repeat at {folder}; expected a folder made by {MAKERS}")
    if folder.is_file() and folder.suffix == ".safetensors":
        raise ValueError(
            f"{folder} is one file and does not say from which pictures it was made. Make it again with the same `cacr "
            "features PICTURES -o OTHER.safetensors`, and compare the two with cmp"
        )
    for kind in KINDS.values():
        if all(any(folder.glob(mark)) for mark in kind.marks):
            return kind
    if any((folder / f"{name}.{end}").exists() for name in BENCHMARKS for end in ("jsonl", "parts")):
        return EVAL
    if (folder / "model.safetensors").is_file() and (folder.parent / "config.toml").is_file():
        raise ValueError(f"{folder} is the model of a run; give the run: cacr repeat {folder.parent}")
    raise ValueError(f"{folder} holds nothing that can be repeated; expected a folder made by {MAKERS}")


def _train(run: Path, beside: Path) -> list[list[str]]:
    return [["train", str(run / "config.toml")]]


def _study(run: Path, beside: Path) -> list[list[str]]:
    return [["study", str(run / "plan.toml")]]


def _demo(run: Path, beside: Path) -> list[list[str]]:
    config = _demo_config(run)
    words = [
        f"--{name}={value}"
        for name in ("seeds", "steps", "examples", "gallery", "album")
        if (value := getattr(config, name)) is not None
    ]
    return [["demo", *words]]


def _demo_config(run: Path) -> DemoConfig:
    """The settings of a demo; it has as many seeds, from 0, as there are folders of."""
    settings = read_object(run / "settings.json", DAMAGED)
    seeds = {match[1] for folder in run.glob("arms/*") if (match := re.search(r"-seed-(\d+)$", folder.name))}
    try:
        return DemoConfig(out=run, seeds=max(len(seeds), 1), **settings).resolved()
    except TypeError as error:
        raise ValueError(f"{run / 'settings.json'} holds settings that no demo has ({error})") from error


def _sweep(run: Path, beside: Path) -> list[list[str]]:
    return [["sweep", str(beside / RECIPE)]]


def _search_recipe(run: Path) -> dict[str, str]:
    """A search's recipe, written again; of as many trials as there are."""
    kept = read_object(run / "sweep.json", DAMAGED)
    plan = {name: value for name, value in kept["plan"].items() if name != "space" and value is not None}
    plan["trials"] = sum(1 for _ in json_lines(run / "trials.jsonl", DAMAGED))
    lines = [*kept["config"], "", "[sweep]", *(f"{name} = {_toml(value)}" for name, value in plan.items())]
    space = [f"{name} = {_toml(value)}" for name, value in kept["plan"]["space"].items()]
    return {RECIPE: "\n".join([*lines, "", "[sweep.space]", *space]) + "\n"}


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _analyze(run: Path, beside: Path) -> list[list[str]]:
    command = _recorded(read_environment(run / "analysis.json"), "analyze")
    if command is None:
        raise ValueError(
            f"{run / 'analysis.json'} does not say which command made it: it was made from Python. Make it again there"
        )
    return [command]


def _eval(run: Path, beside: Path) -> list[list[str]]:
    """The commands that were given, each once; from the options of records that were made otherwise."""
    commands: list[list[str]] = []
    for name in _measured(run):
        about = read_about(run, name)
        recorded = _recorded(read_environment(run / f"{name}.json"), "eval")
        command = recorded or ["eval", str(about["scorer"]["name"]), name, *_options(about, run)]
        if command not in commands:
            commands.append(command)
    return commands


def _measured(run: Path) -> list[str]:
    """The benchmarks that a folder has records of."""
    return [name for name in BENCHMARKS if (run / f"{name}.jsonl").is_file() and read_about(run, name)]


def _options(about: dict[str, Any], run: Path) -> list[str]:
    words: list[str] = []
    for name, value in about.get("options", {}).items():
        if name == "detector":
            raise ValueError(f"the records in {run} do not say which detector's files found their regions")
        if name == "images":
            words += ["--images", *map(str, value)]
        elif name == "errata":
            words.append("--errata" if value else "--no-errata")
        elif name != "blind":  # follows from the model
            words.append(f"--{name}={value}")
    return words


def _recorded(environment: dict[str, Any], name: str) -> list[str] | None:
    """The command that an environment recorded, if it is one of ours, without where it wrote."""
    words = (environment.get("command") or [])[1:]
    if words[:1] != [name]:
        return None
    kept: list[str] = []
    skip = False
    for word in words:
        if skip or word in WRITTEN or word.startswith("--out="):
            skip = not skip and word == "--out"
            continue
        kept.append(word)
    return kept


def _jobs_unfinished(jobs: Sequence[Job]) -> bool:
    return not all(job.done for job in jobs)


def _study_jobs(run: Path) -> list[Job]:
    return jobs_of_study(StudyPlan.from_toml(run / "plan.toml"), run)


EVAL = Kind(
    "eval",
    ("*.json*",),
    ("*.jsonl", "*.json"),
    _eval,
    lambda run: any(run.glob("*.parts")) or not _measured(run),
)
KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "study",
            ("plan.toml",),
            OF_JOBS,
            _study,
            lambda run: not (run / "results.json").is_file() or _jobs_unfinished(_study_jobs(run)),
            runs="*/*/run/environment.json",
        ),
        Kind(
            "demo",
            ("settings.json", "arms"),
            OF_JOBS,
            _demo,
            lambda run: (
                not (run / "results.json").is_file() or _jobs_unfinished(jobs_of_demo(_demo_config(run)))
            ),
            runs="*/*/run/environment.json",
        ),
        Kind(
            "sweep",
            ("sweep.json",),
            ("trials.jsonl", *(f"trial-*/{name}" for name in OF_RUN)),
            _sweep,
            lambda run: not (run / "trials.jsonl").is_file(),
            _search_recipe,
            "trial-*/environment.json",
        ),
        Kind(
            "train",
            ("config.toml",),
            OF_RUN,
            _train,
            lambda run: not (run / "model").is_dir(),
            runs="environment.json",
        ),
        Kind(
            "analyze",
            ("analysis.json",),
            ("analysis.json", "records.jsonl"),
            _analyze,
            lambda run: not (run / "analysis.json").is_file(),
        ),
    )
}
"""Name of the command -> what it makes. Looked through in this order, evaluations last."""
MAKERS = ", ".join(f"`cacr {name}`" for name in (*KINDS, EVAL.name))
