"""Attention within and between text and regions, cut out of any model's self-attention."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cacr.attention.attended import Attended
from cacr.attention.blocks import AttentionBlocks
from cacr.attention.precision import full_precision

if TYPE_CHECKING:
    from cacr.attention.layouts import LAYOUTS, Layout, Place, Run, joint
    from cacr.attention.watching import AttentionWatch, watch

_HOMES = {
    "AttentionWatch": "cacr.attention.watching",
    "watch": "cacr.attention.watching",
    "LAYOUTS": "cacr.attention.layouts",
    "Layout": "cacr.attention.layouts",
    "Place": "cacr.attention.layouts",
    "Run": "cacr.attention.layouts",
    "joint": "cacr.attention.layouts",
}
__all__ = [
    "LAYOUTS",
    "Attended",
    "AttentionBlocks",
    "AttentionWatch",
    "Layout",
    "Place",
    "Run",
    "full_precision",
    "joint",
    "watch",
]


def __getattr__(name: str) -> Any:
    """What needs transformers is imported when asked for: losses on blocks need torch alone."""
    if name not in _HOMES:
        raise AttributeError(
            f"module 'cacr.attention' has no attribute {name!r}; it offers {', '.join(__all__)}"
        )
    return getattr(import_module(_HOMES[name]), name)
