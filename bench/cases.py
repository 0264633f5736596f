"""The loss of one attention layer, forward and backward, by every method and peer: a case, its inputs and its jobs.

    python -m bench.cases '{"regions": 36}'      one case in this process, as JSON: what `timed` runs in a fresh one

A case in a process of its own may have another allocator: "warm" tells glibc's malloc to keep what was freed, as the
caching allocator of CUDA does, so that no call pays for pages that the system must hand out and clear again.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from bench import peers
from bench.measuring import in_a_process, rounds

WARM = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 34),  # no block is mapped by itself ...
    "MALLOC_MMAP_MAX_": "0",  # ... whatever glibc thinks of such a threshold,
    "MALLOC_TRIM_THRESHOLD_": str(1 << 36),  # and nothing goes back to the system
    "MALLOC_TOP_PAD_": str(1 << 28),
}
WARMUPS = 3
"""Calls before the clock starts: after them a warm allocator asks the system for nothing more."""


@dataclass(frozen=True)
class Case:
    """Sizes of a layer's inputs, what is computed from them, and how often."""

    regions: int
    batch: int = 4
    text: int = 30
    heads: int = 12
    width: int = 64
    direction: str = "both"
    jobs: tuple[str, ...] = ("blocks", "streaming", "release", "loop")
    repetitions: int = 2
    warmups: int = 1
    device: str = "cpu"
    padding: int = 0
    """Regions that each further example has fewer than the one before, beside a word: the batch is padded."""
    folder: str | None = None
    """Where the public release is, for the jobs "release's own" and "release's own IAIS"."""

    @property
    def size(self) -> str:
        """In words."""
        sizes = f"{self.heads} heads, {self.text} words, {self.regions:,} regions, width {self.width}"
        padded = f", each example {self.padding} regions and a word shorter" if self.padding else ""
        return f"batch {self.batch}, {sizes}{padded}, {self.direction}"


@dataclass(frozen=True)
class Timed:
    """What a process found."""

    seconds: dict[str, list[float]]
    faults: dict[str, float]
    """Pages that the system had to hand out during a call of each job."""


def inputs(case: Case, dtype: torch.dtype = torch.float32, seed: int = 0) -> tuple[Tensor, ...]:
    """Queries and keys (leaves) of [CLS], words, [SEP] and regions, and the masks of words and regions."""
    generator = torch.Generator().manual_seed(seed)
    sequence = case.text + 2 + case.regions
    query, key = (
        torch.randn(case.batch, case.heads, sequence, case.width, generator=generator)
        .to(case.device, dtype)
        .requires_grad_()
        for _ in "qk"
    )
    text_mask = torch.zeros(case.batch, sequence, dtype=torch.bool, device=case.device)
    region_mask = text_mask.clone()
    text_mask[:, 1 : case.text + 1] = True
    region_mask[:, case.text + 2 :] = True
    for example in range(1, case.batch) if case.padding else ():
        text_mask[example, case.text + 1 - example :] = False
        region_mask[example, sequence - example * case.padding :] = False
    return query, key, text_mask, region_mask


def losses(name: str) -> Callable[..., Tensor]:
    """The function of (query, key, text_mask, region_mask, direction) that a job's name stands for."""
    from cacr import AttentionBlocks, cacr_loss_from_query_key, iais_loss

    known: dict[str, Callable[..., Tensor]] = {
        "blocks": lambda *given: cacr_loss_from_query_key(*given, method="blocks"),
        "streaming": lambda *given: cacr_loss_from_query_key(*given, method="streaming"),
        "auto": cacr_loss_from_query_key,
        "IAIS": lambda *given: iais_loss(AttentionBlocks.from_query_key(*given[:4]), given[4]),
        "release": peers.release_loop,
        "loop": peers.block_loop,
    }
    return known[name]


def job(name: str, case: Case, given: tuple[Tensor, ...] | None = None) -> Callable[[], object]:
    """Forward and backward, down to the gradients of queries and keys."""
    given = inputs(case) if given is None else given
    if name.startswith("release's own"):
        kind = "singular" if name.endswith("IAIS") else "soft"
        module = peers.open_release(Path(case.folder or ""))
        loss, leaves = peers.released_loss(module, *given, kind=kind)
        return lambda: torch.autograd.grad(loss(case.direction), leaves)
    function = losses(name)
    return lambda: torch.autograd.grad(function(*given, case.direction), given[:2])


def here(case: Case) -> Timed:
    """A case in this process."""
    given = inputs(case)
    jobs = {name: job(name, case, given) for name in case.jobs}
    seconds = rounds(jobs, case.repetitions, case.device, case.warmups)
    return Timed(seconds, {name: _faults(run) for name, run in jobs.items()})


def timed(case: Case, warm: bool = False) -> Timed:
    """A case in a process of its own, with the usual allocator or a warm one; see `in_a_process`."""
    allocator = WARM if warm else {}
    return Timed(
        **json.loads(in_a_process(str(case), "bench.cases", json.dumps(asdict(case)), allocator=allocator))
    )


def _faults(run: Callable[[], object]) -> float:
    try:
        import resource
    except ImportError:  # not on this system
        return float("nan")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    run()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps(asdict(here(Case(**asked | {"jobs": tuple(asked.get("jobs", Case.jobs))})))))
