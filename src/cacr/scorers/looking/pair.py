"""One pair as the root model of a scorer reads it, and what the positions of both sides stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image
from torch import Tensor

from cacr.attention.layouts import Layout

Spans = list[tuple[int, int]] | None
"""Of each token its first character in the caption and the one after its last; None where unknown."""


@dataclass(frozen=True, eq=False)
class Words:
    """The positions of a text input that hold the caption."""

    mask: Tensor
    """[1, token], True where a token is one of the caption's."""
    tokens: Sequence[str]
    """These tokens, as people read them."""
    spans: Spans


@dataclass(frozen=True, eq=False)
class Seen:
    """What the image side's positions are, those that the layout counts, in order."""

    image: Image.Image | None = None
    """The picture as the model saw it."""
    boxes01: Tensor | None = None
    """[region, 4]: the place in ``image`` of each position that is kept; None where they have none."""
    grid: tuple[int, int] | None = None
    """(rows, columns), where the kept positions are one grid in reading order."""
    keep: Tensor | None = None
    """[position], False where a position has no place beside others that have one; None: all are kept."""
    names: Sequence[str] | None = None


@dataclass(frozen=True, eq=False)
class Pair:
    """A caption and a picture for the forward pass of the root model."""

    inputs: Mapping[str, Any]
    """Arguments of the forward pass, a batch of one."""
    words: Words
    seen: Seen
    region_mask: Tensor | None = None
    """[1, position of the image side]: which count, where that is not the layout's own rule."""
    layout: str | Layout = "auto"
