"""Algorithm 1 of the paper written as loops: slow, float64, for tests and teaching.

    for i, j:   W ← S_VL[i] ⊗ S_VL[j]      a*[i, j] ← Σ (W ∘ S_LL)      row i of a* compared with S_VV[i]

Two errata are applied (docs/paper_notes.md): "element-wise weighted mean" must be the sum, and the symmetric KL
compares rows, not scalars; without them the algorithm is not the closed form that section 3.4 proves it to be.

Paper: arXiv:2212.10549, Algorithm 1 and equation 7.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from cacr._messages import unknown
from cacr.attention import AttentionBlocks
from cacr.losses.comparison import DIRECTIONS
from cacr.losses.congruence import Reading


def soft_equivalence_loss(
    blocks: AttentionBlocks, direction: str = "both", normalize: str = "softmax", rows: str = "sum"
) -> Float[Tensor, ""]:
    """What `cacr_loss` computes in closed form, one pair of tokens at a time.

    Args:
        blocks: Attention of matched pairs, with or without an axis of heads.
        direction: "language", "vision" or "both" (their sum).
        normalize: "softmax" (the paper) or "rows".
        rows: "sum" (the paper) or "mean" over an example's rows.

    Returns:
        Nats in float64; equal to ``cacr_loss(blocks, direction, variant="paper")`` by default.

    Raises:
        ValueError: An unknown direction or choice, or a direction that needs S_VL, which the blocks do not have.

    Source: arXiv:2212.10549, Algorithm 1, with two errata applied (docs/paper_notes.md).
    """
    if direction not in DIRECTIONS:
        raise ValueError(unknown("direction", direction, DIRECTIONS))
    Reading(normalize=normalize, rows=rows)  # checks both
    total = torch.zeros((), dtype=torch.float64)
    for example in range(len(blocks)):
        words = blocks.text_mask[example].nonzero()[:, 0].tolist()
        regions = blocks.region_mask[example].nonzero()[:, 0].tolist()
        heads = range(blocks.ll.shape[1]) if blocks.per_head else [None]
        for head in heads:
            where = (example,) if head is None else (example, head)
            parts: list[tuple] = []
            if direction in ("language", "both"):
                sees = _support(blocks.ll_support, example)
                parts.append((blocks.ll[where], blocks.vv[where], blocks.lv[where], words, regions, sees))
            if direction in ("vision", "both"):
                if blocks.vl is None:
                    raise ValueError(
                        f"direction={direction!r} needs S_VL, and these blocks have none (vl=None)"
                    )
                sees = _support(blocks.vv_support, example)
                parts.append((blocks.vv[where], blocks.ll[where], blocks.vl[where], regions, words, sees))
            for own, other, cross, mine, theirs, sees in parts:
                matrices = own.double(), other.double(), cross.double()
                side = _one_side(*matrices, mine, theirs, sees, normalize, rows)
                total = total + side / len(heads)
    return total / len(blocks)


def _one_side(
    own: Tensor,
    other: Tensor,
    cross: Tensor,
    mine: list[int],
    theirs: list[int],
    sees: Callable[[int, int], bool],
    normalize: str,
    rows: str,
) -> Tensor:
    loss = torch.zeros((), dtype=torch.float64)
    for i in mine:
        seen, columns = [], [j for j in mine if sees(i, j)]
        for j in columns:
            # soft weighting
            weighted = [cross[i, k] * cross[j, p] * other[k, p] for k in theirs for p in theirs]
            seen.append(torch.stack(weighted).sum())
        log_p = _log_distribution(own[i, columns], normalize)
        log_q = _log_distribution(torch.stack(seen), normalize)
        for p, q in zip(log_p, log_q, strict=True):
            loss = loss + p.exp() * (p - q) + q.exp() * (q - p)
    return loss / len(mine) if rows == "mean" else loss


def _support(support: Tensor | None, example: int) -> Callable[[int, int], bool]:
    return lambda i, j: support is None or bool(support[example, i, j])


def _log_distribution(row: Tensor, normalize: str) -> Tensor:
    return row.log_softmax(-1) if normalize == "softmax" else row.log() - row.sum().log()
