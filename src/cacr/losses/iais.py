"""IAIS: the earlier method, which looks each word up at one region (argmax) instead of weighing all.

    i* = argmax_k S_LV[i, k]         S_LL[i, j]   should equal   S_VV[i*, j*]          kind "singular"
                                     S_LL         should equal   S_LV · S_VL           kind "distributed"

Paper: Ren et al., ACL 2021, "Learning Relation Alignment for Calibrated Cross-modal Retrieval".
Source: github.com/lancopku/IAIS; its names "singular" and "distributed" are kept here and nowhere else.
"""

from jaxtyping import Bool, Float
from torch import Tensor

from cacr._messages import unknown
from cacr.attention import AttentionBlocks
from cacr.losses.divergence import (
    log_rows,
    log_softmax,
    needs_probabilities,
    over_directions,
    pool_rows,
    symmetric_kl,
)

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

    Example:
        >>> import torch
        >>> flat = torch.full((1, 2, 2), 0.5)
        >>> singular(flat, flat, torch.eye(2)[None], torch.ones(1, 2, dtype=torch.bool))
        tensor([0.])
    """
    best = cross.argmax(-1)
    rows = other.gather(-2, best[..., :, None].expand(*best.shape, other.shape[-1]))
    seen = rows.gather(-1, best[..., None, :].expand(*best.shape[:-1], best.shape[-1], best.shape[-1]))
    return symmetric_kl(log_rows(own), log_softmax(seen, own_mask, support), own_mask, support=support)


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
    seen = there @ back
    floored_own, floored_seen = (own + DISTRIBUTED_FLOOR).log(), (seen + DISTRIBUTED_FLOOR).log()
    terms = own * (log_rows(own) - floored_seen) + seen * (log_rows(seen) - floored_own)
    return pool_rows(terms, own_mask, support=support)


def iais_loss(blocks: AttentionBlocks, direction: str = "both", kind: str = "singular") -> Float[Tensor, ""]:
    """The intra-modal self-attention distance of IAIS, averaged over examples.

    Args:
        blocks: Attention of matched pairs in the space "probabilities".
        direction: "language", "vision" or "both" (their sum).
        kind: "singular" (argmax) or "distributed" (S_LV S_VL; needs S_VL in both directions).

    Returns:
        Nats, at least 0 (the floor inside the logarithms of "distributed" can take it 1e-5 below).

    Raises:
        ValueError: Blocks of scores, an unknown kind or direction, or blocks without the S_VL that it needs.
    """
    if kind not in KINDS:
        raise ValueError(unknown("kind", kind, KINDS))
    needs_probabilities(blocks, "iais_loss")
    if kind == "singular":
        return over_directions(blocks, direction, singular)
    lv, vl = blocks.lv, blocks.vl
    if vl is None:
        raise ValueError(
            'kind="distributed" multiplies S_LV with S_VL, and these blocks have no S_VL (vl=None: a causal '
            'model). Use kind="singular" with direction="language"'
        )
    return over_directions(
        blocks,
        direction,
        lambda own, other, cross, mask, support: distributed(
            own, cross, vl if cross is lv else lv, mask, support
        ),
    )
