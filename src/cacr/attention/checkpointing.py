"""Keep the tapped layer out of activation checkpointing while it is watched.

Re-entrant checkpointing runs a layer without gradients first, so what is captured there could teach nothing; and a
capture inside a checkpointed layer cannot be compiled. One layer stored in full is the price.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import CheckpointWrapper
from transformers.modeling_layers import GradientCheckpointingLayer


def checkpointed_layers(model: nn.Module, paths: set[str]) -> list[Any]:
    """The layers around ``paths`` that transformers or torch (FSDP's wrapper) may checkpoint, each once."""
    found: dict[int, Any] = {}
    for path in paths:
        parts = path.split(".")
        for end in range(len(parts), 0, -1):
            module = model.get_submodule(".".join(parts[:end]))
            if isinstance(module, GradientCheckpointingLayer | CheckpointWrapper):
                found[id(module)] = module
    return list(found.values())


class Exemption:
    """Switches checkpointing of some layers off for a forward pass, and back to what it was after it."""

    def __init__(self, layers: list[Any]):
        self.layers = layers
        self._switched: list[tuple[Any, Any]] = []

    def begin(self) -> None:
        """Store those that are checkpointed in full from now on; the others are not touched."""
        self._switched = []
        for layer in self.layers:
            before = getattr(layer, _switch(layer))
            if before:
                self._switched.append((layer, before))
                setattr(layer, _switch(layer), _run if isinstance(layer, CheckpointWrapper) else False)

    def end(self) -> None:
        """What ``begin`` found, again."""
        for layer, before in self._switched:
            setattr(layer, _switch(layer), before)
        self._switched = []


def _switch(layer: Any) -> str:
    return "checkpoint_fn" if isinstance(layer, CheckpointWrapper) else "gradient_checkpointing"


def _run(module: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return module(*args, **kwargs)
