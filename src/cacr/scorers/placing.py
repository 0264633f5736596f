"""A model as scorers take it: on its device, told apart from others by a hash of its weights and its configuration."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from cacr._hub import origin
from cacr._processes import local_rank

HASHED = 2**24
"""Numbers of a tensor that are hashed at a time."""


def without_paths(config: Any) -> Any:
    """A configuration without where it was read from, which is no part of it."""
    if isinstance(config, dict):
        return {name: without_paths(value) for name, value in config.items() if name != "_name_or_path"}
    return config


def hub_of(model: object) -> dict[str, str]:
    """``hub``: repository and commit on the hub that a model was read from; nothing where it was not."""
    found = origin(str(getattr(model, "name_or_path", "")))
    return {} if found is None else {"hub": found}


def hash_weights(model: nn.Module) -> str:
    """A hash of names, shapes and values, the same on every device: sums of the numbers' bits, in whole numbers."""
    digest = hashlib.blake2b(digest_size=8)
    for name, values in model.state_dict().items():
        digest.update(f"{name} {tuple(values.shape)} {values.dtype}".encode())
        bits = values.detach().contiguous().flatten().view(torch.uint8)
        whole = bits[: len(bits) // 4 * 4].view(torch.int32)
        for some in whole.split(HASHED):
            places = torch.arange(1, len(some) + 1, device=some.device)
            digest.update(f"{int(some.sum())} {int((some * places).sum())}".encode())
        digest.update(bits[len(whole) * 4 :].cpu().numpy().tobytes())
    return digest.hexdigest()


def device_of(device: str | torch.device | None = None) -> torch.device:
    """The device named, or this process's GPU if there is one, or the CPU.

    Raises:
        ValueError: No such device here.
    """
    if device is None:
        return torch.device("cuda", local_rank()) if torch.cuda.is_available() else torch.device("cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        gpus = ", ".join(f"cuda:{i}" for i in range(torch.cuda.device_count()))
        raise ValueError(f"no device {device!r} here; there is {gpus or 'no GPU'}, and cpu") from error
    return found


def settle(model: PreTrainedModel, device: str | torch.device | None = None) -> PreTrainedModel:
    """The model on its device, in eval mode, with parameters where kernels round the same every time.

    Memory-mapped tensors lie at odd addresses, where kernels round differently: equal weights, unequal scores.
    """
    model.to(device_of(device))  # type: ignore[arg-type]
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    assert isinstance(model, nn.Module)
    return model.eval()
