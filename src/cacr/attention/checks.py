"""What can be wrong with one watched forward pass, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from cacr.attention.cut import Captured
from cacr.attention.layouts import Layout


def check_lengths(
    layout: Layout, layer: int, captured: Mapping[str, Captured], masks: Mapping[str, Tensor]
) -> None:
    """Masks must have a flag for each position of the calls that they are for."""
    for block, call in captured.items():
        batch, queries, keys = call.size
        for side, positions in ((block[0], queries), (block[1], keys)):
            if masks[side].shape != (batch, positions):
                raise ValueError(
                    f"layout {layout.name!r} gave a mask of shape {tuple(masks[side].shape)} for the "
                    f"{'text' if side == 'l' else 'regions'}, and S_{block.upper()} of layer {layer} has "
                    f"{(batch, positions)} of them; text_mask and region_mask can override it"
                )


def refuse_unpaired(text: Tensor, regions: Tensor, layout: Layout) -> None:
    """Each example needs a word and a region."""
    if torch.compiler.is_compiling():
        return
    for mask, what in ((text, "word that counts"), (regions, "region")):
        empty = ~mask.any(1)
        if empty.any():
            after = " after its last image" if "vl" in layout.absent and what.startswith("word") else ""
            raise ValueError(
                f"no {what}{after} in example {int(empty.nonzero()[0])} of those selected. Attention congruence needs "
                'both; with select="paired" such examples are left out'
            )


def wrong_number(path: str, made: int, expected: int, backend: str) -> str:
    """A module was called more or less often than its layout says."""
    if made == 0:
        cure = (
            "the layer was not run in this forward pass, or its attention happens where the back end cannot look: try "
            'backend="trace", or another layer'
        )
    else:
        cure = "give a layout of your own that says which: Place(path, call=0, calls=2)"
    times = f"{made} times in one forward pass, expected {expected}"
    return f"{path} computed attention {times} (back end {backend}); {cure}"
