"""How close the loss comes to the machine: the arithmetic of its products against the fastest product measured."""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from bench.cases import Case, inputs, job
from bench.measuring import Row, Setting, rounds

SQUARES = (512, 1024, 2048)
TILE_ROWS = 64
DIRECTIONS = ("language", "vision", "both")


def flops(case: Case) -> float:
    """Multiplications and additions in the matrix products of streaming, forward and backward, one call.

    What is counted, and why: `arithmetic`.
    """
    n, t = case.regions, case.text
    of_heads = {"language": 4, "vision": 3, "both": 4}[case.direction]
    sides = 2 if case.direction == "both" else 1
    within_regions = case.heads * of_heads * 2 * n**2 * case.width
    within_words = case.heads * 3 * 2 * t**2 * case.width
    across = case.heads * sides * 2 * n * t * case.width
    carried = sides * 2 * 2 * n**2 * t
    ends = sides * 2 * 2 * n * t**2
    return float(case.batch * (within_regions + within_words + across + carried + ends))


def arithmetic(setting: Setting) -> Iterator[Row | str]:
    """Share of the machine's peak: one example, 2,304 regions, streaming.

    Floating-point operations a second of the loss (forward and backward) / those of the fastest float32 product of
    matrices in the same rounds: squares of 512, 1,024 and 2,048, and the loss's own shapes, 64 rows of queries with all
    keys. Only matrix products are counted, so exponentials, masks, means over heads and sums are on the loss's bill.
    With N regions, T words, H heads of width d, and 2·a·b·c operations for a product of [a, b] and [b, c]:

    - language, per head: S_VV = Q·Kᵀ in the forward pass, once more in the backward pass (it was not kept), dQ and
      dK: 4 products of 2·N²·d. Over the mean of heads: S_VV·S_LVᵀ and its way back, 2 products of 2·N²·T.
    - vision, per head: S_VV, dQ and dK, 3 products of 2·N²·d, since gradients are made while S_VV is there. Over the
      mean of heads: S_VL·S_LL times S_VLᵀ and its way back, 2 products of 2·N²·T.
    - both: S_VV is made twice (4 products of 2·N²·d), and both sides of the rest.
    - small besides: S_LL with its gradients, 3 products of 2·T²·d a head; the cross block, 2·N·T·d a head and
      direction, without gradients; the T-sided ends, 2 products of 2·N·T² a direction.

    For language at this size that is 12·4·2·2,304²·64 + 2·2·2,304²·30 + ... = 33.4 billion.
    """
    case = Case(40, 1, 5, 2, 8) if setting.quick else Case(2_304, batch=1)
    case = replace(case, device=setting.device)
    for direction in DIRECTIONS:
        this = replace(case, direction=direction)
        jobs, counts = products(this, setting)
        jobs["streaming"], counts["streaming"] = job("streaming", this), flops(this)
        spent = rounds(jobs, setting.count(7), setting.device, warmups=2)
        speeds = {name: [counts[name] / one for one in each] for name, each in spent.items()}
        mine = speeds.pop("streaming")
        fastest = max(speeds, key=lambda name: max(speeds[name]))
        in_rounds = [max(each) for each in zip(*speeds.values(), strict=True)]
        tiles = max(max(each) for name, each in speeds.items() if "tile" in name) / max(speeds[fastest])
        yield Row(
            f"streaming, {direction}",
            "operations a second of streaming / of the fastest product",
            max(mine) / max(speeds[fastest]),
            statistics.median(a / b for a, b in zip(mine, in_rounds, strict=True)),
            len(mine),
            this.size,
            setting.device,
            floor=None if direction == "both" else 0.4,
            note=f"fastest: {fastest}, {max(speeds[fastest]) / 1e9:.0f} billion a second; the shapes of a tile reach "
            f"{tiles:.2f} of it; counted {flops(this) / 1e9:.1f} billion",
        )


def products(case: Case, setting: Setting) -> tuple[dict[str, Callable[[], object]], dict[str, float]]:
    """Products of matrices by name, and what each counts."""
    jobs: dict[str, Callable[[], object]] = {}
    counts: dict[str, float] = {}

    def add(name: str, left: torch.Tensor, right: torch.Tensor) -> None:
        out = left @ right
        jobs[name] = lambda: torch.matmul(left, right, out=out)
        counts[name] = 2.0 * out.numel() * left.shape[-1]

    for side in (64,) if setting.quick else SQUARES:
        square = torch.randn(side, side, device=case.device)
        add(f"square of {side}", square, square.clone())
    query, key = (x.detach()[0, :, -case.regions :].contiguous() for x in inputs(case)[:2])
    rows = query[:, :TILE_ROWS].contiguous()
    scores = rows @ key.mT
    add("tile: queries with all keys", rows, key.mT)
    add("tile: scores with all keys", scores, key)
    return jobs, counts
