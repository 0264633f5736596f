"""The run folder: made once, never overwritten, resumed only with the same configuration."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from cacr._files import read_toml, write_text_whole
from cacr._hub import here, model_here, origin
from cacr._json import read_object
from cacr.data import CaptionSet
from cacr.data.contents import contents_of, contents_of_captions
from cacr.data.opening import FEATURES
from cacr.environment import environment
from cacr.models.shipped import SHIPPED, shipped_model
from cacr.training.checkpoints import latest_checkpoint
from cacr.training.config import TrainConfig

ENVIRONMENT = "environment.json"
FREE = ("out", "nonfinite")
"""What may be another on going on: it changes nothing that was done."""


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
    then = read_toml(out / "config.toml", "")
    now = tomllib.loads(config.to_toml())
    usual = {one.name: one.default for one in fields(config)}  # a run of an older version lacks newer names
    before = {name: then.get(name, usual.get(name)) for name in now | then}
    changed = [
        f"{name} = {now.get(name, 'not given')} (then: {'not given' if value is None else value})"
        for name, value in before.items()
        if name not in FREE and now.get(name) != value
    ]
    if changed:
        raise ValueError(f"{out} holds a run with another configuration: {'; '.join(changed)}")
    return latest_checkpoint(out)


def _barely_begun(names: set[str]) -> bool:
    """Whether a folder is empty, or what a run left that was killed before it had its config.toml."""
    names = {name for name in names if name != ".lock" and not (name[0] == "." and name.endswith(".tmp"))}
    return not names or (ENVIRONMENT in names and names <= {ENVIRONMENT, "README.md"})


def make_run_folder(config: TrainConfig, pairs: CaptionSet | None = None) -> None:
    """The folder of a new run, with what is known before it starts. The configuration comes last: it makes a run.

    Args:
        config: Of the run.
        pairs: What it learns from, opened; its hashes are recorded. Without it those of the files alone are.
    """
    out = config.out
    out.mkdir(parents=True, exist_ok=True)
    known = environment() | {"folder": str(Path.cwd()), "data": data_of(config, pairs)}
    write_text_whole(out / ENVIRONMENT, json.dumps(known, indent=1) + "\n")
    write_text_whole(out / "README.md", _readme(config))
    write_text_whole(out / "config.toml", config.to_toml())


def note_resumed(config: TrainConfig, checkpoint: Path | None, pairs: CaptionSet | None = None) -> None:
    """Write the configuration in force, and add to environment.json what goes on with the run.

    That is: from which step, and all that is not as at the start. What is there stays as it is. A file that is not
    there or no JSON is left alone: no run is refused for want of it.
    """
    write_text_whole(config.out / "config.toml", config.to_toml())  # what is `FREE` may be another now
    file = config.out / ENVIRONMENT
    try:
        first = read_object(file)
    except ValueError:
        return
    now = environment() | {"folder": str(Path.cwd()), "data": data_of(config, pairs)}
    changed = {name: value for name, value in now.items() if name == "command" or first.get(name) != value}
    step = 0 if checkpoint is None else int(checkpoint.name.split("-")[1])
    before = first.get("resumed")
    first["resumed"] = [*(before if isinstance(before, list) else []), {"step": step} | changed]
    write_text_whole(file, json.dumps(first, indent=1) + "\n")


def data_of(config: TrainConfig, pairs: CaptionSet | None = None) -> dict[str, Any]:
    """Hashes of what a run learns from and starts from, and of its configuration.

    Args:
        config: Of the run.
        pairs: Its captioned pictures, opened; without them neither captions nor regions are hashed.

    Returns:
        ``configuration`` (`configuration_hash`), ``captions`` and ``regions`` as they are read, ``features``: the files
        that these come from, ``model``: the files of the starting model. None where there are no such files. ``hub``:
        of what was copied from the hub, its address with the commit.
    """
    found: dict[str, Any] = {"configuration": configuration_hash(config.to_toml())}
    if pairs is not None:
        found |= contents_of_captions(pairs)
    data = None if config.data == "scenes" else here(config.data)
    store = None if data is None else data / FEATURES
    if config.features is not None:
        store = here(config.features)
    found["features"] = None if store is None else contents_of(store)
    read = {"data": data, "features": store}
    if config.model == SHIPPED:
        with shipped_model() as folder:
            found["model"] = contents_of(folder, inside=False)
    else:
        read["model"] = None if config.model == "new" else model_here(config.model)
        found["model"] = None if read["model"] is None else contents_of(read["model"], inside=False)
    hub = {name: origin(path) for name, path in read.items() if path is not None and path.exists()}
    if any(hub.values()):
        found["hub"] = {name: address for name, address in hub.items() if address}
    return found


def configuration_hash(toml: str) -> str:
    """Of the options in the text of a config.toml that say something of the run's numbers: all that are not `FREE`."""
    options = {name: value for name, value in tomllib.loads(toml).items() if name not in FREE}
    return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:16]


def _readme(config: TrainConfig) -> str:
    return f"""# A fine-tuning run of cacr

Attention loss: {config.loss}. Data: {config.data}. Start: {config.model}. Steps: {config.steps}. Seed: {config.seed}.

Repeat it with

    cacr train {config.out / "config.toml"} --out ANOTHER_FOLDER

and, if it was stopped, go on with

    cacr train {config.out / "config.toml"} --resume

or do it again and compare with

    cacr repeat {config.out}

`config.toml` holds every value, `environment.json` versions, machine and hashes of the data, `metrics.jsonl` the
losses, `model/` the result.
"""
