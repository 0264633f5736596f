"""CACR: the attention among words should agree with the attention among their regions.

    word i attends to word j   should equal   i's regions attend to j's regions
    S_LL                       ~              S_LV · S_VV · S_LVᵀ        and the same with L and V exchanged

Paper: Pandey et al., ACL 2023, arXiv:2212.10549, equations 3-6.  Where the authors' release differs from the
text, both are readings: see docs/paper_notes.md.  Notation: docs/notation.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from einops import einsum
from jaxtyping import Bool, Float
from torch import Tensor

from cacr._messages import unknown
from cacr.attention.refusing import refuse_empty
from cacr.losses.comparison import Blocks, Carried, closed, compared
from cacr.losses.divergence import SoftmaxRows, kl_rows, log_rows, unit_rows

NORMALIZE = ("softmax", "rows")
ROWS = ("mean", "sum")
SHARPEST = 1e6
"""Beyond it, probabilities that differ in their last digit in float32 come apart: no difference is left to sharpen."""


@dataclass(frozen=True)
class Reading:
    """The choices that the paper leaves open. Name one of ``READINGS`` or build your own."""

    detach_cross: bool = True
    """No gradient through the cross-modal attention."""
    normalize: str = "softmax"
    """"softmax" over both matrices, or divide each row by its sum (the blocks must hold probabilities)."""
    rows: str = "mean"
    """"mean" or "sum" over the rows of an example. Examples are always averaged."""
    sharpen: float = 1.0
    """1: the cross-modal attention as it is. Else it is `sharpened` before it projects; its rows then sum to 1."""

    def __post_init__(self) -> None:
        if self.normalize not in NORMALIZE:
            raise ValueError(unknown("normalize", self.normalize, NORMALIZE))
        if self.rows not in ROWS:
            raise ValueError(unknown("rows", self.rows, ROWS))
        if not 0 < self.sharpen <= SHARPEST:
            raise ValueError(
                f"sharpen is {self.sharpen}; expected an exponent above 0, 1 for none, {SHARPEST:g} at most"
            )


READINGS = {"release": Reading(), "paper": Reading(detach_cross=False, rows="sum")}
"""Name -> choices: the authors' code, and the text to the letter."""


def project(
    other: Float[Tensor, "*batch other other"], cross: Float[Tensor, "*batch own other"]
) -> Float[Tensor, "*batch own own"]:
    """Carry one modality's attention over into the other: the paper's change of basis, S* = cross · other · crossᵀ.

    Args:
        other: Attention within the other modality.
        cross: Attention from own queries to the other modality's keys.

    Examples:
        >>> import torch
        >>> swap = torch.tensor([[0.0, 1.0], [1.0, 0.0]])            # word 0 sees region 1, word 1 region 0
        >>> project(torch.tensor([[0.9, 0.1], [0.4, 0.6]]), swap)
        tensor([[0.6000, 0.4000], [0.1000, 0.9000]])
    """
    return einsum(cross, other, cross, "... i k, ... k l, ... j l -> ... i j")


def sharpened(cross: Float[Tensor, "*batch own other"], exponent: float) -> Tensor:
    """Each row's probabilities to a power, summing to 1 again; what is 0 (padding) stays 0.

    Towards infinity a row becomes 1 at its largest entry and 0 elsewhere: the argmax of IAIS. Below 1 it is flattened.

    Examples:
        >>> import torch
        >>> sharpened(torch.tensor([[0.3, 0.1, 0.0]]), 2.0)
        tensor([[0.9000, 0.1000, 0.0000]])
    """
    zero = cross == 0
    logs = cross.clamp_min(torch.finfo(cross.dtype).tiny).log()  # powers of small numbers would underflow
    logs = logs - logs.amax(-1, keepdim=True).detach()
    shares = (exponent * logs).masked_fill(zero, torch.finfo(cross.dtype).min).softmax(-1)
    return shares.masked_fill(zero, 0.0)


