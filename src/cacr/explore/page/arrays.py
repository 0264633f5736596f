"""The numbers of the page: arrays of a pair in a layer, as units of 16 bits.

A part holds, for one layer and one head (or the mean), these arrays one after the other (`fields`):

    lv, vl                                              attention of words to regions, of regions to words
    lv_best, vl_best                                    argmax of each of their rows, before any rounding
    own, soft, hard, soft_divergence, hard_divergence   relation maps among words (`cacr.explore.relations`)
    vision_own, vision_soft, ...                        the same among regions, where that direction is shown

Attention and maps are in half precision ("half"), which keeps three digits from 0.0001 on; cells that a causal model
may not see are NaN. Two numbers that differ may be equal in it: an argmax is therefore stored as an index ("index").
Divergences, in nats, are subtracted from each other by the page and have single precision ("single", two units, the
low one first). All are computed in float64.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable

import numpy as np
from torch import Tensor

from cacr.attention.attended import Attended
from cacr.explore.relations import Relations, relations

MOST_REGIONS = 64
"""The vision direction is shown up to this number of regions."""
MAPS = ("own", "soft", "hard")
KINDS = {"half": "<f2", "single": "<f4", "index": "<u2"}
"""How numbers are stored."""


def shows_vision(attended: Attended) -> bool:
    """Whether the vision direction of a pair is stored."""
    return attended.regions <= MOST_REGIONS and next(iter(attended.blocks.values())).vl is not None


def fields(attended: Attended) -> list[tuple[str, int, int, str]]:
    """(name, rows, columns, kind) of the arrays of a part, in order."""
    words, regions = len(attended.tokens), attended.regions
    shapes = [("lv", words, regions, "half"), ("lv_best", words, 1, "index")]
    if next(iter(attended.blocks.values())).vl is not None:
        shapes += [("vl", regions, words, "half"), ("vl_best", regions, 1, "index")]
    sides = [("", words)] + ([("vision_", regions)] if shows_vision(attended) else [])
    for prefix, size in sides:
        shapes += [(prefix + name, size, size, "half") for name in MAPS]
        shapes += [(f"{prefix}{name}_divergence", size, 1, "single") for name in ("soft", "hard")]
    return shapes


def part(attended: Attended, layer: int, head: int | None) -> np.ndarray:
    """The arrays of a layer and a head (None: the mean), joined, as units of 16 bits."""
    blocks = attended.at(layer, head)
    arrays = []
    for cross in (blocks.lv, blocks.vl):
        if cross is not None:
            exact = cross[0].detach().double().cpu()
            arrays += [exact, exact.argmax(-1)]
    arrays += _maps(relations(blocks, "language"))
    if shows_vision(attended):
        arrays += _maps(relations(blocks, "vision"))
    units = [
        array.detach().cpu().numpy().ravel().astype(KINDS[kind]).view("<u2")
        for array, (_, _, _, kind) in zip(arrays, fields(attended), strict=True)
    ]
    return np.concatenate(units)


def packed(parts: Iterable[np.ndarray]) -> bytes:
    """Units of 16 bits as deflated bytes: first all high bytes, then all low ones, which deflates better."""
    joined = np.concatenate(list(parts)).view(np.uint8).reshape(-1, 2)
    return zlib.compress(joined[:, ::-1].T.tobytes(), 6)


def text(data: bytes) -> str:
    """Bytes as base64, to stand in a page."""
    return base64.b64encode(data).decode("ascii")


def _maps(maps: Relations) -> list[Tensor]:
    seen = [getattr(maps, name).masked_fill(~maps.support, float("nan")) for name in MAPS]
    return [*seen, maps.soft_divergence, maps.hard_divergence]
