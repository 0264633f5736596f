"""The control: push attention towards uniform and nothing else.

A regularizer that pulls attention towards a nearly uniform target may help (or harm) by flattening alone. Whoever
claims congruence matters compares with this loss: same divergence, same rows, no cross-modal information.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from cacr.losses.comparison import Blocks, Comparison, Factors, compared
from cacr.losses.divergence import kl_rows, log_rows, log_softmax_over


@dataclass(frozen=True)
class Uniform(Comparison):
    """Compared with rows of zeros, which a softmax makes uniform."""

    def factors(self, other: Tensor | None, cross: Tensor, back: Tensor | None, mask: Tensor) -> Factors:
        """As in `Comparison`: 0 · 0ᵀ."""
        nothing = cross.new_zeros(*cross.shape[:-1], 1)
        return nothing, nothing


def own_against_softmax(own: Tensor, projected: Tensor, pairs: Tensor | None) -> Tensor:
    """Symmetric KL of each row between own attention as it is and a softmax of what it is compared with."""
    return kl_rows(log_rows(own), log_softmax_over(projected, pairs), pairs)


FLATNESS = Uniform(own_against_softmax, name="flatness_loss")


def flatness_loss(blocks: Blocks, direction: str = "both") -> Float[Tensor, ""]:
    """Symmetric KL, in nats, between attention within a modality and the uniform one, averaged over examples.

    Args:
        blocks: Attention of matched pairs in the space "probabilities": the mean over heads, or each head (their
            losses are averaged): the control has the heads of the loss that it controls.
        direction: "language" (S_LL), "vision" (S_VV) or "both" (their sum).

    Raises:
        ValueError: An unknown direction, blocks of scores, or "vision" for blocks without S_VL.

    Examples:
        >>> import torch
        >>> from cacr import AttentionBlocks
        >>> flat, real = torch.full((1, 2, 2), 0.5), torch.ones(1, 2, dtype=torch.bool)
        >>> flatness_loss(AttentionBlocks(flat, flat, flat, flat, real, real))
        tensor(0.)
    """
    return compared(blocks, FLATNESS, direction)
