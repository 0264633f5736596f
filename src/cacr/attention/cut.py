"""Cut the four blocks out of what attention modules computed: gather first, multiply then.

Rows and columns that count are gathered before the product, so that four small matrices are made instead of a large
one. While torch.compile traces, nothing is gathered: lengths that depend on the data would break the graph, and
masks give the same losses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cacr.attention.precision import at_least_float32, full_precision, product
from cacr.attention.selecting import Where, selected, take, take_both

BLOCKS = ("ll", "lv", "vl", "vv")


@dataclass(frozen=True, eq=False)
class Captured:
    """What one call of one attention module was computed from, with its gradient."""

    query: Tensor | None = None
    """[batch, head, query, width], after rotary positions."""
    key: Tensor | None = None
    """[batch, head or group of heads, key, width]."""
    scale: float = 1.0
    """Factor of query · key."""
    softcap: float | None = None
    """Scores pass c · tanh(score / c), where a model does so."""
    bias: Tensor | None = None
    """[batch or 1, head, query, key], added to scores: relative positions."""
    logits: Tensor | None = None
    """[batch, head, query, key] in place of all above, where only they can be seen."""
    allowed: Tensor | None = None
    """[batch or 1, head or 1, query or 1, key], True where a query may see a key; None: see ``causal``."""
    causal: bool = False
    """Whether, without ``allowed``, a query sees only keys up to its own position."""

    @property
    def seen(self) -> Tensor:
        """A tensor of the capture, for its device."""
        tensor = self.query if self.logits is None else self.logits
        assert tensor is not None
        return tensor

    @property
    def learns(self) -> bool:
        """Whether a gradient can flow back from it."""
        parts = (self.query, self.key, self.bias, self.logits)
        return any(part.requires_grad for part in parts if part is not None)

    @property
    def size(self) -> tuple[int, int, int]:
        """Batch, queries and keys."""
        if self.logits is not None:
            return self.logits.shape[0], self.logits.shape[2], self.logits.shape[3]
        assert self.query is not None and self.key is not None
        return self.query.shape[0], self.query.shape[2], self.key.shape[2]

    @property
    def rows_differ(self) -> bool:
        """Whether one query may see keys that another may not."""
        return self.causal if self.allowed is None else self.allowed.shape[2] != 1

    def rows(self, index: Any) -> Captured:
        """The same of some examples only."""
        batch = self.size[0]
        changes = {
            name: value[index]
            for name in ("query", "key", "bias", "logits", "allowed")
            if (value := getattr(self, name)) is not None and value.shape[0] == batch
        }
        return replace(self, **changes)

    def to(self, device: torch.device) -> Captured:
        """The same on a device: modules of one model may lie on several."""
        if self.seen.device == device:
            return self
        tensors = ("query", "key", "bias", "logits", "allowed")
        return replace(self, **{n: x.to(device) for n in tensors if (x := getattr(self, n)) is not None})


class Cutter:
    """Gathers the rows and columns of each modality, once each.

    Args:
        text_mask: [batch, positions], True where a position counts as text.
        region_mask: [batch, positions], True where a position counts as a region.
    """

    def __init__(self, text_mask: Tensor, region_mask: Tensor):
        self._sides = dict(zip("lv", selected(text_mask, region_mask), strict=True))
        joint = text_mask.shape == region_mask.shape
        self._joint = text_mask.shape[1] if joint else 0  # length of a sequence that may hold both
        self._gathered: dict[tuple[int, str, str], Tensor] = {}

    def real(self, side: str) -> Tensor:
        """[batch, row], True where a row of the cut holds a position that counts."""
        return self._sides[side].real

    def full(self, *sides: str) -> bool:
        """Whether it is known that these sides have no padding."""
        return all(self._sides[side].full for side in sides)

    def lengths(self, side: str) -> tuple[int, ...]:
        """How many positions count in each example; unknown while torch.compile traces."""
        return self._sides[side].lengths

    def positions(self, side: str) -> Where:
        """Where in the sequence the rows of the cut lie."""
        return self._sides[side].where

    def scores(self, captured: Captured, rows: str, columns: str) -> Tensor:
        """Scaled scores of a block, [batch, head, row, column], in float32 or better; padding is arbitrary."""
        if captured.logits is not None:
            part = take(captured.logits, self.positions(rows), 2)
            return at_least_float32(take(part, self.positions(columns), 3))
        query, key = self.side(captured, "query", rows), self.side(captured, "key", columns)
        if key.shape[2] < key.shape[3]:  # a block smaller than its queries: less to multiply
            scores = grouped_scores(query, key) * captured.scale
        else:
            scores = grouped_scores(self.scaled_query(captured, rows), key)
        scores = capped(scores, captured.softcap)
        if captured.bias is not None:
            bias = at_least_float32(captured.bias).expand(len(scores), -1, *captured.size[1:])
            scores = scores + take(take(bias, self.positions(rows), 2), self.positions(columns), 3)
        return scores

    def allowed(self, captured: Captured, rows: str, columns: str) -> Tensor | None:
        """Which pairs the model lets through, [batch, row, column]; None where the rows make no difference."""
        _, queries, keys = captured.size
        allowed = captured.allowed
        if allowed is None and captured.causal:
            device = captured.seen.device
            allowed = torch.ones(1, 1, queries, keys, dtype=torch.bool, device=device).tril()
        if allowed is None or not captured.rows_differ:
            return None
        batch = self.real("l").shape[0]
        allowed = allowed.any(1, keepdim=True).expand(batch, 1, queries, keys)
        return take(take(allowed, self.positions(rows), 2), self.positions(columns), 3)[:, 0]

    def side(self, captured: Captured, name: str, side: str) -> Tensor:
        """Rows of a call's "query" or "key": [batch, head or group, row, width], float32 or better."""
        place = (id(captured), name, side)
        if place not in self._gathered:
            whole = getattr(captured, name)
            if self._joint and whole.shape[2] == self._joint:
                parts = dict(zip("lv", take_both(whole, *map(self.positions, "lv")), strict=True))
            else:
                parts = {side: take(whole, self.positions(side), 2)}
            for one, part in parts.items():
                self._gathered[id(captured), name, one] = at_least_float32(part)
        return self._gathered[place]

    def scaled_query(self, captured: Captured, side: str) -> Tensor:
        """Rows of a call's queries times its scale."""
        place = (id(captured), "scaled query", side)
        if place not in self._gathered:
            self._gathered[place] = self.side(captured, "query", side) * captured.scale
        return self._gathered[place]


