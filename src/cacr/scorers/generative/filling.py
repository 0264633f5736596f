"""Passages are gathered into batches as they come: as many as fit each other and the memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from transformers import PreTrainedModel

from cacr.scorers.generative.passages import Passage, logit_bytes, read_bytes, shapes

Batch = list[tuple[int, Passage]]
"""Passages with the numbers of their pairs."""


class Filling:
    """A batch that is being filled. Each passage is looked at once, and the largest so far sets the room.

    Args:
        model: The model, for its sizes.
        memory: GiB that a forward pass may take, about.
        kept: Bytes that each passage takes besides: those of a prefix's keys and values.
    """

    def __init__(self, model: PreTrainedModel, memory: float, kept: int = 0):
        self.model, self.bytes, self.kept = model, memory * 2**30, kept
        self._batch: Batch = []
        self._fits: tuple[Any, ...] | None = None
        self._begin()

    def add(self, pair: int, passage: Passage) -> Iterator[Batch]:
        """Add a passage; give the batch before it, if that was full without it."""
        fits = shapes(passage)
        sizes = self._with(passage)
        if self._batch and (fits != self._fits or self._needed(len(self._batch) + 1, *sizes) > self.bytes):
            yield from self.rest()
            sizes = self._with(passage)
        self._batch.append((pair, passage))
        self._fits, (self._read, self._longest, self._first) = fits, sizes

    def rest(self) -> Iterator[Batch]:
        """The batch as it is, if there is anything in it; the next one begins."""
        batch, self._batch = self._batch, []
        self._begin()
        if batch:
            yield batch

    def _begin(self) -> None:
        self._fits = None
        self._read, self._longest, self._first = 0, 0, 2**62

    def _with(self, passage: Passage) -> tuple[int, int, int]:
        """Bytes of the largest passage, tokens of the longest, and the first place whose logits are wanted."""
        read = max(self._read, read_bytes(self.model, passage))
        return read, max(self._longest, len(passage.tokens)), min(self._first, passage.start)

    def _needed(self, count: int, read: int, longest: int, first: int) -> int:
        """Rows are padded to the longest, and logits of all begin at the first place that any of them needs."""
        return count * (read + self.kept + logit_bytes(self.model, longest - first))
