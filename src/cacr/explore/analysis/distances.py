"""How far attention within a modality is from the other's, carried over softly or by the argmax, and from uniform.

    own ↔ soft      what CACR asks to be small           soft ↔ uniform    how much of a flatness penalty CACR is
    own ↔ hard      what IAIS asks to be small           hard ↔ uniform    the same of IAIS
    own ↔ uniform   what a flatness penalty asks to be small

If the target is nearly uniform, the regularizer asks for flat attention whatever the picture shows. Two more measures
say so: how much of own ↔ soft follows from own ↔ uniform over rows (r²), and whether a step that lessens the one
lessens the other (the cosine of their gradients with respect to own attention's logits).

Every map is of several heads at once, [head, row, column], in float64.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from cacr.explore.relations import Maps, Relations
from cacr.losses.divergence import log_rows, log_softmax, symmetric_kl
from cacr.losses.iais import distributed

NO_GRADIENT = 1e-12
"""Length of a gradient from which on it has a direction."""
SUMS = ("n", "x", "y", "xx", "yy", "xy")
"""What correlations over rows follow from: x is a row's own ↔ uniform, y its own ↔ target."""


def distances(own: Tensor, its: Relations) -> dict[str, Tensor]:
    """Distances of a pair's maps in one direction: name -> [head], nats, mean over rows (symmetric KL).

    Args:
        own: Own attention as the model has it, see `cacr.explore.relations.sides`.
        its: What `cacr.explore.relations.related` makes of a pair's maps.

    Returns:
        "soft", "hard", "flat": own attention from each; "soft_flat", "hard_flat": the targets from uniform. Rows
        divided by their sums, as in `cacr.explore.relations`: "soft" is the loss CACR with normalize="rows".
        "cacr_release", "iais": the losses as they are trained. "cosine_soft", "cosine_hard", "cosine_release",
        "cosine_iais": of the gradients of own ↔ soft, own ↔ hard, the loss CACR (release) and the loss IAIS with that
        of own ↔ uniform; nan where one of them is 0.
    """
    support, flat, flatness = its.support, its.uniform, its.flatness
    mask = torch.ones(own.shape[:2], dtype=torch.bool)
    again = log_softmax(own, mask, support)  # release: a second softmax, of own attention too
    target, singled = (log_softmax(one, mask, support) for one in (its.projected, its.looked_up))
    release = through_softmax(again.exp(), gradient_at(again.exp(), target.exp(), support), support)
    down = gradient(its.own, flat, support)
    return {
        "soft": its.soft_divergence.mean(-1),
        "hard": its.hard_divergence.mean(-1),
        "flat": flatness["own"].mean(-1),
        "soft_flat": flatness["soft"].mean(-1),
        "hard_flat": flatness["hard"].mean(-1),
        "cacr_release": symmetric_kl(again, target, mask, support=support),
        "iais": symmetric_kl(log_rows(own), singled, mask, support=support),
        "cosine_soft": cosine(gradient(its.own, its.soft, support), down),
        "cosine_hard": cosine(gradient(its.own, its.hard, support), down),
        "cosine_iais": cosine(gradient(its.own, singled.exp(), support), down),
        "cosine_release": cosine(through_softmax(its.own, release, support), down),
    }


def both_ways(language: Maps, vision: Maps) -> dict[str, Tensor]:
    """IAIS's second kind, which goes to the other modality and back: "iais_distributed" by direction, [head], nats."""
    found = {}
    for direction, (own, _, there, support), back in (
        ("language", language, vision[2]),
        ("vision", vision, language[2]),
    ):
        mask = torch.ones(own.shape[:2], dtype=torch.bool)
        found[f"iais_distributed_{direction}"] = distributed(own, there, back, mask, support)
    return found


def row_sums(its: Relations) -> Mapping[str, Tensor]:
    """Sums over the rows of a pair for `SUMS`: "soft" and "hard" -> [head, 6]."""
    x, found = its.flatness["own"], {}
    for name, y in (("soft", its.soft_divergence), ("hard", its.hard_divergence)):
        terms = (torch.ones_like(x), x, y, x * x, y * y, x * y)
        found[name] = torch.stack([term.sum(-1) for term in terms], -1)
    return found


def gradient(own: Tensor, target: Tensor, support: Tensor) -> Tensor:
    """Of the symmetric KL between rows of own attention and a target that stays, w.r.t. own attention's logits.

    Own rows are a softmax of the logits; the target gets no gradient. [head, row, column].
    """
    return through_softmax(own, gradient_at(own, target, support), support)


def gradient_at(p: Tensor, q: Tensor, support: Tensor) -> Tensor:
    """∂/∂p of Σ (p − q)(log p − log q): log p − log q + 1 − q / p, where p is not the logits'."""
    floor = torch.finfo(p.dtype).tiny
    p, q = p.clamp_min(floor), q.clamp_min(floor)
    return (p.log() - q.log() + 1 - q / p).masked_fill(~support, 0.0)


def through_softmax(p: Tensor, upstream: Tensor, support: Tensor) -> Tensor:
    """Carry a gradient with respect to p = softmax(z) over to z: p (g − Σ p g)."""
    weighted = (p * upstream).masked_fill(~support, 0.0)
    return weighted - p * weighted.sum(-1, keepdim=True)


def cosine(some: Tensor, other: Tensor) -> Tensor:
    """Cosine between two maps of each head, all rows together: [head]; nan where one of them is 0."""
    dot = (some * other).sum((-2, -1))
    one, two = some.norm(dim=(-2, -1)), other.norm(dim=(-2, -1))
    known = (one > NO_GRADIENT) & (two > NO_GRADIENT)
    return torch.where(known, dot / (one * two).masked_fill(~known, 1.0), torch.nan)