def cut(
    captured: Mapping[str, Captured],
    text_mask: Tensor,
    region_mask: Tensor,
    space: str,
    heads: str,
    cutter: Cutter | None = None,
) -> dict[str, Any]:
    """The fields of `AttentionBlocks`, from the attention call that each block comes from.

    Args:
        captured: Of "ll", "lv", "vv" and, if it exists, "vl": the call of which it is a part. Blocks that are not
            named are left out.
        text_mask: [batch, positions] of the sequence of text, which may be the joint sequence.
        region_mask: [batch, positions] of the sequence of regions, which may be the joint sequence.
        space: "probabilities" or "scores".
        heads: "mean" or "each".
        cutter: Of these masks, if there is one already.

    Raises:
        ValueError: The cross attention is incomplete: some words cannot see some regions, or the reverse.
    """
    cutter = cutter or Cutter(text_mask, region_mask)
    fields: dict[str, Any] = {"lv": None, "vl": None, "space": space}
    with full_precision(text_mask.device):
        for name, call in captured.items():
            fields |= one_block(cutter, call, name, space, heads)
    return fields | {"text_mask": cutter.real("l"), "region_mask": cutter.real("v")}


def one_block(cutter: Cutter, call: Captured, name: str, space: str, heads: str) -> dict[str, Tensor]:
    """One block by its name, and its support if it has one; see `cut`."""
    rows, columns = name[0], name[1]
    fields: dict[str, Tensor] = {}
    scores, allowed = cutter.scores(call, rows, columns), cutter.allowed(call, rows, columns)
    if allowed is None and cutter.full(rows, columns):
        block = scores.softmax(-1) if space == "probabilities" else scores
        return {name: block.mean(1) if heads == "mean" else block}
    pairs = cutter.real(rows)[:, :, None] & cutter.real(columns)[:, None, :]
    missing = None
    if allowed is not None and rows != columns:
        missing = pairs & ~allowed
        _refuse_incomplete(name, missing)
    elif allowed is not None:
        pairs = pairs & allowed
        fields[f"{name}_support"] = pairs
    block = scores
    if space == "probabilities":
        block = scores.masked_fill(~pairs[:, None], torch.finfo(scores.dtype).min).softmax(-1)
    if heads == "mean":
        block = block.mean(1)
    else:
        pairs = pairs[:, None]
    fields[name] = block.masked_fill(~pairs, 0.0)
    if torch.compiler.is_compiling() and missing is not None:  # refused where one can ask
        missing = missing if heads == "mean" else missing[:, None]
        fields[name] = fields[name].masked_fill(missing, torch.nan)
    return fields


def capped(scores: Tensor, softcap: float | None) -> Tensor:
    """Scores as a model with a softcap has them: c · tanh(score / c)."""
    return scores if softcap is None else softcap * (scores / softcap).tanh()


def grouped_scores(query: Tensor, key: Tensor) -> Tensor:
    """Query · keyᵀ, [batch, head, row, column]; a key shared by several heads is not repeated.

    Args:
        query: [batch, head, row, width].
        key: [batch, group, column, width]; each group serves head / group heads in a row.
    """
    batch, heads, rows, width = query.shape
    folded = query.reshape(batch * key.shape[1], -1, width)  # the heads of a group become rows
    return product(folded, key.flatten(0, 1).mT).view(batch, heads, rows, key.shape[2])


def _refuse_incomplete(name: str, missing: Tensor) -> None:
    if torch.compiler.is_compiling() or not missing.any():
        return
    example = int(missing.flatten(1).any(1).nonzero()[0])
    share = missing[example].float().mean().item()
    who, whom = {"lv": ("words", "regions"), "vl": ("regions", "words")}[name]
    raise ValueError(
        f"in example {example} the model's mask hides {share:.0%} of the {whom} from the {who}, so S_{name.upper()} is "
        "incomplete: a causal or sliding-window layer, or several pairs packed into one row. Choose another layer, or "
        "give text_mask/region_mask that count only positions which see each other"
    )
