"""The back end for modules that ask transformers' AttentionInterface for their attention function.

The tapped module alone gets a copy of its config, whose implementation reads "cacr|sdpa" where the model's reads
"sdpa"; under that name we register a function that looks and passes on. The model's own config is untouched: masks
are built as before, other layers keep their kernel, and set_attn_implementation after attaching still works, since
the copy asks the original every time.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from cacr.attention.capture.allowed import allowed_by, window
from cacr.attention.capture.tap import Tap, source_of
from cacr.attention.cut import Captured

PREFIX = "cacr|"
MARK = "_cacr_tap"


def fits(module: nn.Module) -> bool:
    """Whether the module's class dispatches through the interface, by its own config."""
    return hasattr(module, "config") and "ALL_ATTENTION_FUNCTIONS" in source_of(module)


class InterfaceTap(Tap):
    """See the module's docstring."""

    backend = "interface"

    def __init__(self, module: nn.Module, path: str):
        super().__init__(module, path)
        if not fits(module):
            raise ValueError(
                f"{path} ({type(module).__name__}) does not ask transformers' AttentionInterface for its attention "
                'function; use backend="auto"'
            )
        self.config: Any = module.config
        config: Any = copy.copy(self.config)
        config.__dict__["_cacr_original"] = self.config
        kind: Any = type(self.config)
        config.__class__ = _renaming(kind)
        module.config = config
        _ = config._attn_implementation  # registers its function: while tracing it would cost a recompilation
        setattr(module, MARK, self)

    def remove(self) -> None:
        """Leave the module as it was."""
        self.module.config = self.config
        delattr(self.module, MARK)


@cache
def _renaming(kind: Any) -> Any:
    """The config class ``kind`` whose implementation is the original's with our prefix."""

    def read(self: Any) -> str:
        return _looking_name(str(self.__dict__["_cacr_original"]._attn_implementation))

    def write(self: Any, value: str) -> None:
        self.__dict__["_cacr_original"]._attn_implementation = value

    return type(kind.__name__, (kind,), {"_attn_implementation": property(read, write)})


def _looking_name(name: str) -> str:
    """The name under which the function ``name`` looks first; registered when first asked for, whoever added it."""
    if PREFIX + name not in ALL_ATTENTION_FUNCTIONS:
        AttentionInterface.register(PREFIX + name, _looking(name))
    return PREFIX + name


def _looking(name: str) -> Callable[..., Any]:
    def attention(
        module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **kwargs: Any
    ) -> Any:
        tap = getattr(module, MARK, None)
        if tap is not None and tap.armed:
            tap.keep(_captured(module, query, key, attention_mask, name, kwargs))
        if name == "eager":
            function = sys.modules[type(module).__module__].eager_attention_forward
        else:
            function = ALL_ATTENTION_FUNCTIONS[name]
        return function(module, query, key, value, attention_mask, **kwargs)

    return attention


def _captured(
    module: nn.Module, query: Tensor, key: Tensor, mask: Any, name: str, kwargs: dict[str, Any]
) -> Captured:
    scale = kwargs.get("scaling")
    queries, keys = query.shape[2], key.shape[2]
    allowed = allowed_by(mask, query.shape[0], queries, keys)
    # Kernels that are given no full mask take causality from the module; eager attention never does.
    causal = kwargs.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else causal
    # a flash kernel gets None or the padding alone
    no_full_mask = mask is None or getattr(mask, "ndim", 0) == 2
    causal = bool(causal) and name != "eager" and queries > 1 and no_full_mask
    if no_full_mask and _is_packed(mask, kwargs):
        raise ValueError(
            "several examples are packed into one row (padding-free batches), so which words see which regions is "
            "known to the kernel alone. Train without packing, or pause the regularizer"
        )
    width = kwargs.get("sliding_window")
    if causal and width is not None:
        allowed = window(queries, keys, int(width), query.device)
    elif causal:
        allowed = None  # which tokens are real, the layout knows
    return Captured(
        query,
        key,
        query.shape[-1] ** -0.5 if scale is None else float(scale),
        softcap=kwargs.get("softcap"),
        bias=kwargs.get("position_bias"),
        allowed=allowed,
        causal=causal,
    )


def _is_packed(mask: Any, kwargs: dict[str, Any]) -> bool:
    """Whether a kernel without a full mask is told of several examples in a row."""
    if kwargs.get("cu_seq_lens_q") is not None:
        return True
    positions = kwargs.get("position_ids")
    if mask is not None or not isinstance(positions, Tensor) or positions.ndim != 2:
        return False
    if torch.compiler.is_compiling():
        return False
    return bool((positions.diff(dim=-1) < 0).any())