def congruence(
    own: Float[Tensor, "*batch own own"],
    other: Float[Tensor, "*batch other other"],
    cross: Float[Tensor, "*batch own other"],
    own_mask: Bool[Tensor, "*#batch own"],
    support: Bool[Tensor, "*#batch own own"] | None = None,
    reading: Reading = READINGS["release"],
) -> Float[Tensor, "*batch"]:
    """Symmetric KL, in nats, between one modality's attention and the other's projected onto it.

    Args:
        own: Attention within the modality compared; rows are queries. Padding is 0.
        other: Attention within the other modality. Padding is 0.
        cross: Attention from own queries to the other modality's keys. Padding is 0.
        own_mask: True where a token or region counts.
        support: True where own attention is defined; causal models have a triangle. Both matrices are compared
            there alone, and normalized over it. None: every real pair.
        reading: How to normalize, whether the cross attention learns, and how rows are pooled.

    Returns:
        One value per example: the mean (or sum) over its real rows.

    Raises:
        ValueError: An example without a row that counts.

    Examples:
        >>> import torch
        >>> same = torch.eye(2)[None]                                         # each word looks at itself
        >>> congruence(same, same, same, torch.ones(1, 2, dtype=torch.bool))  # congruent: no penalty
        tensor([0.])

    Source: equations 3-5; github.com/KhoomeiK/CACR for the reading "release".
    """
    refuse_empty(own_mask, "row", "own_mask")
    chosen = comparison(reading)
    if chosen.on_scores is not None:  # whatever these matrices hold
        chosen = replace(chosen, divergence=chosen.on_scores)
    return closed(own, other, cross, chosen, own_mask, support)


def comparison(reading: Reading) -> Carried:
    """What a reading compares, and how; softmaxes of probabilities are worked out as nearly flat (`softmax_rows`)."""
    carrier = partial(_carrier, detach=reading.detach_cross, exponent=reading.sharpen)
    if reading.normalize == "rows":
        return Carried(_by_rows, reading.rows, name='normalize="rows"', carrier=carrier)
    return Carried(
        SoftmaxRows(bounded=True),
        reading.rows,
        SoftmaxRows() if reading.sharpen == 1 else None,
        name=f"sharpen={reading.sharpen}",
        carrier=carrier,
        centered=True,
        fades=True,
    )


def _carrier(cross: Tensor, detach: bool, exponent: float) -> Tensor:
    cross = cross.detach() if detach else cross
    return cross if exponent == 1 else sharpened(cross, exponent)


def cacr_loss(
    blocks: Blocks, direction: str = "both", variant: str = "release", **choices: Any
) -> Float[Tensor, ""]:
    """The regularizer of the paper: congruence of both directions, or of one, averaged over examples (eq. 6).

    Args:
        blocks: Attention of matched pairs. In the space "probabilities" with the mean over heads for the reading
            "release"; in the space "scores" with each head for the reading "paper". ``normalize="rows"`` needs
            probabilities, and so does ``sharpen``.
        direction: "language" (S_LL against S_LV S_VV S_LVᵀ), "vision" (its mirror) or "both" (their sum).
            The release uses one per group: vision for image-anchored, language for text-anchored groups.
        variant: "release" (the authors' code, the default) or "paper" (to the letter).
        choices: ``detach_cross``, ``normalize``, ``rows`` or ``sharpen`` to change one choice of the variant by itself;
            None keeps the variant's own. See `Reading`.

    Returns:
        Nats, at least 0; differentiable once. With heads kept apart: the mean of their losses.

    Raises:
        ValueError: An unknown direction, variant or choice; or a direction that the blocks do not have.

    Examples:
        >>> import torch
        >>> from cacr import AttentionBlocks
        >>> same, real = torch.eye(2)[None], torch.ones(1, 2, dtype=torch.bool)
        >>> cacr_loss(AttentionBlocks(same, same, same, same, real, real))
        tensor(0.)
    """
    reading = chosen_reading(variant, choices)
    return compared(blocks, comparison(reading), direction)


def chosen_reading(variant: str, choices: Mapping[str, Any]) -> Reading:
    """A variant with some of its choices changed; None keeps the variant's own.

    Raises:
        ValueError: An unknown variant or choice.
    """
    if variant not in READINGS:
        raise ValueError(unknown("variant", variant, READINGS))
    known = Reading.__dataclass_fields__
    for name in choices:
        if name not in known:
            raise ValueError(unknown("choice", name, known))
    return replace(READINGS[variant], **{k: v for k, v in choices.items() if v is not None})


def _by_rows(own: Tensor, projected: Tensor, pairs: Tensor | None) -> Tensor:
    return kl_rows(log_rows(unit_rows(own, pairs)), log_rows(unit_rows(projected, pairs)), pairs)
