"""All that a benchmark knows of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from cacr.data.pairs import Picture

PAIRS = 4_096
"""Pairs per request to a scorer that knows no grids."""


class Scorer(Protocol):
    """Scores how well captions fit pictures; higher is better.

    A scorer may also offer ``grid(captions, pictures)``: all captions with all pictures, [caption, picture]; retrieval
    then asks for that (`match_grid`). It may have ``threshold``, the match above which it takes a caption to be true.
    """

    name: str
    """For tables and records."""

    def match(self, captions: Sequence[str], pictures: Sequence[Picture]) -> Tensor:
        """The match of caption i with picture i: [pair], float32, on the CPU."""
        ...

    def describe(self) -> dict[str, Any]:
        """What another person needs to score the same way, for the record."""
        ...


def match_grid(scorer: Scorer, captions: Sequence[str], pictures: Sequence[Picture]) -> Tensor:
    """The match of every caption with every picture: [caption, picture]."""
    if hasattr(scorer, "grid"):
        return scorer.grid(captions, pictures)
    columns = []
    for start in range(0, len(pictures), step := max(1, PAIRS // len(captions))):
        some = pictures[start : start + step]
        match = scorer.match(list(captions) * len(some), [picture for picture in some for _ in captions])
        columns.append(match.view(len(some), len(captions)))
    return torch.cat(columns).T
