"""Mining in bfloat16 while the rest is float32: only the order of the candidates depends on it."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from cacr.training.config import TrainConfig

logger = logging.getLogger(__name__)


def fast_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions of its own for bfloat16, where others emulate it and lose time."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    cpu: Any = torch.cpu
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return device.type == "cpu" and any(getattr(cpu, name, bool)() for name in names)


def mines_in_bfloat16(config: TrainConfig, device: torch.device) -> bool:
    """Whether candidates are scored in bfloat16; says which, where it was asked for."""
    if config.mining_precision != "bf16" or config.precision != "fp32":
        return False
    fast = fast_bfloat16(device)
    if fast:
        logger.info("candidates are mined in bfloat16, the rest of a step is float32")
    else:
        logger.info(
            "mining_precision is bf16, which this %s does not compute fast; same is used", device.type
        )
    return fast


def mining(bfloat16: bool, device: torch.device) -> AbstractContextManager[Any]:
    """The context that candidates are scored in.

    Autocast casts a float32 weight that learns once in it; frozen weights, and views of weights, once a part.
    """
    return torch.autocast(device.type, torch.bfloat16) if bfloat16 else nullcontext()
