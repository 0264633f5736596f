"""The blocks of one forward pass: what its layout counts, of the examples that the caller counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cacr.attention.blocks import AttentionBlocks
from cacr.attention.checks import check_lengths, refuse_unpaired
from cacr.attention.choices import chosen_rows
from cacr.attention.cut import Captured, Cutter, cut
from cacr.attention.factored import FactoredBlocks, factored
from cacr.attention.layouts import Layout, Run

Factor = Callable[[Captured, Sequence[int], str], bool]
"""(call, regions of each example, space) -> whether its S_VV is left as queries and keys."""


def blocks_of(
    run: Run,
    layout: Layout,
    layer: int,
    select: Any,
    space: str,
    heads: str,
    factor: Factor | None = None,
) -> AttentionBlocks | FactoredBlocks | None:
    """Blocks of a layer from the calls in ``run``; None where no example is selected.

    Args:
        run: The forward pass, with the attention call of each block.
        layout: Says which positions count.
        layer: Its number, for messages.
        select: As for `AttentionWatch`.
        space: "probabilities" or "scores".
        heads: "mean" or "each".
        factor: Whether S_VV of a call is left as queries and keys; None: never.

    Raises:
        ValueError: Masks, selection or attention that do not fit each other.
    """
    device = run.captured["lv"].seen.device  # modules of one model may lie on several
    captured = _each_once(layout.adapt(run.captured, run), lambda call: call.to(device))
    text, regions = (mask.to(device) for mask in layout.masks(run))
    check_lengths(layout, layer, captured, {"l": text, "v": regions})
    rows = chosen_rows(select, run.inputs, text, regions)
    if rows is not None:
        text, regions = text[rows], regions[rows]
        if len(text) == 0:
            return None
        captured = _each_once(captured, lambda call: call.rows(rows))
    cutter = Cutter(text, regions)
    if 0 in cutter.lengths("l") + cutter.lengths("v"):
        refuse_unpaired(text, regions, layout)
    if factor is not None and factor(captured["vv"], cutter.lengths("v"), space):
        return factored(captured, text, regions, space, heads, cutter)
    return AttentionBlocks.trusted(**cut(captured, text, regions, space, heads, cutter))


def _each_once(
    captured: Mapping[str, Captured], change: Callable[[Captured], Captured]
) -> dict[str, Captured]:
    """Every call changed, once where several blocks come from it: they go on sharing what is gathered."""
    changed = {id(call): change(call) for call in captured.values()}
    return {block: changed[id(call)] for block, call in captured.items()}
