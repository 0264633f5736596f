"""Blocks whose S_VV is left as the queries and keys that it is made of: memory linear in the regions.

Of the four blocks only S_VV grows with the square of the regions. Losses that read it tile by tile never need it whole
(`cacr.losses.carrying`, `cacr.losses.comparing`); whoever asks for `FactoredBlocks.whole` gets all four.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cacr.attention.blocks import AttentionBlocks, check_query_key
from cacr.attention.cut import BLOCKS, Captured, Cutter, cut, one_block
from cacr.attention.precision import full_precision
from cacr.attention.selecting import Where


@dataclass(frozen=True, eq=False)
class FactoredAttention:
    """Attention among regions, as queries and keys."""

    query: Tensor
    """[batch, head, region, width], scaled, float32 or better."""
    key: Tensor
    """[batch, group, region, width]; a group serves head / group heads in a row."""
    lengths: tuple[int, ...]
    """Real regions of each example; what follows is padding."""
    space: str = "probabilities"
    heads: str = "mean"
    softcap: float | None = None
    """Scores pass c · tanh(score / c) before their softmax."""
    causal: bool = False
    """A region sees those up to itself alone."""
    allowed: Tensor | None = None
    """[batch or 1, position, position], True where a position of the sequence may see another."""
    positions: Where = None
    """Where in the sequence the regions lie, for ``allowed``."""

    @property
    def per_head(self) -> bool:
        """Whether heads are kept apart."""
        return self.heads == "each"

    @property
    def limited(self) -> bool:
        """Whether some regions may not see some others."""
        return self.causal or self.allowed is not None

    def without_values(self) -> FactoredAttention:
        """The same, its queries and keys without regions: what a backward pass needs beside them."""
        query, key = (one.new_empty(*one.shape[:2], 0, 0) for one in (self.query, self.key))
        return replace(self, query=query, key=key)

    def seen(self, example: int, rows: slice | Tensor, columns: slice) -> Tensor | None:
        """[row, column], True where these regions of an example may see those; None: everywhere.

        Rows are a slice, or indices of any shape [..., row].
        """
        device = self.query.device
        if isinstance(rows, slice):
            rows = torch.arange(rows.start, rows.stop, device=device)
        if self.causal:
            return rows[..., None] >= torch.arange(columns.start, columns.stop, device=device)
        if self.allowed is None:
            return None
        allowed = self.allowed[example if len(self.allowed) > 1 else 0]
        if isinstance(self.positions, Tensor):
            where = self.positions[example]
            return allowed[where[rows]][..., where[columns]]
        first = 0 if self.positions is None else self.positions.start
        return allowed[first + rows][..., first + columns.start : first + columns.stop]

    def columns(self, example: int, rows: slice) -> int:
        """How many regions, from the first, these may see."""
        return rows.stop if self.causal else self.lengths[example]


@dataclass(frozen=True, eq=False)
class FactoredBlocks:
    """`AttentionBlocks` without S_VV, and what it would be made of.

    Attention losses of this package take them in place of blocks, with the same value and gradients. Fields are as in
    `AttentionBlocks`; ``regions`` stands for ``vv``.
    """

    ll: Tensor
    lv: Tensor | None
    """None only where it was not asked for."""
    vl: Tensor | None
    regions: FactoredAttention
    text_mask: Tensor
    region_mask: Tensor
    space: str
    ll_support: Tensor | None
    _cutter: Cutter
    _call: Captured

    def __len__(self) -> int:
        """The number of examples."""
        return self.text_mask.shape[0]

    @property
    def per_head(self) -> bool:
        """Whether the blocks keep an axis of heads."""
        return self.regions.per_head

    def whole(self) -> AttentionBlocks:
        """The same with S_VV, in memory that grows with the square of the regions."""
        # the gradient is the call's, whoever asks: not lost because it was asked for in no_grad
        with torch.inference_mode(False), torch.enable_grad(), full_precision(self.ll.device):
            made: dict[str, Any] = one_block(self._cutter, self._call, "vv", self.space, self.regions.heads)
        for name in ("ll", "lv", "vl", "text_mask", "region_mask", "space", "ll_support"):
            made[name] = getattr(self, name)
        return AttentionBlocks.trusted(**made)

    @classmethod
    def from_query_key(
        cls,
        query: Tensor,
        key: Tensor,
        text_mask: Tensor,
        region_mask: Tensor,
        scale: float | None = None,
        space: str = "probabilities",
        heads: str = "mean",
    ) -> FactoredBlocks:
        """As `AttentionBlocks.from_query_key`, with the same arguments and errors: for `flatness_loss` and the like."""
        call = check_query_key(query, key, text_mask, region_mask, scale, space, heads)
        return factored(dict.fromkeys(BLOCKS, call), text_mask, region_mask, space, heads)


def can_factor(call: Captured, space: str) -> bool:
    """Whether S_VV of this call can be left as queries and keys: no bias, no scores seen directly."""
    capped = call.softcap is not None and space == "scores"
    return call.logits is None and call.bias is None and not capped


def factored(
    captured: Mapping[str, Captured],
    text_mask: Tensor,
    region_mask: Tensor,
    space: str,
    heads: str,
    cutter: Cutter | None = None,
) -> FactoredBlocks:
    """`FactoredBlocks` from the calls that `cut` takes, with the same arguments; S_VV must pass `can_factor`."""
    cutter, call = cutter or Cutter(text_mask, region_mask), captured["vv"]
    others = {name: one for name, one in captured.items() if name != "vv"}
    fields: dict[str, Any] = {"ll_support": None} | cut(others, text_mask, region_mask, space, heads, cutter)
    with full_precision(text_mask.device):
        query, key = cutter.scaled_query(call, "v"), cutter.side(call, "key", "v")
    if space == "scores" and heads == "mean":
        query, key = _one_head(query, key)
    allowed = call.allowed
    if allowed is not None:
        allowed = (allowed[:, 0] if allowed.shape[1] == 1 else allowed.any(1)) if call.rows_differ else None
    regions = FactoredAttention(
        query,
        key,
        cutter.lengths("v"),
        space,
        heads,
        call.softcap,
        call.causal and call.allowed is None,
        allowed,
        cutter.positions("v"),
    )
    return FactoredBlocks(**fields, regions=regions, _cutter=cutter, _call=call)


def _one_head(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """The mean over heads of their scores as the scores of one wide head: [batch, 1, row, group · width] each."""
    batch, heads, rows, width = query.shape
    groups = key.shape[1]
    shared = query.view(batch, groups, heads // groups, rows, width).sum(2) / heads
    wide = (part.transpose(1, 2).reshape(batch, 1, part.shape[2], groups * width) for part in (shared, key))
    return next(wide), next(wide)
