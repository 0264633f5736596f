"""Ratios of time and memory to something measured in the same run, repetition by repetition."""

import statistics
import time
from collections.abc import Callable

import torch


def paired(
    ours: Callable[[], object], theirs: Callable[[], object], repetitions: int
) -> tuple[float, float, float]:
    """Quartiles of time(ours) / time(theirs), pair by pair: a slow moment of the machine hits both sides."""
    ours(), theirs()
    ratios = []
    for repetition in range(repetitions):
        spent = {}
        jobs = (
            (ours, theirs) if repetition % 2 else (theirs, ours)
        )  # whoever comes second finds a warmer cache
        for job in jobs:
            start = time.perf_counter()
            job()
            spent[job] = time.perf_counter() - start
        ratios.append(spent[ours] / spent[theirs])
    low, middle, high = statistics.quantiles(ratios, n=4)
    return low, middle, high


def saved_bytes(step: Callable[[], object]) -> int:
    """Bytes of the distinct storages that autograd saves in a step: activations, and parameters in both alike."""
    storages: dict[int, int] = {}
    kept = []  # alive until the end, so that no address is used twice

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        kept.append(tensor.detach())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        step()
    return sum(storages.values())
