"""The attention losses by the names that recipes and the command line use."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from cacr._messages import unknown
from cacr.losses.comparison import Blocks, Comparison, by_direction, compared
from cacr.losses.congruence import chosen_reading, comparison
from cacr.losses.flatness import FLATNESS
from cacr.losses.iais import DISTRIBUTED, SINGULAR


@dataclass(frozen=True)
class AttentionLoss:
    """A loss on blocks, and the kind of blocks that it is defined on."""

    comparison: Comparison
    """What it compares."""
    space: str = "probabilities"
    """What blocks must hold: "probabilities" or "scores"."""
    heads: str = "mean"
    """"mean", or "each": one matrix a head, whose losses are averaged."""
    special_tokens: bool = False
    """Whether [CLS] and [SEP] count as text."""

    def __call__(self, blocks: Blocks, direction: str = "both") -> Tensor:
        """The loss in nats; direction as in `cacr_loss`."""
        return compared(blocks, self.comparison, direction)

    def by_direction(self, blocks: Blocks, directions: Sequence[str]) -> dict[str, Tensor]:
        """The loss in nats by direction, "language" and "vision"; directions asked for together share work."""
        return dict(zip(directions, by_direction(blocks, self.comparison, directions), strict=True))


def _cacr(variant: str = "release", **choices: Any) -> Comparison:
    return comparison(chosen_reading(variant, choices))


LOSSES: dict[str, AttentionLoss | None] = {
    "none": None,
    "iais-singular": AttentionLoss(SINGULAR),
    "iais-distributed": AttentionLoss(DISTRIBUTED),
    "cacr": AttentionLoss(_cacr()),
    "cacr-rows": AttentionLoss(_cacr(normalize="rows")),
    "cacr-rows-heads": AttentionLoss(_cacr(normalize="rows"), heads="each"),
    "cacr-sharp": AttentionLoss(_cacr(normalize="rows", sharpen=4.0)),
    "cacr-paper": AttentionLoss(_cacr("paper"), space="scores", heads="each", special_tokens=True),
    "flat": AttentionLoss(FLATNESS),
    "flat-heads": AttentionLoss(FLATNESS, heads="each"),
}
"""Name -> loss. "none": no regularizer; "flat": the control that knows nothing of the other modality.

"-heads": each head by itself, where the others compare the mean over heads."""


def attention_loss(name: str) -> AttentionLoss | None:
    """The loss of that name, or None for "none".

    Raises:
        ValueError: An unknown name, with the closest known one.
    """
    if name not in LOSSES:
        raise ValueError(unknown("loss", name, LOSSES))
    return LOSSES[name]
