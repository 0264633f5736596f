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
from cacr.attention.cut import capped, grouped_scores
from cacr.attention.factored import FactoredAttention
from cacr.attention.precision import product
from cacr.losses.tiles import Rooms, Unit, on_cpu, pieces, rows_on_device, together, zeros_for

ROWS, COLUMNS = 384, 384
"""Of a tile on a CPU, at most: with its gradient it fits a 2 MiB cache, and keys are read rarely."""


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
    by_group = value.unflatten(1, (-1, group)).transpose(2, 3).flatten(3)  # heads of a group become columns
    inner = product(attention.key.mT, by_group).unflatten(3, (group, -1)).transpose(2, 3).flatten(1, 2)
    carried = product(attention.query, inner) * real
    return carried if attention.per_head else carried[:, 0]


def rows_of(attention: FactoredAttention, index: Tensor) -> Tensor:
    """Some rows of S_VV, [batch, (head,) row, region], by index [batch, (head,) row]; 0 at padding."""
    with full_precision(attention.query.device):
        heads, width = attention.query.shape[1], attention.query.shape[-1]
        index = index if attention.per_head else index[:, None].expand(-1, heads, -1)
        query = attention.query.gather(2, index[..., None].expand(*index.shape, width))
        scores = capped(grouped_scores(query, attention.key), attention.softcap)
        hidden = torch.ones_like(scores, dtype=torch.bool)
        for example, length in enumerate(attention.lengths):
            seen = attention.seen(example, index[example], slice(0, length))
            hidden[example, ..., :length] = False if seen is None else ~seen
        if attention.space == "probabilities":
            scores = scores.masked_fill(hidden, torch.finfo(scores.dtype).min).softmax(-1)
        scores = scores.masked_fill(hidden, 0.0)
        return scores if attention.per_head else scores.mean(1)


