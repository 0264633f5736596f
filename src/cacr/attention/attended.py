"""The attention of one caption and one picture, and what its rows and columns stand for: what people look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor

from cacr.attention.blocks import AttentionBlocks

BLANK = "␣"
"""What a token is shown as that is a blank and nothing else."""


@dataclass(frozen=True, eq=False)
class Attended:
    """Attention between one caption and one picture in some layers of a model.

    Args:
        model: The model's name, for titles.
        caption: The caption as it was given.
        tokens: What the text axis stands for, as people read it: "grass", "##y"; signs of a tokenizer for a blank
            are left out, and a token that is nothing but a blank is "␣".
        blocks: Layer, from 0 -> blocks of a batch of one in the space "probabilities", without padding.
        image: The picture as the model saw it (resized, cut), or as it is for regions; None where there are no pixels.
        boxes01: [region, 4], xyxy as fractions of ``image``: what the region axis stands for; None where the
            positions of the image side have no place in the picture (queries of a Q-Former).
        grid: (rows, columns) where the regions are the patches of a grid in reading order, one of each; else None.
        spans: For each token its first character in ``caption`` and the one after its last; None where unknown.
        region_names: What a detector calls each region, where it says so.
        match: The model's match of the pair, where it has one.

    Raises:
        ValueError: Blocks that do not fit the tokens, boxes, grid or spans, or attention that is not finite.
    """

    model: str
    caption: str
    tokens: Sequence[str]
    blocks: Mapping[int, AttentionBlocks]
    image: Image.Image | None = None
    boxes01: Tensor | None = None
    grid: tuple[int, int] | None = None
    spans: Sequence[tuple[int, int]] | None = None
    region_names: Sequence[str] | None = None
    match: float | None = None

    def __post_init__(self) -> None:
        if not self.blocks:
            raise ValueError(f"no layer of {self.model} was watched; name one or more")
        for layer, blocks in self.blocks.items():
            shape = tuple(blocks.lv.shape[-2:])
            if len(blocks) != 1 or not (blocks.text_mask.all() and blocks.region_mask.all()):
                raise ValueError(
                    f"layer {layer} has {len(blocks)} examples or padding; expected one without padding"
                )
            if blocks.space != "probabilities":
                raise ValueError(f'layer {layer} holds {blocks.space}; make them with space="probabilities"')
            if shape[0] != len(self.tokens):
                raise ValueError(
                    f"layer {layer} has {shape[0]} words and there are {len(self.tokens)} tokens"
                )
            parts = (blocks.ll, blocks.lv, blocks.vl, blocks.vv)
            if not all(torch.isfinite(part).all() for part in parts if part is not None):
                raise ValueError(
                    f"the attention of layer {layer} of {self.model} is not finite; a model in half precision? "
                    "Open it in float32"
                )
        regions = self.regions
        for name, given in (
            ("boxes01", None if self.boxes01 is None else len(self.boxes01)),
            ("grid", None if self.grid is None else self.grid[0] * self.grid[1]),
            ("region_names", None if self.region_names is None else len(self.region_names)),
        ):
            if given not in (None, regions):
                raise ValueError(f"{name} speaks of {given} regions; the attention has {regions}")
        if self.spans is not None and len(self.spans) != len(self.tokens):
            raise ValueError(f"{len(self.spans)} spans for {len(self.tokens)} tokens; expected one each")

    @property
    def regions(self) -> int:
        """How many regions (boxes, patches or queries) the attention has."""
        return next(iter(self.blocks.values())).lv.shape[-1]

    @property
    def layers(self) -> list[int]:
        """The layers that are there, in order."""
        return sorted(self.blocks)

    def at(self, layer: int = -1, head: int | None = None) -> AttentionBlocks:
        """Blocks [1, query, key] of a layer: the mean over heads, or one head.

        Args:
            layer: A number that is in ``blocks``; below 0: from the end of the layers that are there.
            head: From 0; None for the mean.

        Raises:
            ValueError: No such layer or head.
        """
        known = self.layers
        number = known[layer] if layer < 0 and -layer <= len(known) else layer
        if number not in self.blocks:
            raise ValueError(f"layer {layer} was not watched; expected one of {known}")
        blocks = self.blocks[number]
        if not blocks.per_head:
            if head is not None:
                raise ValueError(f"head {head} of layer {number}: the heads were not kept apart")
            return blocks
        heads = blocks.ll.shape[1]
        if head is not None and not 0 <= head < heads:
            raise ValueError(f"head {head} of layer {number}; expected 0 to {heads - 1}")

        def one(block: Tensor) -> Tensor:
            return block.mean(1) if head is None else block[:, head]

        return replace(
            blocks,
            ll=one(blocks.ll),
            lv=one(blocks.lv),
            vl=None if blocks.vl is None else one(blocks.vl),
            vv=one(blocks.vv),
        )
