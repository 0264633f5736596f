"""Scorers that know nothing: what a benchmark must give them is known, so they test the benchmark.

A constant scorer gets 0 on every metric, since ties are wrong; a random one lands on chance within its interval.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cacr.data.pairs import Picture


class ConstantScorer:
    """Every caption matches every picture equally."""

    name, looks_at = "constant", "nothing"

    def match(self, captions: Sequence[str], pictures: Sequence[Picture]) -> Tensor:
        """Zeros: [pair]."""
        return torch.zeros(len(captions))

    def describe(self) -> dict[str, Any]:
        """What it is."""
        return {"score": "0 for every pair"}


class RandomScorer:
    """A number between 0 and 1 for each caption and picture, the same whenever they are asked for.

    Args:
        seed: Another one gives other numbers.
    """

    looks_at = "nothing"

    def __init__(self, seed: int = 0):
        self.seed, self.name = seed, f"random:{seed}"

    def match(self, captions: Sequence[str], pictures: Sequence[Picture]) -> Tensor:
        """Uniform numbers: [pair]."""
        return torch.tensor(
            [
                self._one(caption, picture.image_id)
                for caption, picture in zip(captions, pictures, strict=True)
            ]
        )

    def _one(self, caption: str, image_id: str) -> float:
        digest = hashlib.blake2b(f"{self.seed}\0{caption}\0{image_id}".encode(), digest_size=8).digest()
        return (int.from_bytes(digest, "little") >> 40) / 2**24  # 24 bits are exact in float32

    def describe(self) -> dict[str, Any]:
        """What it is, and its seed."""
        return {"score": "uniform, by a hash of caption and picture", "seed": self.seed}
