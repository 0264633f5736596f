"""Model outputs that declare the field ``cacr_loss``.

Writing an undeclared key into a ModelOutput works until pytree takes the output apart and builds it anew, as
DistributedDataParallel does to find unused parameters: its constructor does not know the key.
"""

from __future__ import annotations

import sys
import typing
from dataclasses import field, fields, is_dataclass, make_dataclass
from types import UnionType
from typing import Any

from torch import Tensor, nn
from transformers.utils import ModelOutput

FIELD = "cacr_loss"
_MADE: dict[Any, Any] = {}
"""Output class -> the same with the field."""


def with_field(output: Any, loss: Tensor) -> Any:
    """The output with ``cacr_loss``: a ModelOutput or a dict carries it, anything else is returned as it is."""
    if isinstance(output, ModelOutput) and is_dataclass(output):
        # a plain dictionary: torch.compile can look a class up, but cannot make one
        kind = _MADE[type(output)] if type(output) in _MADE else declaring(type(output))
        names = [f.name for f in fields(output) if f.name != FIELD]
        made = kind(**{name: getattr(output, name) for name in names}, cacr_loss=loss)
        for name in output:  # what hooks of others have put there
            if name not in names and name != FIELD:
                made[name] = output[name]
        return made
    return {**output, FIELD: loss} if type(output) is dict else output


def declare_ahead(model: nn.Module) -> None:
    """Make the output classes that the model may return: not while torch.compile traces.

    Those that forward's annotation names, and all of the model's own file, since BLIP's annotation names another.
    """
    file = sys.modules.get(type(model).__module__)  # None for a class from a file that was loaded by its path
    for kind in list(vars(file).values()) if file is not None else []:
        if isinstance(kind, type) and issubclass(kind, ModelOutput) and is_dataclass(kind):
            declaring(kind)
    try:
        hint = typing.get_type_hints(type(model).forward).get("return")
    except Exception:  # annotations may name what only a type checker imports
        return
    for kind in typing.get_args(hint) if isinstance(hint, UnionType) or typing.get_args(hint) else (hint,):
        if isinstance(kind, type) and issubclass(kind, ModelOutput) and is_dataclass(kind):
            declaring(kind)


def declaring(kind: Any) -> Any:
    """The class ``kind`` with one field more, of the same name; making it registers it with pytree."""
    if kind in _MADE:
        return _MADE[kind]
    if FIELD in {f.name for f in fields(kind)}:
        return kind
    made = make_dataclass(kind.__name__, [(FIELD, Any, field(default=None))], bases=(kind,))
    made.__module__, made.__doc__ = kind.__module__, kind.__doc__
    _MADE[kind] = made
    return made
