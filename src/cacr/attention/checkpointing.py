"""Keep the tapped layer out of activation checkpointing while it is watched.

Re-entrant checkpointing runs a layer without gradients first, so what is captured there could teach nothing; and a
capture inside a checkpointed layer cannot be compiled. One layer stored in full is the price.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer


def checkpointed_layers(model: nn.Module, paths: set[str]) -> list[Any]:
    """The layers around ``paths`` that transformers may checkpoint, each once."""
    found: dict[int, Any] = {}
    for path in paths:
        parts = path.split(".")
        for end in range(len(parts), 0, -1):
            module = model.get_submodule(".".join(parts[:end]))
            if isinstance(module, GradientCheckpointingLayer):
                found[id(module)] = module
                break
    return list(found.values())


class Exemption:
    """Switches checkpointing of some layers off for a forward pass, and back to what it was after it."""

    def __init__(self, layers: list[Any]):
        self.layers = layers
        self._before: list[bool] = []

    def begin(self) -> None:
        """Store these layers in full from now on."""
        self._before = [bool(layer.gradient_checkpointing) for layer in self.layers]
        for layer in self.layers:
            layer.gradient_checkpointing = False

    def end(self) -> None:
        """What ``begin`` found, again."""
        for layer, before in zip(self.layers, self._before, strict=False):
            layer.gradient_checkpointing = before
        self._before = []
