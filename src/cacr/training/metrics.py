"""What a run says while it works: a line of metrics.jsonl per logged step, and its progress."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from cacr._disk import writing
from cacr._files import write_text_whole

Progress = Callable[[int, dict[str, float]], None]
"""Called after each step with the steps done and the latest losses; after a measurement on the dev split with both."""
DEV = "eval_"
"""Before the names of what was measured on the dev split."""


class Metrics(TrainerCallback):
    """Writes metrics.jsonl and tells the progress. Lines after the resumed step are made again, so they go first.

    Args:
        path: The file; the main process writes it.
        progress: Called after every step, on every process.
    """

    def __init__(self, path: Path, progress: Progress):
        self.path, self.progress = path, progress
        self.latest: dict[str, float] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Drop the lines that will be made again."""
        if state.is_world_process_zero and self.path.is_file():
            text = self.path.read_text(encoding="utf-8", errors="replace")
            lines = [line for line in text.splitlines() if _step(line) <= state.global_step]
            write_text_whole(self.path, "".join(f"{line}\n" for line in lines))
        self.progress(state.global_step, {})

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Tell the progress."""
        self.progress(state.global_step, self.latest)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Any = None,
        **kwargs: Any,
    ) -> None:
        """Write a line of losses, or of a measurement on the dev split."""
        numbers = {name: value for name, value in (logs or {}).items() if isinstance(value, float)}
        measured = any(name.startswith(DEV) for name in numbers)
        if "loss" not in numbers and not measured:
            return
        self.latest = self.latest if measured else numbers
        if state.is_world_process_zero:
            line = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
            with writing(self.path), self.path.open("a") as file:  # a line that a kill cuts is made again
                file.write(json.dumps({"step": state.global_step} | line) + "\n")
        if measured:
            self.progress(state.global_step, self.latest | numbers)


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):  # the last line of a killed run
        return float("inf")
