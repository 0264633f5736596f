"""Which of several processes this is, as torchrun and accelerate say it; collecting and training both ask."""

from __future__ import annotations

import os


def world_size() -> int:
    """How many processes work on this run; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this one, from 0; 0 writes."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """The number of this one among those of its machine, from 0: which GPU is its."""
    return int(os.environ.get("LOCAL_RANK", "0"))
