"""Files of weights from anywhere, read without unpickling more than tensors and numbers."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file


def read_weights(path: Path) -> Any:
    """What a .safetensors or torch file holds.

    Raises:
        ValueError: It is broken, or holds more than tensors and numbers.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, "cpu", weights_only=True)
    except (  # what torch raises on damaged files
        SafetensorError,
        RuntimeError,
        EOFError,
        pickle.UnpicklingError,
        OSError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        AssertionError,
    ) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, pickle.UnpicklingError):
            first = "no torch file of plain tensors"  # torch's own sentence advises to unpickle it
        raise ValueError(
            f"{path} cannot be read as a checkpoint ({first}). It may be cut off, or hold more than tensors, which is "
            "never unpickled here; download it again"
        ) from error
