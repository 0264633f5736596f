"""Measure, fix and see relation alignment in vision-language models. Importing this imports no torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cacr.attention import AttentionBlocks
    from cacr.losses import (
        cacr_loss,
        cacr_loss_from_query_key,
        flatness_loss,
        iais_loss,
        soft_equivalence_loss,
    )
    from cacr.regularizer.attach import attach

__version__ = "0.1.0"

_HOMES = {
    "AttentionBlocks": "cacr.attention",
    "attach": "cacr.regularizer",
    "cacr_loss": "cacr.losses",
    "cacr_loss_from_query_key": "cacr.losses",
    "flatness_loss": "cacr.losses",
    "iais_loss": "cacr.losses",
    "soft_equivalence_loss": "cacr.losses",
}
__all__ = [
    "AttentionBlocks",
    "attach",
    "cacr_loss",
    "cacr_loss_from_query_key",
    "flatness_loss",
    "iais_loss",
    "soft_equivalence_loss",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cacr' has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
