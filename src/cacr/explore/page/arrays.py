"""The numbers of the page: arrays of a pair in a layer, as bytes of half precision.

A part holds, for one layer and one head (or the mean), these arrays one after the other (`fields`):

    lv, vl                                              attention of words to regions, of regions to words
    own, soft, hard, soft_divergence, hard_divergence   relation maps among words (`cacr.explore.relations`)
    vision_own, vision_soft, ...                        the same among regions, where that direction is shown

Divergences are computed in float64 and in nats; cells that a causal model may not see are NaN. Half precision keeps
three digits from 0.0001 on.
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


def shows_vision(attended: Attended) -> bool:
    """Whether the vision direction of a pair is stored."""
    return attended.regions <= MOST_REGIONS and next(iter(attended.blocks.values())).vl is not None


def fields(attended: Attended) -> list[tuple[str, int, int]]:
    """(name, rows, columns) of the arrays of a part, in order."""
    words, regions = len(attended.tokens), attended.regions
    shapes = [("lv", words, regions)]
    if next(iter(attended.blocks.values())).vl is not None:
        shapes.append(("vl", regions, words))
    sides = [("", words)] + ([("vision_", regions)] if shows_vision(attended) else [])
    for prefix, size in sides:
        shapes += [(prefix + name, size, size) for name in MAPS]
        shapes += [(f"{prefix}{name}_divergence", size, 1) for name in ("soft", "hard")]
    return shapes


def part(attended: Attended, layer: int, head: int | None) -> np.ndarray:
    """The arrays of a layer and a head (None: the mean), joined, in half precision."""
    blocks = attended.at(layer, head)
    arrays = [blocks.lv[0]] + ([] if blocks.vl is None else [blocks.vl[0]])
    arrays += _maps(relations(blocks, "language"))
    if shows_vision(attended):
        arrays += _maps(relations(blocks, "vision"))
    flat = [array.detach().double().cpu().numpy().ravel() for array in arrays]
    return np.concatenate(flat).astype("<f2")


def packed(parts: Iterable[np.ndarray]) -> bytes:
    """Half-precision numbers as deflated bytes: first all high bytes, then all low ones, which deflates better."""
    joined = np.concatenate(list(parts)).view(np.uint8).reshape(-1, 2)
    return zlib.compress(joined[:, ::-1].T.tobytes(), 6)


def text(data: bytes) -> str:
    """Bytes as base64, to stand in a page."""
    return base64.b64encode(data).decode("ascii")


def _maps(maps: Relations) -> list[Tensor]:
    seen = [getattr(maps, name).masked_fill(~maps.support, float("nan")) for name in MAPS]
    return [*seen, maps.soft_divergence, maps.hard_divergence]
