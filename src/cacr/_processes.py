"""Which of several processes this is, as torchrun and accelerate say it, and how many cores there are for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta


def world_size() -> int:
    """How many processes work on this run; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this one, from 0; 0 writes."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """The number of this one among those of its machine, from 0: which GPU is its."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def usable_cores() -> int:
    """How many processors this process may use: of a machine that is shared not all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def sharing() -> Iterator[None]:
    """Connect the processes that share a work, if there are several: they wait for each other and send no numbers."""
    if world_size() == 1:
        yield
        return
    from torch import distributed

    # they end hours apart, and one that waits is not lost
    distributed.init_process_group("gloo", timeout=timedelta(days=7))
    yield
    distributed.destroy_process_group()


def wait_for_all() -> None:
    """Within `sharing`: go on when every process has come to this line."""
    if world_size() > 1:
        from torch import distributed

        distributed.barrier()
