"""S_VV · value without S_VV: the language direction in memory linear in the regions.

Block by block with a running maximum, and made again going backward, as fused attention kernels do (Dao et al. 2022,
arXiv:2205.14135); but the value is the same for all heads where their mean is meant, and as narrow as there are words.
Arithmetic: four products of region x region x width per head (scores; going backward scores again, and the gradients
of queries and keys), and three of region x region x words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from cacr.attention import full_precision
from cacr.attention.cut import grouped_scores
from cacr.attention.factored import FactoredAttention
from cacr.losses.tiles import Rows, Tiles, pieces

SIDE = 384
"""Rows and columns of a tile on a CPU: with its gradient it fits a 2 MiB cache, and keys are read rarely."""


def carry(attention: FactoredAttention, value: Tensor) -> Tensor:
    """S_VV · value.

    Args:
        attention: S_VV as queries and keys.
        value: [batch, (head,) region, any]; rows of padding are not read.

    Returns:
        [batch, (head,) region, any], 0 at padding; once differentiable.
    """
    with full_precision(value.device):
        if attention.space == "scores" and not attention.limited:
            return _reordered(attention, value)
        wide = value if attention.per_head else value[:, None]
        carried = _Carry.apply(attention, attention.query, attention.key, wide)
        return carried if attention.per_head else carried[:, 0]


def _reordered(attention: FactoredAttention, value: Tensor) -> Tensor:
    """Scores are a product already: (query · keyᵀ) · value = query · (keyᵀ · value), linear in the regions."""
    real = torch.tensor(attention.lengths, device=value.device)[:, None]
    real = (torch.arange(value.shape[-2], device=value.device) < real)[:, None, :, None]
    value = (value if attention.per_head else value[:, None]) * real
    group = attention.query.shape[1] // attention.key.shape[1]
    inner = attention.key.mT[:, :, None] @ value.unflatten(1, (-1, group))
    carried = (attention.query @ inner.flatten(1, 2)) * real
    return carried if attention.per_head else carried[:, 0]


def rows_of(attention: FactoredAttention, index: Tensor) -> Tensor:
    """Some rows of S_VV, [batch, (head,) row, region], by index [batch, (head,) row]; 0 at padding."""
    with full_precision(attention.query.device):
        heads, width = attention.query.shape[1], attention.query.shape[-1]
        index = index if attention.per_head else index[:, None].expand(-1, heads, -1)
        query = attention.query.gather(2, index[..., None].expand(*index.shape, width))
        scores = grouped_scores(query, attention.key)
        if attention.softcap is not None:
            scores = attention.softcap * (scores / attention.softcap).tanh()
        hidden = torch.ones_like(scores, dtype=torch.bool)
        for example, length in enumerate(attention.lengths):
            real = slice(0, length)
            seen = attention.seen(example, real, real)
            hidden[example, ..., real] = False if seen is None else ~seen[index[example]]
        if attention.space == "probabilities":
            scores = scores.masked_fill(hidden, torch.finfo(scores.dtype).min).softmax(-1)
        scores = scores.masked_fill(hidden, 0.0)
        return scores if attention.per_head else scores.mean(1)


class _Carry(torch.autograd.Function):
    """value [batch, 1 or head, region, any] -> the same shape; one head means the mean over those of S_VV."""

    @staticmethod
    def forward(ctx: Any, attention: FactoredAttention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        tiles = Tiles(attention, query, key)
        by_head = value.new_zeros(*query.shape[:3], value.shape[-1])
        log_total = query.new_zeros(*query.shape[:3], 1)
        for rows in _rows(tiles):
            here = rows.examples, tiles.heads(rows.groups), rows.rows
            if attention.space == "probabilities":
                by_head[here], log_total[here] = _softmax_times(tiles, rows, value)
            else:
                by_head[here] = sum(
                    tiles.make(rows, columns, "tile").values @ _at(value, rows, columns, tiles)
                    for columns in _columns(tiles, rows)
                )
        ctx.attention, ctx.shared = attention, value.shape[1] == 1
        ctx.save_for_backward(query, key, value, by_head, log_total)
        return by_head.mean(1, keepdim=True) if ctx.shared else by_head.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, by_head, log_total = ctx.saved_tensors
        tiles, probable = Tiles(ctx.attention, query, key), ctx.attention.space == "probabilities"
        d_query, d_key, d_value = (
            torch.zeros_like(one) if yes else None
            for one, yes in zip((query, key, value), ctx.needs_input_grad[1:], strict=True)
        )
        if ctx.shared:
            upstream = upstream / query.shape[1]
        with full_precision(query.device):
            inner = (by_head * upstream).sum(-1, keepdim=True)  # of each row: Σ attention · its gradient
            for rows in _rows(tiles):
                here = rows.examples, tiles.heads(rows.groups), rows.rows
                total, center, came = log_total[here], inner[here], _at(upstream, rows, rows.rows, tiles)
                for columns in _columns(tiles, rows):
                    tile = tiles.make(rows, columns, "tile")
                    attended, wanted = tile.values, came @ _at(value, rows, columns, tiles).mT
                    if probable:
                        attended.sub_(total).exp_()
                        if tile.hidden is not None:
                            attended.masked_fill_(tile.hidden, 0.0)
                    if d_value is not None:
                        gained, into = attended.mT @ came, _at(d_value, rows, columns, tiles)
                        into += gained.sum(1, keepdim=True) if ctx.shared else gained
                    if probable:
                        alone = wanted.shape == attended.shape
                        d_scores = attended.mul_(wanted.sub_(center) if alone else wanted - center)
                    else:
                        assert tile.hidden is not None  # else `_reordered` is enough
                        d_scores = wanted.expand_as(attended).masked_fill(tile.hidden, 0.0)
                    tiles.back(tile, d_scores, d_query, d_key)
        return None, d_query, d_key, d_value


def _softmax_times(tiles: Tiles, rows: Rows, value: Tensor) -> tuple[Tensor, Tensor]:
    """softmax(scores) · value of some rows, tile by tile, and the logarithm of the softmax's denominator."""
    largest: Any = None
    total: Any = None
    carried: Any = None
    for columns in _columns(tiles, rows):
        tile = tiles.make(rows, columns, "tile")
        scores = tile.values
        if tile.hidden is not None:
            scores.masked_fill_(tile.hidden, torch.finfo(scores.dtype).min)
        found = scores.amax(-1, keepdim=True)
        if largest is not None:
            found = torch.maximum(found, largest)
        scores.sub_(found).exp_()
        if tile.hidden is not None:
            scores.masked_fill_(tile.hidden, 0.0)
        more, part = scores.sum(-1, keepdim=True), scores @ _at(value, rows, columns, tiles)
        if largest is None:
            total, carried = more, part
        else:
            shrunk = (largest - found).exp_()
            total, carried = total.mul_(shrunk).add_(more), carried.mul_(shrunk).add_(part)
        largest = found
    total = total.clamp_min(torch.finfo(total.dtype).tiny)  # rows that see nothing
    return carried / total, largest + total.log()


def _rows(tiles: Tiles) -> Iterator[Rows]:
    """Head by head, so that a head's keys stay in the cache."""
    for examples in tiles.examples():
        length = tiles.attention.lengths[examples.start]
        rows = max(1, SIDE // tiles.group) if tiles.on_cpu else tiles.rows_on_device(examples)
        for groups in tiles.groups(min(rows, length) * min(SIDE, length), SIDE * SIDE):
            for some in pieces(length, rows):
                yield tiles.rows(examples, groups, some)


def _columns(tiles: Tiles, rows: Rows) -> Iterator[slice]:
    """The columns of a row of tiles."""
    columns = tiles.attention.columns(rows.examples.start, rows.rows)
    return pieces(columns, SIDE if tiles.on_cpu else columns)


def _at(x: Tensor, rows: Rows, regions: slice, tiles: Tiles) -> Tensor:
    """[example, 1 or head, region, any]: what belongs to the heads of these rows."""
    heads = slice(0, 1) if x.shape[1] == 1 else tiles.heads(rows.groups)
    return x[rows.examples, heads, regions]
