"""Parts of a loss in a Trainer's log, averaged since its last line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cacr.training.processes import mean_over_processes


class PartsInLog:
    """For a Trainer: ``self.note(name=value)`` in compute_loss, and the means stand beside the Trainer's own loss.

    The means are those of all processes, each of which notes the same names.

    Values are kept as tensors, so that noting them does not wait for a device.
    """

    _noted: dict[str, list[Tensor]] | None = None

    def note(self, **parts: Tensor) -> None:
        """Keep values, 0-dimensional, for the next line of the log."""
        self._noted = self._noted if self._noted is not None else {}
        for name, value in parts.items():
            self._noted.setdefault(name, []).append(value.detach().float())

    def forget(self, last: int) -> None:
        """Drop the last values of each name: of batches that are not learned from."""
        kept = {name: values[:-last] for name, values in (self._noted or {}).items()}
        self._noted = {name: values for name, values in kept.items() if values} or None

    def noted(self) -> dict[str, list[float]]:
        """What was noted since the last line of the log, by this process: a checkpoint keeps it."""
        return {name: torch.stack(values).tolist() for name, values in (self._noted or {}).items()}

    def note_again(self, noted: Mapping[str, Sequence[float]], device: torch.device) -> None:
        """Go on with the values of a checkpoint, as if the run had not been stopped; more come from the device."""
        self._noted = {
            name: list(torch.tensor(values, device=device)) for name, values in noted.items()
        } or None

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """The Trainer's numbers and the parts; in a line of evaluation only the Trainer's."""
        if "loss" in logs and self._noted:
            means = torch.stack([torch.stack(values).mean() for values in self._noted.values()])
            logs |= dict(zip(self._noted, mean_over_processes(means).tolist(), strict=True))
            self._noted = None
        super().log(logs, *args, **kwargs)  # type: ignore[misc]
