"""All measures of one pair: a number per layer for the mean over heads and for each head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cacr.attention import AttentionBlocks
from cacr.attention.attended import Attended
from cacr.explore.analysis.alignment import alignment, argmax_entropy
from cacr.explore.analysis.distances import SUMS, both_ways, distances, row_sums
from cacr.explore.relations import DIRECTIONS, Maps, related, sides

Values = NDArray[np.float64]
AT_ONCE = 2**22
"""Numbers of a kind of map that are worked on at a time: many small layers, or one of many patches."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of one pair.

    Args:
        pair: Its name; the same for every model.
        example: The example that it belongs to: the unit of scores.
        cluster: What it shares with others, such as its picture.
        caption: The sentence.
        layers: Numbers of the layers, from 0.
        values: Measure -> [layer, 1 + head]: first the mean over heads; nan where undefined.
        sums: "soft_language", … -> [layer, 1 + head, 6]: sums over rows, see `SUMS`.
        words: Tokens of the caption.
        regions: Regions of the picture.
        named: Tokens with a true region; None where nothing is known of the truth.
    """

    pair: str
    example: str
    cluster: str
    caption: str
    layers: tuple[int, ...]
    values: Mapping[str, Values]
    sums: Mapping[str, Values]
    words: int
    regions: int
    named: int | None

    def record(self, model: str) -> dict[str, Any]:
        """A line of records.jsonl: plain numbers, six digits; None where undefined."""
        return {
            "model": model,
            "pair": self.pair,
            "example": self.example,
            "cluster": self.cluster,
            "caption": self.caption,
            "layers": list(self.layers),
            "words": self.words,
            "regions": self.regions,
            "named": self.named,
            "values": {name: [[plain(x) for x in row] for row in its] for name, its in self.values.items()},
        }


def plain(value: float) -> float | None:
    """A number for JSON: six digits; None for nan and infinite."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


def measure(
    attended: Attended, truth: Tensor | None, pair: str, example: str = "", cluster: str = ""
) -> Measured:
    """Measure a pair in all layers that were watched.

    Args:
        attended: Its attention; of each head where the blocks keep them apart.
        truth: bool [token, region], see `cacr.data.grounding.truth`; None: no accuracies.
        pair: Its name.
        example: Its example's name; the pair's if not given.
        cluster: What it shares with other pairs; the example if not given.

    Raises:
        ValueError: A truth of another shape, or layers with different heads.
    """
    shape = (len(attended.tokens), attended.regions)
    if truth is not None and (tuple(truth.shape) != shape or truth.dtype != torch.bool):
        raise ValueError(
            f"the truth of {pair} is {truth.dtype} of shape {tuple(truth.shape)}; expected bool of {shape}: one flag a "
            "token and region"
        )
    layers = tuple(attended.layers)
    heads = {one.ll.shape[1] if one.per_head else 0 for one in attended.blocks.values()}
    if len(heads) > 1:
        raise ValueError(f"the layers have {sorted(heads)} heads; watch layers of one kind: --layers")
    maps = 1 + heads.pop()
    step = max(1, AT_ONCE // (maps * max(shape) ** 2))
    parts = [_layers(attended, layers[i : i + step], truth, pair) for i in range(0, len(layers), step)]
    whole = lambda which: {
        name: torch.cat([part[which][name] for part in parts]).unflatten(0, (len(layers), maps)).numpy()
        for name in parts[0][which]
    }
    return Measured(
        pair,
        example or pair,
        cluster or example or pair,
        attended.caption,
        layers,
        whole(0),
        whole(1),
        *shape,
        None if truth is None else int(truth.any(-1).sum()),
    )


def _layers(
    attended: Attended, layers: Sequence[int], truth: Tensor | None, pair: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Values [layer · (1 + head)] and sums [layer · (1 + head), 6]: of a layer the mean of heads, then each head."""
    by_layer = [_with_mean(attended.blocks[layer], attended.at(layer)) for layer in layers]
    if len({tuple(ways) for ways in by_layer}) > 1:
        raise ValueError("regions attend to words in some layers alone; watch layers of one kind: --layers")
    ways = {way: _joined([own[way] for own in by_layer]) for way in by_layer[0]}
    values: dict[str, Tensor] = {}
    for cross, way in (("lv", "language"), ("vl", "vision")):
        if way in ways:
            known = None if truth is None else (truth if cross == "lv" else truth.T)
            values |= _cross(ways[way][2], known, cross)
    sums: dict[str, Tensor] = {}
    for way, maps in ways.items():
        carried = related(*maps)
        its = distances(maps[0], carried)
        values |= {f"{name}_{way}": value for name, value in its.items()}
        for less, (one, other) in LESS.items():
            values[f"{less}_{way}"] = its[one] - its[other]
        sums |= {f"{name}_{way}": value for name, value in row_sums(carried).items()}
    if len(ways) == 2:
        values |= both_ways(ways["language"], ways["vision"])
    return values, sums


LESS = {
    "soft_less_hard": ("soft", "hard"),
    "soft_less_flat": ("soft", "flat"),
    "hard_less_flat": ("hard", "flat"),
    "soft_flat_less_hard_flat": ("soft_flat", "hard_flat"),
}


def _cross(cross: Tensor, truth: Tensor | None, name: str) -> dict[str, Tensor]:
    values = {f"entropy_{name}": argmax_entropy(cross)}
    if truth is None:
        return values
    its = alignment(cross, truth)
    values |= {f"{kind}_{name}": value for kind, value in its.items()}
    for kind, others in (("argmax", ("chance", "favorite", "constant")), ("soft", ("chance", "favorite"))):
        for other in others:
            base = "favorite_soft" if (kind, other) == ("soft", "favorite") else other
            values[f"{kind}_{name}_over_{other}"] = its[kind] - its[base]
    return values


def _with_mean(blocks: AttentionBlocks, mean: AttentionBlocks) -> dict[str, Maps]:
    """Direction -> maps of the mean over heads, then of each head; "vision" only where regions attend to words."""
    found = {}
    for way in DIRECTIONS:
        if way == "vision" and blocks.vl is None:
            continue
        average = sides(mean, way)
        found[way] = _joined([average, sides(blocks, way)]) if blocks.per_head else average
    return found


def _joined(parts: Sequence[Maps]) -> Maps:
    own, other, cross, support = (torch.cat(some) for some in zip(*parts, strict=True))
    return own, other, cross, support


__all__ = ["SUMS", "Measured", "measure", "plain"]