class _Carry(torch.autograd.Function):
    """value [batch, 1 or head, region, any] -> the same shape; one head means the mean over those of S_VV."""

    @staticmethod
    def forward(ctx: Any, attention: FactoredAttention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        by_head = value.new_zeros(*query.shape[:3], value.shape[-1])
        log_total = query.new_zeros(*query.shape[:3], 1)
        room = Rooms(query)
        for examples, some in together(attention):
            for groups in some:
                unit = Unit(attention, query, key, examples, groups)
                values, carried, totals = (
                    _values(unit, value),
                    unit.by_group(by_head),
                    unit.by_group(log_total),
                )
                for rows in _rows(attention, examples):
                    made, total = _row_of_tiles(unit, rows, values, room)
                    carried[:, :, rows] = unit.unfold(made)
                    if total is not None:
                        totals[:, :, rows] = unit.unfold(total)
        ctx.attention, ctx.shared = attention.without_values(), value.shape[1] == 1
        ctx.save_for_backward(query, key, value, by_head, log_total)
        return by_head.mean(1, keepdim=True) if ctx.shared else by_head.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, by_head, log_total = ctx.saved_tensors
        attention, shared, room = ctx.attention, ctx.shared, Rooms(query)
        d_query, d_key, d_value = zeros_for((query, key, value), ctx.needs_input_grad[1:])
        upstream = (upstream / query.shape[1]).expand_as(by_head) if shared else upstream
        with full_precision(query.device):
            inner = (by_head * upstream).sum(-1, keepdim=True)  # of each row: Σ attention · its gradient
            for examples, some in together(attention):
                for groups in some:
                    unit = Unit(attention, query, key, examples, groups, d_query, d_key)
                    values = _values(unit, value)
                    parts = [unit.by_group(one) for one in (log_total, inner, upstream)]
                    for rows in _rows(attention, examples):
                        total, center, came = (unit.fold(one[:, :, rows]) for one in parts)
                        _row_back(unit, rows, values, d_value, total, center, came, room)
        return None, d_query, d_key, d_value


def _row_of_tiles(unit: Unit, rows: slice, values: Tensor, room: Rooms) -> tuple[Tensor, Tensor | None]:
    """Attention · value of some rows, tile by tile, and the logarithm of the softmax's denominator."""
    query, probable = unit.queries(rows), unit.attention.space == "probabilities"
    largest: Any = None
    total: Any = None
    carried: Any = None
    for columns in _columns(unit.attention, unit.examples, rows):
        scores, _ = unit.scores(query, columns, room("tile", *query.shape[:-1], columns.stop - columns.start))
        shrunk = None
        if probable:
            unit.hide(scores, rows, columns, torch.finfo(scores.dtype).min)
            found = scores.amax(-1, keepdim=True)
            if largest is not None:
                found = torch.maximum(found, largest)
                shrunk = largest.sub_(found).exp_()
            largest = found
            scores.sub_(found).exp_()
        unit.hide(scores, rows, columns, 0.0)
        part = _times(unit, scores, values[..., columns, :])
        if probable:
            more = scores.sum(-1, keepdim=True)
            total = more if shrunk is None else total.mul_(shrunk).add_(more)
        if shrunk is not None:
            carried.mul_(shrunk)
        carried = part if carried is None else carried.add_(part)
    if not probable:
        return carried, None
    total = total.clamp_min(torch.finfo(total.dtype).tiny)  # rows that see nothing
    return carried.div_(total), largest + total.log()


def _row_back(
    unit: Unit,
    rows: slice,
    values: Tensor,
    d_value: Tensor | None,
    total: Tensor,
    inner: Tensor,
    upstream: Tensor,
    room: Rooms,
) -> None:
    """Add to the gradients what some rows give."""
    query, probable = unit.queries(rows), unit.attention.space == "probabilities"
    for columns in _columns(unit.attention, unit.examples, rows):
        shape = (*query.shape[:-1], columns.stop - columns.start)
        attended, slope = unit.scores(query, columns, room("tile", *shape))
        wanted = _times(unit, upstream, values[..., columns, :].mT, room("wanted", *shape))
        if probable:
            attended.sub_(total).exp_()
        unit.hide(attended, rows, columns, 0.0)
        if d_value is not None:
            gained = unit.unfold(attended).mT @ unit.unfold(upstream)
            there = d_value[unit.examples, unit.heads if values.ndim == 4 else slice(None), columns]
            gained = gained.view(len(there), -1, *gained.shape[2:])
            there += gained if values.ndim == 4 else gained.sum(1, keepdim=True)
        if probable:
            wanted = attended.mul_(wanted.sub_(inner))
        else:
            unit.hide(wanted, rows, columns, 0.0)
        unit.back(wanted if slope is None else wanted.mul_(slope), query, rows, columns)


def _values(unit: Unit, value: Tensor) -> Tensor:
    """What the heads of a unit are multiplied with: each its own, or one for all heads of an example.

    [example · group, head of it, region, any]; or [(example · group,) region, any].
    """
    if value.shape[1] > 1:
        return unit.by_group(value)
    shared = value[unit.examples]
    groups = unit.count // len(shared)
    return shared[0, 0] if unit.count == 1 else shared.expand(-1, groups, -1, -1).flatten(0, 1)


def _times(unit: Unit, tile: Tensor, values: Tensor, out: Tensor | None = None) -> Tensor:
    """A tile's rows times values, or times their transpose."""
    if values.ndim < 4:
        return torch.matmul(tile, values, out=out)
    return (unit.unfold(tile) @ values).view(*tile.shape[:-1], values.shape[-1])


def _rows(attention: FactoredAttention, examples: slice) -> Iterator[slice]:
    length, group = attention.lengths[examples.start], attention.query.shape[1] // attention.key.shape[1]
    return pieces(length, max(1, ROWS // group) if on_cpu(attention) else rows_on_device(attention, examples))


def _columns(attention: FactoredAttention, examples: slice, rows: slice) -> Iterator[slice]:
    """The columns of a row of tiles."""
    columns = attention.columns(examples.start, rows)
    return pieces(columns, COLUMNS if on_cpu(attention) else columns)
