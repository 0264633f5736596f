"""Small matrices are computed in float32 or better, whatever autocast says.

Inside autocast ``q.float() @ k.float()`` is cast back to bfloat16. The blocks are a few kilobytes per example,
so their precision costs nothing and a regularizer of 1e-3 nats needs it.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def full_precision(device: torch.device) -> AbstractContextManager:
    """A context in which autocast is off on ``device``."""
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def at_least_float32(x: Tensor) -> Tensor:
    """``x`` in float32 if it is in half precision, else as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
