"""What a caller of `watch` or `attach` means: which model inside wrappers, which layers, which examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from accelerate.utils import extract_model_from_parallel
from torch import Tensor, nn

from cacr.attention.layouts import Layout

DATA_PARALLEL = (
    "its replicas share hooks and would mix their examples. Use DistributedDataParallel (torchrun), or one GPU: "
    "CUDA_VISIBLE_DEVICES=0"
)


EXPECTED_ROWS = "expected a boolean [batch], indices, a slice, or None for all examples"


def innermost(model: Any) -> nn.Module:
    """The model inside the wrappers of distributed training, torch.compile and PEFT.

    Raises:
        TypeError: Not a torch module, or torch.nn.DataParallel.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"expected a torch module, got {type(model).__name__}")
    if isinstance(model, nn.DataParallel):
        raise TypeError(f"torch.nn.DataParallel is not supported: {DATA_PARALLEL}")
    inner: Any = extract_model_from_parallel(model, keep_torch_compile=False)
    if hasattr(inner, "peft_config") and hasattr(inner, "get_base_model"):
        inner = inner.get_base_model()
    return model if inner is model else innermost(inner)


def chosen_layers(model: nn.Module, layout: Layout, layer: int | str | Sequence[int]) -> list[int]:
    """Zero-based numbers of the layers that a caller means.

    Raises:
        ValueError: Not "last", "all", a number or several, or a layer that does not exist or has no such attention.
    """
    count, usable = layout.count(model), layout.usable(model)
    if not usable and layer in ("last", "all"):
        raise ValueError(
            f"no layer of this {type(model).__name__} has full text-image attention by its config; name a layer "
            f"from 0 to {count - 1}, and see whether its window is wide enough"
        )
    if layer == "last":
        return [usable[-1]]
    if layer == "all":
        return usable
    wanted = [layer] if isinstance(layer, int) else layer
    if isinstance(wanted, str) or not all(isinstance(one, int) for one in wanted) or not wanted:
        raise ValueError(
            f'layer is {layer!r}; expected "last", "all", a number such as -1, or several: [-1, -2]'
        )
    numbers = []
    for one in wanted:
        if not -count <= one < count:
            raise ValueError(f"layer is {one}; the model has {count} layers, counted from 0 or from -1")
        numbers.append(one % count)
        if layout.only_usable and one % count not in usable:
            raise ValueError(f"layer {one} has no text-image attention; layers with it: {usable}")
    return sorted(set(numbers))


def chosen_rows(select: Any, inputs: Mapping[str, Any], text: Tensor, regions: Tensor) -> Any:
    """Which examples count, as an index into the batch; None: all."""
    if select is None:
        return None
    if isinstance(select, str):  # "paired"
        return text.any(1) & regions.any(1)
    rows = select(inputs) if callable(select) else select
    if rows is None or isinstance(rows, slice):
        return rows
    batch = len(text)
    try:
        rows = torch.as_tensor(rows, device=text.device)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"select gave {rows!r}; {EXPECTED_ROWS}") from None
    if rows.numel() == 0:
        return rows.long().flatten()
    if rows.dtype == torch.bool and rows.shape == (batch,):
        return rows
    given = f"select gave {rows.dtype} of shape {tuple(rows.shape)} for a batch of {batch}"
    if rows.ndim != 1 or rows.dtype not in (torch.int64, torch.int32):
        raise ValueError(f"{given}; {EXPECTED_ROWS}")
    if torch.compiler.is_compiling():
        return rows
    if rows.max() >= batch or rows.min() < -batch:
        raise ValueError(
            f"{given}, with indices from {int(rows.min())} to {int(rows.max())}; {EXPECTED_ROWS}"
        )
    if len(rows.unique()) < len(rows):
        raise ValueError(
            f"{given}, with an example more than once: labels of 0 and 1? Then compare: labels == 1"
        )
    return rows
