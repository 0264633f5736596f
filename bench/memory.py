"""Peak memory of a job above its inputs, each in a process of its own.

    python -m bench.memory '{"regions": 576, "jobs": ["streaming"]}'        prints bytes

What importing and a first tiny call take is not counted: the peak starts when the inputs are there.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import torch

from bench.cases import Case, inputs, job
from bench.measuring import Row, Setting, in_a_process, row

SHARES = {"blocks": 5, "streaming": 1, "release": 12}
"""Copies of [batch, head, region, region] in float32 that a job is given room for before it is tried."""


def peak(run: Callable[[], object], device: str = "cpu") -> int:
    """Bytes at the highest point of a call, above those in use when it began. In this process.

    On Linux the highest point is reset first; elsewhere the peak counts only where it exceeds the highest one so far.
    """
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    before = highest()
    run()
    return highest() - before


def highest() -> int:
    """Bytes that this process has held at most, or since the mark was reset."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def peak_of(case: Case) -> int:
    """Peak of the case's first job in a process of its own; see `in_a_process`."""
    return int(in_a_process(str(case), "bench.memory", json.dumps(asdict(case))))


def peaks(setting: Setting) -> Iterator[Row | str]:
    """Peak memory: blocks against streaming.

    Forward and backward of one example in a process of its own; the peak above the inputs, imports and a first tiny
    call left out (on a GPU: `torch.cuda.max_memory_allocated`). At 9,216 regions one region × region matrix of 12 heads
    is 4 GB, so blocks and streaming are compared with 4 heads there; the growth of streaming is that of 12.
    """
    if setting.quick:
        case = Case(300, 1, 5, 2, 8, device=setting.device)
        yield _compare(case, "blocks", 1, None)
        return
    base = Case(2_304, batch=1, device=setting.device)
    for direction in ("language", "vision", "both"):
        yield _compare(replace(base, direction=direction), "blocks", 2, 12.0)
    yield _compare(base, "release", 1, None)
    large = replace(base, regions=9_216)
    for direction in ("language", "vision", "both"):
        few = replace(large, heads=4, direction=direction)
        missing = _too_large(few, "blocks")
        yield missing if missing else _compare(few, "blocks", 1, 30.0)
    big, small = ([float(peak_of(replace(one, jobs=("streaming",))))] for one in (large, base))
    yield row(
        "growth",
        "peak of streaming at 9,216 regions / at 2,304",
        big,
        small,
        size=large.size,
        device=setting.device,
        ceiling=4.3,
        note=f"{big[0] / 2**20:,.0f} / {small[0] / 2**20:,.0f} MiB",
    )


def _compare(case: Case, other: str, times: int, floor: float | None) -> Row:
    found: dict[str, list[float]] = {other: [], "streaming": []}
    for _ in range(times):
        for name, each in found.items():
            each.append(peak_of(replace(case, jobs=(name,))))
    above, below = (min(each) / 2**20 for each in found.values())
    return row(
        f"{other}, {case.regions} regions, {case.direction}",
        f"peak of {other} / of streaming",
        found[other],
        found["streaming"],
        size=case.size,
        device=case.device,
        floor=floor,
        note=f"{above:,.0f} / {below:,.0f} MiB",
    )


def _too_large(case: Case, name: str) -> str | None:
    """Why a job is not tried, or None."""
    needed = SHARES[name] * case.batch * case.heads * case.regions**2 * 4
    if torch.device(case.device).type == "cuda":
        free = torch.cuda.mem_get_info()[0]
    elif Path("/proc/meminfo").exists():
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    else:
        return None
    if needed < free:
        return None
    return (
        f"{name} at {case.regions:,} regions may need {needed / 2**30:.0f} GiB; {free / 2**30:.0f} are free"
    )


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    case = Case(**asked | {"jobs": tuple(asked["jobs"])})
    job(case.jobs[0], replace(case, regions=8, text=4, batch=1))()
    given = inputs(case)
    print(peak(job(case.jobs[0], case, given), case.device))
