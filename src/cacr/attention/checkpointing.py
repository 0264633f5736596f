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
        self._before: list[Any] = []

    def begin(self) -> None:
        """Store these layers in full from now on."""
        self._before = [layer.__dict__.get(_switch(layer), _OF_THE_CLASS) for layer in self.layers]
        for layer in self.layers:
            setattr(layer, _switch(layer), _run if isinstance(layer, CheckpointWrapper) else False)

    def end(self) -> None:
        """What ``begin`` found, again."""
        for layer, before in zip(self.layers, self._before, strict=False):
            if before is _OF_THE_CLASS:
                delattr(layer, _switch(layer))
            else:
                setattr(layer, _switch(layer), before)
        self._before = []


_OF_THE_CLASS = object()
"""No value of the layer's own: what its class says counts."""


def _switch(layer: Any) -> str:
    return "checkpoint_fn" if isinstance(layer, CheckpointWrapper) else "gradient_checkpointing"


def _run(module: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return module(*args, **kwargs)
