"""``cacr pretrain``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from cacr.cli.show import bar, finish
from cacr.training.pretraining import PretrainConfig
from cacr.training.pretraining import pretrain as run


def pretrain(config: Annotated[PretrainConfig, Parameter(name="*")]) -> int:
    """Rebuild the starting model of the embedded world: it knows things and places, and no relations."""
    with bar() as progress:
        task = progress.add_task("pretrain", total=config.steps, note="")
        folder = run(config, progress=lambda step: progress.update(task, completed=step))
    then = {"Measure it": f"cacr eval {folder} scenes scenes-retrieval"}
    finish(f"The model is in {folder}.", {"model": folder}, then)
    return 0
