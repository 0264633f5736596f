"""What is refused of tensors that people hand over: shapes, examples without anything that counts, NaN.

What is asked of values makes the device answer, so it is asked once, where tensors come in, and not while torch.compile
traces: it would break the graph.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def check_mask(name: str, mask: Tensor) -> None:
    """Raises TypeError where a mask is not boolean, ValueError where it is not [batch, positions]."""
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        given = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(
            f"{name} is {given}; expected a boolean tensor, True where a position counts: mask.bool()"
        )
    if mask.ndim != 2 or mask.shape[0] == 0:
        raise ValueError(
            f"{name} has shape {tuple(mask.shape)}; expected [batch, positions], one example or more"
        )


def check_block(
    name: str, block: Tensor, batch: int, rows: tuple[str, int], columns: tuple[str, int]
) -> None:
    """Raises TypeError where a block holds no floating-point numbers, ValueError where it does not fit the masks."""
    if not isinstance(block, Tensor) or not block.is_floating_point():
        given = block.dtype if isinstance(block, Tensor) else type(block).__name__
        raise TypeError(f"{name} is {given}; expected a floating-point tensor")
    wanted = (rows[1], columns[1])
    if block.ndim not in (3, 4) or block.shape[0] != batch or block.shape[-2:] != wanted:
        raise ValueError(
            f"{name} has shape {tuple(block.shape)}; expected [batch={batch}, (head,) "
            f"{rows[0]}={rows[1]}, {columns[0]}={columns[1]}] to fit the masks"
        )


def refuse_empty(mask: Tensor, what: str, name: str) -> None:
    """Raises ValueError for the first example of a mask [.., position] that is False everywhere."""
    if torch.compiler.is_compiling():
        return  # a question about values would break the graph
    empty = ~mask.any(-1)
    if empty.any():
        raise ValueError(
            f"no real {what} in example {_first(empty)}: its {name} is False everywhere. "
            "Drop the example or repair the mask; attention congruence needs both modalities"
        )


def refuse_broken(name: str, values: Tensor, counted: Tensor | None = None) -> bool:
    """Raises ValueError where values that count are NaN or infinite, and says of which example and position.

    Args:
        name: Of the tensor.
        values: [batch, (head,) position, any].
        counted: [batch, position], True where a position counts; all if None.

    Returns:
        Whether everything is finite, what does not count as well.
    """
    if torch.compiler.is_compiling():
        return True
    values = values.detach()
    total = values.sum(dtype=torch.promote_types(values.dtype, torch.float32))  # costs less than to ask each
    if math.isfinite(total.item()):
        return True
    broken = ~torch.isfinite(values).all(-1)
    broken = broken.any(1) if broken.ndim == 3 else broken
    wrong = broken if counted is None else broken & counted
    if wrong.any():
        example, position = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"{name} holds NaN or infinite values in example {example}, position {position} "
            f"({int(wrong.any(1).sum())} of {len(values)} examples have some). Look at what the model was given, "
            "and whether it overflows in half precision"
        )
    return not bool(broken.any())


def _first(flags: Tensor) -> int | tuple[int, ...]:
    """The place of the first True: a number, or several where an example has several axes."""
    place = flags.nonzero()[0].tolist()
    return place[0] if len(place) == 1 else tuple(place)
