"""Several processes as one run, under torchrun or accelerate launch. With one process, nothing here does anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from cacr._processes import rank, world_size

T = TypeVar("T")

AGAIN = "If the run had begun, its folder is whole: start the same command again with --resume"
LOST = f"the connection to another process of this run broke. {AGAIN}"
_SIGNS = (
    "connection closed",
    "connection reset",
    "connection refused",
    "broken pipe",
    "timed out",
    "timeout",
    "nccl",
)


@contextmanager
def connected(on_cpu: bool) -> Iterator[None]:
    """Connect the processes of this run, if there are several: NCCL on GPUs, gloo on CPUs."""
    if world_size() == 1 or dist.is_initialized():
        yield
        return
    from accelerate.state import AcceleratorState, PartialState

    PartialState(cpu=on_cpu)
    yield
    dist.barrier()  # one that leaves early would look lost to the others
    dist.destroy_process_group()
    AcceleratorState._reset_state(reset_partial_state=True)


def on_main(work: Callable[[], T]) -> T:
    """Do something on the main process alone; every process gets its result, or its error.

    Raises:
        Exception: The same on all processes, so that none waits for the others.
    """
    if world_size() == 1:
        return work()
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            outcome[0] = work()
        except Exception as error:
            outcome[1] = error
    dist.broadcast_object_list(outcome)
    if outcome[1] is not None:
        outcome[1].said_elsewhere = rank() != 0
        raise outcome[1]
    return outcome[0]


def mean_over_processes(value: torch.Tensor) -> torch.Tensor:
    """The mean of a tensor over the processes; the same on all of them."""
    if not (dist.is_available() and dist.is_initialized()):
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


def most_over_processes(n: int, device: torch.device) -> int:
    """The largest of the processes' numbers."""
    if world_size() == 1:
        return n
    largest = torch.tensor(n, device=device)
    dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    return int(largest)


def any_of_processes(flags: torch.Tensor) -> list[bool]:
    """Which of some flags [flag] are set in any process."""
    if world_size() == 1:
        return flags.tolist()
    most = flags.to(torch.uint8)
    dist.all_reduce(most, op=dist.ReduceOp.MAX)
    return most.bool().tolist()


def every_process(own: T) -> list[T]:
    """What each process has, by its number; all of them have come here then."""
    if world_size() == 1:
        return [own]
    every: list[Any] = [None] * world_size()
    dist.all_gather_object(every, own)
    return every


def gathered(own: torch.Tensor) -> torch.Tensor:
    """The rows of all processes, those of process 0 first. Their numbers may differ."""
    return own if world_size() == 1 else torch.cat(every_process(own.cpu()))


@contextmanager
def losing_none() -> Iterator[None]:
    """Say what happened when another process of the run dies, instead of a traceback from inside of its connection.

    Raises:
        ConnectionError: A connection broke.
    """
    if world_size() == 1:
        yield
        return
    try:
        yield
    except RuntimeError as error:
        if not any(sign in str(error).lower() for sign in _SIGNS):
            raise
        first = str(error).splitlines()[0]
        raise ConnectionError(f"{LOST} ({first})") from error
