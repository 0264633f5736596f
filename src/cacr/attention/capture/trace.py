"""The back end for any attention written in Python: its softmax or scaled_dot_product_attention call is seen.

A TorchFunctionMode is entered when the module's forward begins and left when it ends. It sees the arguments of every
torch function and passes them on. What happens inside compiled C++ or CUDA extensions cannot be seen.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from cacr.attention.capture.allowed import HIDDEN, allowed_by, bias_of
from cacr.attention.capture.tap import Tap
from cacr.attention.cut import Captured


class TraceTap(Tap):
    """Hooks that open and close the mode around the module's forward, while armed."""

    backend = "trace"

    def __init__(self, module: nn.Module, path: str):
        super().__init__(module, path)
        self._modes: list[_Seeing] = []
        self._handles = (
            module.register_forward_pre_hook(self._open, with_kwargs=True),
            module.register_forward_hook(self._close, with_kwargs=True, always_call=True),
        )

    def disarm(self) -> None:
        """Stop listening, also where a forward pass was interrupted in the middle."""
        while self._modes:
            self._modes.pop().__exit__(None, None, None)
        super().disarm()

    def remove(self) -> None:
        """Leave the module as it was."""
        self.disarm()
        for handle in self._handles:
            handle.remove()

    def _open(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        if self.armed:
            mode = _Seeing(self)
            mode.__enter__()
            self._modes.append(mode)

    def _close(self, module: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any) -> None:
        if self._modes:
            self._modes.pop().__exit__(None, None, None)


class _Seeing(TorchFunctionMode):
    def __init__(self, tap: TraceTap):
        super().__init__()
        self.tap = tap

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == "softmax":
            scores = args[0] if args else kwargs.get("input", kwargs.get("self"))
            if isinstance(scores, Tensor) and scores.ndim == 4:
                self.tap.keep(Captured(logits=scores, allowed=scores.detach() > HIDDEN))
        elif name == "scaled_dot_product_attention":
            self.tap.keep(_from_sdpa(*args, **kwargs))
        elif name == "multi_head_attention_forward":
            self.tap.keep(_from_multihead(*args, **kwargs))
        return func(*args, **kwargs)


def _from_sdpa(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Captured:
    allowed = allowed_by(attn_mask, query.shape[0], query.shape[2], key.shape[2])
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    return Captured(query, key, scale, bias=bias_of(attn_mask), allowed=allowed, causal=is_causal)


def _from_multihead(*args: Any, **kwargs: Any) -> Captured:
    """Queries and keys of torch.nn.MultiheadAttention, projected once more: its own are made where no mode sees."""
    given = inspect.signature(F.multi_head_attention_forward).bind(*args, **kwargs)
    given.apply_defaults()
    a = given.arguments
    width, heads = a["embed_dim_to_check"], a["num_heads"]
    if a["use_separate_proj_weight"]:
        weights = a["q_proj_weight"], a["k_proj_weight"]
    else:
        weights = a["in_proj_weight"][:width], a["in_proj_weight"][width : 2 * width]
    bias = a["in_proj_bias"]
    biases = (None, None) if bias is None else (bias[:width], bias[width : 2 * width])

    def project(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # [sequence, batch, width]
        x = x[:, None] if x.ndim == 2 else x
        return F.linear(x, weight, bias).unflatten(-1, (heads, -1)).permute(1, 2, 0, 3)

    query, key = project(a["query"], weights[0], biases[0]), project(a["key"], weights[1], biases[1])
    batch, queries, keys = query.shape[0], query.shape[2], key.shape[2]
    allowed = _torch_mask(a["attn_mask"], (batch, heads, queries, keys))
    padding = a["key_padding_mask"]
    if padding is not None:
        real = (~padding if padding.dtype == torch.bool else padding > HIDDEN)[:, None, None, :]
        allowed = real if allowed is None else allowed & real
    mask = a["attn_mask"]
    bias = bias_of(mask.view(batch, heads, queries, keys) if mask is not None and mask.ndim == 3 else mask)
    return Captured(query, key, query.shape[-1] ** -0.5, bias=bias, allowed=allowed)


def _torch_mask(mask: Tensor | None, size: tuple[int, int, int, int]) -> Tensor | None:
    """[query, key] or [batch · head, query, key], where a boolean True hides."""
    if mask is None:
        return None
    seen = ~mask if mask.dtype == torch.bool else mask > HIDDEN
    return seen[None, None] if seen.ndim == 2 else seen.view(size)
