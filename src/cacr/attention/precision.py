"""Small matrices are computed in float32 or better, whatever autocast says.

Inside autocast ``q.float() @ k.float()`` is cast back to bfloat16. The blocks are a few kilobytes per example,
so their precision costs nothing and a regularizer of 1e-3 nats needs it. What autocast does not decide is left alone:
with TF32 (``torch.set_float32_matmul_precision("high")``, ``tf32=True``) products on a GPU are as precise as that.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


def full_precision(device: torch.device) -> AbstractContextManager:
    """A context in which autocast is off on ``device``."""
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def product(some: Tensor, others: Tensor) -> Tensor:
    """Matrix product [batch, .., ..] whose gradient is as precise, whatever autocast says when it is taken.

    Autocast acts on what runs inside it, and a backward pass may run inside it too. Once differentiable.
    """
    if torch.compiler.is_compiling():  # decided when traced
        return some @ others
    return _Product.apply(some, others)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, some: Tensor, others: Tensor) -> Tensor:
        ctx.save_for_backward(some, others)
        return some @ others

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None]:
        some, others = ctx.saved_tensors
        with full_precision(upstream.device):
            return (
                upstream @ others.mT if ctx.needs_input_grad[0] else None,
                some.mT @ upstream if ctx.needs_input_grad[1] else None,
            )


def at_least_float32(x: Tensor) -> Tensor:
    """``x`` in float32 if it is in half precision, else as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
