"""The run folder: made once, never overwritten, resumed only with the same configuration."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tomllib
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cacr._files import write_text_whole
from cacr._processes import world_size
from cacr.training.config import TrainConfig
from cacr.training.trainer import COMPLETE

_PACKAGES = ("cacr", "torch", "transformers", "accelerate", "numpy", "pillow")


def check_run_folder(config: TrainConfig, resume: bool) -> Path | None:
    """See that a run may go on in its folder, and where: the latest whole checkpoint, or None to start.

    Raises:
        FileExistsError: The folder exists and ``resume`` is not set, or its run has finished.
        FileNotFoundError: There is nothing to resume.
        ValueError: The folder holds a run with another configuration.
    """
    out = config.out
    if not resume:
        if out.exists() and not _barely_begun({file.name for file in out.iterdir()}):
            raise FileExistsError(
                f"{out} exists and is not overwritten. Go on with it by --resume, or name another folder with --out"
            )
        return None
    if not (out / "config.toml").is_file():
        raise FileNotFoundError(
            f"no run to resume in {out}: it has no config.toml. Start it without --resume"
        )
    if (out / "model").is_dir():
        raise FileExistsError(f"the run in {out} has finished; its model is {out / 'model'}")
    then = tomllib.loads((out / "config.toml").read_text(encoding="utf-8"))
    now = tomllib.loads(config.to_toml())
    usual = {one.name: one.default for one in fields(config)}  # a run of an older version lacks newer names
    before = {name: then.get(name, usual.get(name)) for name in now | then}
    changed = [
        f"{name} = {now.get(name, 'not given')} (then: {'not given' if value is None else value})"
        for name, value in before.items()
        if name != "out" and now.get(name) != value
    ]
    if changed:
        raise ValueError(f"{out} holds a run with another configuration: {'; '.join(changed)}")
    return latest_checkpoint(out)


def _barely_begun(names: set[str]) -> bool:
    """Whether a folder is empty, or what a run left that was killed before it had its config.toml."""
    names = {name for name in names if name != ".lock" and not (name[0] == "." and name.endswith(".tmp"))}
    return not names or ("environment.json" in names and names <= {"environment.json", "README.md"})


def make_run_folder(config: TrainConfig) -> None:
    """The folder of a new run, with what is known before it starts. The configuration comes last: it makes a run."""
    out = config.out
    out.mkdir(parents=True, exist_ok=True)
    (out / "environment.json").write_text(json.dumps(environment(), indent=1) + "\n", encoding="utf-8")
    (out / "README.md").write_text(_readme(config), encoding="utf-8")
    write_text_whole(out / "config.toml", config.to_toml())


def latest_checkpoint(run: Path) -> Path | None:
    """The newest checkpoint that was written to its end; None if there is none."""
    whole = [folder for folder in (run / "checkpoints").glob("checkpoint-*") if (folder / COMPLETE).is_file()]
    return max(whole, key=lambda folder: int(folder.name.split("-")[1]), default=None)


def environment() -> dict[str, Any]:
    """What a repetition needs to know: versions, machine, git commit."""
    import torch

    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "processes": world_size(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "git": _git_commit(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def _git_commit() -> str | None:
    try:
        where = Path(__file__).parent
        ours = (where.parents[2] / "pyproject.toml").is_file()  # not the repository of a user's environment
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=where, capture_output=True, text=True, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if ours and done.returncode == 0 else None


def _readme(config: TrainConfig) -> str:
    return f"""# A fine-tuning run of cacr

Attention loss: {config.loss}. Data: {config.data}. Start: {config.model}. Steps: {config.steps}. Seed: {config.seed}.

Repeat it with

    cacr train {config.out / "config.toml"} --out ANOTHER_FOLDER

and, if it was stopped, go on with

    cacr train {config.out / "config.toml"} --resume

`config.toml` holds every value, `environment.json` the versions, `metrics.jsonl` the losses, `model/` the result.
"""
