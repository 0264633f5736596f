"""Checkpoints that count only when they are whole, and that keep what the stock Trainer forgets.

CHECKPOINT/complete   written last: the size of each other file, and what the log's next line had gathered so far
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from cacr._disk import writing
from cacr._files import remove_leftovers, remove_whole, sync, write_text_whole
from cacr._json import read_object
from cacr._processes import rank, world_size
from cacr.training.guard import Guard
from cacr.training.parts import PartsInLog
from cacr.training.processes import every_process

COMPLETE = "complete"
NAME = re.compile(r"checkpoint-[0-9]+")


def latest_checkpoint(run: Path) -> Path | None:
    """The newest checkpoint that was written to its end and has all of its files; None if there is none."""
    whole = [folder for folder in checkpoints(run) if _is_whole(folder)]
    return max(whole, key=lambda folder: int(folder.name.split("-")[1]), default=None)


def checkpoints(run: Path) -> list[Path]:
    """All checkpoints of a run, whole or not."""
    found = (run / "checkpoints").glob("checkpoint-*")
    return [folder for folder in found if NAME.fullmatch(folder.name)]


def remove_unfinished(run: Path) -> None:
    """Remove what a kill left of checkpoints: the Trainer would count them, and drop whole ones in their place."""
    remove_leftovers(run / "checkpoints")
    for folder in checkpoints(run):
        if not (folder / COMPLETE).is_file():
            remove_whole(folder)


def _is_whole(folder: Path) -> bool:
    sizes = _about(folder).get("files", {}) if (folder / COMPLETE).is_file() else None
    return sizes is not None and all(
        (folder / name).is_file() and (folder / name).stat().st_size == size for name, size in sizes.items()
    )


def _about(folder: Path) -> dict[str, Any]:
    file = folder / COMPLETE
    if not file.stat().st_size:  # older versions said nothing there
        return {}
    return read_object(file, "remove that checkpoint to go on from another")


class WholeCheckpoints(PartsInLog):
    """For a Trainer whose ``guard`` looks at its steps."""

    guard: Guard | None
    args: Any
    state: Any
    accelerator: Any

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        if self.args.should_save and folder.is_dir():
            remove_whole(folder)  # what a kill left, with files of any name
        self.accelerator.wait_for_everyone()
        with writing(folder):
            super()._save_checkpoint(model, trial)  # type: ignore[misc]
        noted = every_process(self.noted())  # and each process has written its own random numbers
        if self.args.should_save:
            with writing(folder):
                files = [file for file in sorted(folder.iterdir()) if file.is_file()]
                for path in (*files, folder):
                    sync(path)
                sizes = {file.name: file.stat().st_size for file in files}
            about = {"files": sizes, "noted": noted, **(self.guard.state() if self.guard else {})}
            write_text_whole(folder / COMPLETE, json.dumps(about) + "\n")
        self.accelerator.wait_for_everyone()  # a process that ended now would end the one that writes

    def go_on(self, checkpoint: Path) -> None:
        """Take up what a checkpoint keeps beside the Trainer's own."""
        about = _about(checkpoint)
        noted = about.get("noted", [])
        if len(noted) == world_size():
            self.note_again(noted[rank()], self.args.device)
        if self.guard is not None:
            self.guard.go_on(about)
