"""The ranking loss over groups of one true pair and its hardest negatives.

    max(0, margin + σ(negative) − σ(true))

Source: github.com/ChenRocks/UNITER, model/itm.py (UniterForImageTextRetrievalHardNeg); margin 0.2.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cacr._messages import unknown


def ranking_loss(
    match: Float[Tensor, "group candidate"], margin: float = 0.2, reduce: str = "mean"
) -> Float[Tensor, "*reduced"]:
    """How far the negatives of each group are from lying ``margin`` below its true pair, after a sigmoid.

    Args:
        match: Match logits; column 0 is the true pair, the others are negatives.
        margin: Wanted difference of the sigmoids, 0-1.
        reduce: "mean" over groups and negatives, or "none": [group, negative].

    Returns:
        0 to 1 + ``margin``: a scalar, or [group, negative].

    Raises:
        ValueError: No negatives, or an unknown way to reduce.

    Examples:
        >>> ranking_loss(torch.tensor([[0.0, 0.0, -9.0]]))
        tensor(0.1000)

    Source: github.com/ChenRocks/UNITER, model/itm.py.
    """
    if match.shape[1] < 2:
        raise ValueError(
            f"match has shape {tuple(match.shape)}; expected [group, 1 + negatives] one negative at least"
        )
    if reduce not in ("mean", "none"):
        raise ValueError(unknown("reduce", reduce, ("mean", "none")))
    chance = torch.sigmoid(match.float() if match.dtype in (torch.float16, torch.bfloat16) else match)
    loss = (margin + chance[:, 1:] - chance[:, :1]).clamp(min=0)
    return loss.mean() if reduce == "mean" else loss


def hardest_negatives(match: Float[Tensor, "group candidate"], count: int) -> Int[Tensor, "group count"]:
    """Columns of the ``count`` best matching negatives of each group, best first; column 0 is the true pair.

    Of equal ones the first. NaN counts as the best, so that the loss is NaN and not silent.

    Raises:
        ValueError: A group has fewer negatives than asked for.

    Examples:
        >>> hardest_negatives(torch.tensor([[5.0, 1.0, 3.0, 2.0]]), 2)
        tensor([[2, 3]])
    """
    negatives = match.shape[1] - 1
    if not 1 <= count <= negatives:
        raise ValueError(f"asked for {count} hardest negatives of {negatives}; expected 1 to {negatives}")
    return match[:, 1:].sort(dim=1, descending=True, stable=True).indices[:, :count] + 1
