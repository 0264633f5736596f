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

from cacr.attention import AttentionBlocks
from cacr.explore.relations import DIRECTIONS, divergence
from cacr.losses.congruence import READINGS, Reading, congruence, project
from cacr.losses.iais import distributed, singular

NO_GRADIENT = 1e-12
"""Length of a gradient from which on it has a direction."""
Maps = tuple[Tensor, ...]
"""own, other, cross and support."""
SUMS = ("n", "x", "y", "xx", "yy", "xy")
"""What correlations over rows follow from: x is a row's own ↔ uniform, y its own ↔ target."""


def sides(blocks: AttentionBlocks) -> dict[str, Maps]:
    """Direction -> (own, other, cross, support): [head, …] in float64; "vision" only where regions attend to words.

    Args:
        blocks: Of a batch of one without padding; without an axis of heads they count as one head.
    """
    found: dict[str, Maps] = {}
    for direction in DIRECTIONS:
        if direction == "language":
            own, other, cross, support = blocks.ll, blocks.vv, blocks.lv, blocks.ll_support
        elif blocks.vl is None:
            continue
        else:
            own, other, cross, support = blocks.vv, blocks.ll, blocks.vl, blocks.vv_support
        maps = [
            (block[0] if blocks.per_head else block).detach().double().cpu() for block in (own, other, cross)
        ]
        seen = torch.ones(own.shape[-2:], dtype=torch.bool) if support is None else support[0].cpu()
        found[direction] = (*maps, seen.expand_as(maps[0]))
    return found


def distances(own: Tensor, other: Tensor, cross: Tensor, support: Tensor) -> dict[str, Tensor]:
    """Distances of a pair's maps in one direction: name -> [head], nats, mean over rows (symmetric KL).

    Args:
        own: [head, own, own].
        other: [head, other, other].
        cross: [head, own, other].
        support: bool [head, own, own], True where a word may see a word.

    Returns:
        "soft", "hard", "flat": own attention from each; "soft_flat", "hard_flat": the targets from uniform. Rows
        divided by their sums, as in `cacr.explore.relations`. "cacr_release", "cacr_rows", "iais": the losses as
        they are trained. "cosine_soft", "cosine_hard", "cosine_release", "cosine_iais": of the gradients of own ↔ soft,
        own ↔ hard, the loss CACR (release) and the loss IAIS with that of own ↔ uniform; nan where one of them is 0.
    """
    mask, given = torch.ones(own.shape[:2], dtype=torch.bool), (own, other, cross)
    projected, found = project(other, cross), _looked_up(other, cross)
    again, target = _softmax(own, support), _softmax(projected, support)  # the release's second softmax
    release = through_softmax(again, gradient_at(again, target, support), support)
    own, soft, hard = (_rows(one, support) for one in (own, projected, found))
    flat = support / support.sum(-1, keepdim=True)
    mean = lambda p, q: divergence(p, q, support).mean(-1)
    down = gradient(own, flat, support)
    return {
        "soft": mean(own, soft),
        "hard": mean(own, hard),
        "flat": mean(own, flat),
        "soft_flat": mean(soft, flat),
        "hard_flat": mean(hard, flat),
        "cacr_release": congruence(*given, mask, support, READINGS["release"]),
        "cacr_rows": congruence(*given, mask, support, Reading(normalize="rows")),
        "iais": singular(*given, mask, support),
        "cosine_soft": cosine(gradient(own, soft, support), down),
        "cosine_hard": cosine(gradient(own, hard, support), down),
        "cosine_iais": cosine(gradient(own, _softmax(found, support), support), down),
        "cosine_release": cosine(through_softmax(own, release, support), down),
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


def row_sums(own: Tensor, other: Tensor, cross: Tensor, support: Tensor) -> Mapping[str, Tensor]:
    """Sums over the rows of a pair for `SUMS`: "soft" and "hard" -> [head, 6]."""
    own = _rows(own, support)
    flat = support / support.sum(-1, keepdim=True)
    x = divergence(own, flat, support)
    targets = {"soft": project(other, cross), "hard": _looked_up(other, cross)}
    found = {}
    for name, target in targets.items():
        y = divergence(own, _rows(target, support), support)
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


def _looked_up(other: Tensor, cross: Tensor) -> Tensor:
    """S_VV[i*, j*] by head."""
    best = cross.argmax(-1)
    rows = other.gather(1, best[:, :, None].expand(*best.shape, other.shape[-1]))
    return rows.gather(2, best[:, None, :].expand(len(best), best.shape[1], best.shape[1]))


def _rows(x: Tensor, support: Tensor) -> Tensor:
    x = x.masked_fill(~support, 0.0)
    total = x.sum(-1, keepdim=True)
    return x / total.masked_fill(total == 0, 1.0)


def _softmax(x: Tensor, support: Tensor) -> Tensor:
    return x.masked_fill(~support, torch.finfo(x.dtype).min).softmax(-1)
