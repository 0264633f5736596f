"""Parts of a loss in a Trainer's log, averaged since its last line."""

from __future__ import annotations

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
            self._noted.setdefault(name, []).append(value.detach())

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """The Trainer's numbers and the parts; in a line of evaluation only the Trainer's."""
        if "loss" in logs and self._noted:
            means = torch.stack([torch.stack(values).float().mean() for values in self._noted.values()])
            logs |= dict(zip(self._noted, mean_over_processes(means).tolist(), strict=True))
            self._noted = None
        super().log(logs, *args, **kwargs)  # type: ignore[misc]
