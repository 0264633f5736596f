"""The control: push attention towards uniform and nothing else.

A regularizer that pulls attention towards a nearly uniform target may help (or harm) by flattening alone. Whoever
claims congruence matters compares with this loss: same divergence, same rows, no cross-modal information.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from cacr.attention import AttentionBlocks
from cacr.losses.divergence import log_rows, log_softmax, needs_probabilities, over_directions, symmetric_kl


def flatness_loss(blocks: AttentionBlocks, direction: str = "both") -> Float[Tensor, ""]:
    """Symmetric KL, in nats, between attention within a modality and the uniform one, averaged over examples.

    Args:
        blocks: Attention of matched pairs in the space "probabilities": the mean over heads, or each head (their
            losses are averaged): the control has the heads of the loss that it controls.
        direction: "language" (S_LL), "vision" (S_VV) or "both" (their sum).

    Raises:
        ValueError: An unknown direction.

    Example:
        >>> flat, real = torch.full((1, 2, 2), 0.5), torch.ones(1, 2, dtype=torch.bool)
        >>> flatness_loss(AttentionBlocks(flat, flat, flat, flat, real, real))
        tensor(0.)
    """
    needs_probabilities(blocks, "flatness_loss")

    def towards_uniform(
        own: Tensor, other: Tensor, cross: Tensor, mask: Tensor, support: Tensor | None
    ) -> Tensor:
        flat = log_softmax(torch.zeros_like(own), mask, support)
        return symmetric_kl(log_rows(own), flat, mask, support=support)

    return over_directions(blocks, direction, towards_uniform)
