"""The attention losses by the names that recipes and the command line use."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from cacr._messages import unknown
from cacr.attention import AttentionBlocks
from cacr.losses.congruence import cacr_loss
from cacr.losses.flatness import flatness_loss
from cacr.losses.iais import iais_loss


@dataclass(frozen=True)
class AttentionLoss:
    """A loss on blocks, and the kind of blocks that it is defined on."""

    function: Callable[..., Tensor]
    """(blocks, direction=...) -> scalar."""
    space: str = "probabilities"
    heads: str = "mean"
    special_tokens: bool = False
    """Whether [CLS] and [SEP] count as text."""

    def __call__(self, blocks: AttentionBlocks, direction: str = "both") -> Tensor:
        """The loss in nats; direction as in `cacr_loss`."""
        return self.function(blocks, direction=direction)


LOSSES: dict[str, AttentionLoss | None] = {
    "none": None,
    "iais-singular": AttentionLoss(partial(iais_loss, kind="singular")),
    "iais-distributed": AttentionLoss(partial(iais_loss, kind="distributed")),
    "cacr": AttentionLoss(cacr_loss),
    "cacr-rows": AttentionLoss(partial(cacr_loss, normalize="rows")),
    "cacr-rows-heads": AttentionLoss(partial(cacr_loss, normalize="rows"), heads="each"),
    "cacr-sharp": AttentionLoss(partial(cacr_loss, normalize="rows", sharpen=4.0)),
    "cacr-paper": AttentionLoss(
        partial(cacr_loss, variant="paper"), space="scores", heads="each", special_tokens=True
    ),
    "flat": AttentionLoss(flatness_loss),
    "flat-heads": AttentionLoss(flatness_loss, heads="each"),
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
