"""All that a benchmark knows of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from cacr.data.pairs import Picture


class Scorer(Protocol):
    """Scores how well captions fit pictures; higher is better."""

    name: str
    """For tables and records."""

    def match(self, captions: Sequence[str], pictures: Sequence[Picture]) -> Tensor:
        """The match of caption i with picture i: [pair], float32, on the CPU."""
        ...

    def describe(self) -> dict[str, Any]:
        """What another person needs to score the same way, for the record."""
        ...
