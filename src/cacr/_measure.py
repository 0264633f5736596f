"""Times and memory of jobs measured side by side, round by round; everything told from them is a ratio."""

import statistics
import time
from collections.abc import Callable, Mapping

import torch


def rounds(
    jobs: Mapping[str, Callable[[], object]], repetitions: int, device: str = "cpu", warmups: int = 1
) -> dict[str, list[float]]:
    """Seconds of each job in each round: a slow moment of the machine hits all of them.

    Args:
        jobs: What is measured, by name. Every round runs each once, in an order that turns around from round to
            round, since whoever comes second finds a warmer cache.
        repetitions: Rounds that count.
        device: Where the jobs run. On "cuda" the clock stops when the GPU has finished.
        warmups: Rounds before them that do not count.
    """
    spent: dict[str, list[float]] = {name: [] for name in jobs}
    wait = torch.cuda.synchronize if torch.device(device).type == "cuda" else lambda: None
    for repetition in range(-warmups, repetitions):
        for name in jobs if repetition % 2 else reversed(list(jobs)):
            wait()
            start = time.perf_counter()
            jobs[name]()
            wait()
            if repetition >= 0:
                spent[name].append(time.perf_counter() - start)
    return spent


def paired(
    ours: Callable[[], object], theirs: Callable[[], object], repetitions: int
) -> tuple[float, float, float]:
    """Quartiles of time(ours) / time(theirs), pair by pair."""
    spent = rounds({"ours": ours, "theirs": theirs}, repetitions)
    low, middle, high = statistics.quantiles(
        [mine / other for mine, other in zip(spent["ours"], spent["theirs"], strict=True)], n=4
    )
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
