"""How far float32 gradients of the loss lie from float64's, by method."""

import statistics
from collections.abc import Iterator
from dataclasses import replace

import torch

from bench.cases import Case, inputs, losses
from bench.measuring import Row, Setting

METHODS = {"blocks": 1e-6, "streaming": 1e-6, "loop": None}
NAMES = {"loop": "the naive form"}


def gradients(setting: Setting) -> Iterator[Row | str]:
    """Precision: gradients in float32 against float64.

    Largest difference between a float32 gradient (of queries or keys) and the float64 gradient of the very same
    inputs / the largest entry of the latter, over seeds. The reference is the naive form in float64, a loop over
    examples that shares no code with ours; the same loop in float32 stands beside it.
    """
    sizes = [Case(12, 2, 5, 2, 8)] if setting.quick else [Case(36), Case(576, batch=1)]
    for case in sizes:
        for direction in ("language", "vision"):
            this = replace(case, direction=direction, device=setting.device)
            errors: dict[str, list[float]] = {name: [] for name in METHODS}
            for seed in range(setting.count(5)):
                given = inputs(this, seed=seed)
                wide = [x.double().detach().requires_grad_() for x in given[:2]]
                wanted = torch.autograd.grad(losses("loop")(*wide, *given[2:], direction), wide)
                for name in METHODS:
                    found = torch.autograd.grad(losses(name)(*given, direction), given[:2])
                    errors[name].append(
                        max(
                            float((a - b).abs().max() / b.abs().max())
                            for a, b in zip(found, wanted, strict=True)
                        )
                    )
            for name, ceiling in METHODS.items():
                each = errors[name]
                yield Row(
                    f"{NAMES.get(name, name)}, {case.regions} regions, {direction}",
                    f"largest error of {NAMES.get(name, name)} / largest gradient",
                    max(each),
                    statistics.median(each),
                    len(each),
                    this.size,
                    setting.device,
                    ceiling=ceiling,
                )
