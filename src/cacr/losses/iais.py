"""IAIS: the earlier method, which looks each word up at one region (argmax) instead of weighing all.

    i* = argmax_k S_LV[i, k]         S_LL[i, j]   should equal   S_VV[i*, j*]          kind "singular"
                                     S_LL         should equal   S_LV · S_VL           kind "distributed"

Paper: Ren et al., ACL 2021, "Learning Relation Alignment for Calibrated Cross-modal Retrieval".
Source: github.com/lancopku/IAIS; its names "singular" and "distributed" are kept here and nowhere else.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import one_hot

from cacr._messages import unknown
from cacr.attention.refusing import refuse_empty
from cacr.losses.comparison import Blocks, Carried, Comparison, Factors, closed, compared
from cacr.losses.divergence import counted, log_rows
from cacr.losses.flatness import own_against_softmax

KINDS = ("singular", "distributed")
DISTRIBUTED_FLOOR = 1e-6
"""Added by the release before the logarithm, kind "distributed" only."""


def singular(
    own: Float[Tensor, "*batch own own"],
    other: Float[Tensor, "*batch other other"],
    cross: Float[Tensor, "*batch own other"],
    own_mask: Bool[Tensor, "*#batch own"],
    support: Bool[Tensor, "*#batch own own"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Symmetric KL between own attention and the other's, read at each row's best match. Nats, per example.

    As in the release, the gathered values pass a softmax and own attention does not.

    Examples:
        >>> import torch
        >>> flat = torch.full((1, 2, 2), 0.5)
        >>> singular(flat, flat, torch.eye(2)[None], torch.ones(1, 2, dtype=torch.bool))
        tensor([0.])
    """
    refuse_empty(own_mask, "row", "own_mask")
    return closed(own, other, cross, SINGULAR, own_mask, support)


def hardened(cross: Float[Tensor, "*batch own other"]) -> Float[Tensor, "*batch own other"]:
    """1 at the largest entry of each row (the first of equal ones), 0 elsewhere.

    IAIS is CACR with this in place of the cross attention.

    Examples:
        >>> import torch
        >>> hardened(torch.tensor([[0.3, 0.6, 0.1]]))
        tensor([[0., 1., 0.]])
    """
    return one_hot(cross.argmax(-1), cross.shape[-1]).to(cross.dtype)


def distributed(
    own: Float[Tensor, "*batch own own"],
    there: Float[Tensor, "*batch own other"],
    back: Float[Tensor, "*batch other own"],
    own_mask: Bool[Tensor, "*#batch own"],
    support: Bool[Tensor, "*#batch own own"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Symmetric KL between own attention and the way through the other modality and back. Nats, per example.

    As in the release, the floor is added to the approximating distribution of each KL and not to the other.
    """
    refuse_empty(own_mask, "row", "own_mask")
    return closed(own, own, there, DISTRIBUTED, own_mask, support, back)


@dataclass(frozen=True)
class ThereAndBack(Comparison):
    """Compared with the way through the other modality and back: S_LV · S_VL."""

    def factors(self, other: Tensor | None, cross: Tensor, back: Tensor | None, mask: Tensor) -> Factors:
        """As in `Comparison`; ``other`` is not read."""
        assert back is not None
        return cross, back.mT


def _floored(own: Tensor, seen: Tensor, pairs: Tensor | None) -> Tensor:
    floored_own, floored_seen = (own + DISTRIBUTED_FLOOR).log(), (seen + DISTRIBUTED_FLOOR).log()
    terms = own * (log_rows(own) - floored_seen) + seen * (log_rows(seen) - floored_own)
    return counted(terms, pairs).sum(-1)


SINGULAR = Carried(own_against_softmax, name="iais_loss", carrier=hardened, hard=True)
DISTRIBUTED = ThereAndBack(_floored, name="iais_loss")


def iais_loss(blocks: Blocks, direction: str = "both", kind: str = "singular") -> Float[Tensor, ""]:
    """The intra-modal self-attention distance of IAIS, averaged over examples.

    Args:
        blocks: Attention of matched pairs in the space "probabilities".
        direction: "language", "vision" or "both" (their sum).
        kind: "singular" (argmax) or "distributed" (S_LV S_VL; needs S_VL in both directions).

    Returns:
        Nats, differentiable once, at least 0 (the floor inside the logarithms of "distributed" can take it 1e-5 below).

    Raises:
        ValueError: Blocks of scores, an unknown kind or direction, or blocks without the S_VL that it needs.

    Source: Ren et al., ACL 2021; github.com/lancopku/IAIS.
    """
    if kind not in KINDS:
        raise ValueError(unknown("kind", kind, KINDS))
    if kind == "singular":
        return compared(blocks, SINGULAR, direction)
    if blocks.vl is None:
        raise ValueError(
            'kind="distributed" multiplies S_LV with S_VL, and these blocks have no S_VL (vl=None: a causal '
            'model). Use kind="singular" with direction="language"'
        )
    return compared(blocks, DISTRIBUTED, direction)
