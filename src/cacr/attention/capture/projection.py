"""The back end for hand-written attention without rotary positions: hooks on its linear maps, nothing is recomputed."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor, nn

from cacr.attention.capture.allowed import allowed_by
from cacr.attention.capture.tap import Tap, source_of
from cacr.attention.cut import Captured

PAIRS = (("query", "key"), ("q_proj", "k_proj"), ("q_lin", "k_lin"), ("to_q", "to_k"))
FUSED = {"BlipAttention": "qkv"}
"""Classes that compute queries, keys and values at once, as [batch, sequence, 3, head, width], by the map's name."""
HEADS = ("num_attention_heads", "num_heads", "n_heads")


def fits(module: nn.Module) -> bool:
    """Whether queries and keys are what the module's linear maps give, split into heads and nothing else."""
    source = source_of(module)
    written_out = "softmax" in source.lower() and not any(
        word in source for word in ("rotary", "position_bias", "rel_pos", "q_norm")
    )
    return written_out and _heads(module) is not None and (_fused(module) or _pair(module)) is not None


class ProjectionTap(Tap):
    """Hooks on the children; they are looked up again whenever armed, since wrappers (LoRA) may have replaced them."""

    backend = "projection"

    def __init__(self, module: nn.Module, path: str):
        super().__init__(module, path)
        if _heads(module) is None or not (_fused(module) or _pair(module)):
            raise ValueError(
                f"{path} ({type(module).__name__}) has no pair of linear maps for queries and keys such as "
                'query/key or q_proj/k_proj, or no number of heads; use backend="auto"'
            )
        self._names = tuple(inspect.signature(module.forward).parameters)
        self._mask: Any = None
        self._query: Tensor | None = None
        self._bound: tuple[nn.Module, ...] = ()
        self._handles: list[Any] = []
        self._outer = module.register_forward_pre_hook(self._keep_mask, with_kwargs=True)
        self._bind()

    def arm(self) -> None:
        """Listen, on the children that the module has by now."""
        super().arm()
        if self._children() != self._bound:
            self._bind()

    def remove(self) -> None:
        """Leave the module as it was."""
        for handle in (self._outer, *self._handles):
            handle.remove()

    def _children(self) -> tuple[nn.Module, ...]:
        fused = _fused(self.module)
        if fused is not None:
            return (fused,)
        pair = _pair(self.module)
        assert pair is not None
        return getattr(self.module, pair[0]), getattr(self.module, pair[1])

    def _bind(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._bound = self._children()
        hooks = (self._keep_fused,) if len(self._bound) == 1 else (self._keep_query, self._keep_key)
        self._handles = [
            child.register_forward_hook(hook) for child, hook in zip(self._bound, hooks, strict=True)
        ]

    def _keep_mask(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        if self.armed:
            given = dict(zip(self._names, args, strict=False)) | kwargs
            cross = given.get("encoder_hidden_states") is not None  # BERT's habit
            self._mask = given.get("encoder_attention_mask" if cross else "attention_mask")

    def _keep_query(self, module: nn.Module, args: tuple, output: Tensor) -> None:
        if self.armed:
            self._query = output

    def _keep_key(self, module: nn.Module, args: tuple, output: Tensor) -> None:
        if self.armed:
            assert self._query is not None
            self._keep(self._split(self._query), self._split(output))

    def _keep_fused(self, module: nn.Module, args: tuple, output: Tensor) -> None:
        if self.armed:
            query, key, _ = output.chunk(3, dim=-1)
            self._keep(self._split(query), self._split(key))

    def _split(self, flat: Tensor) -> Tensor:
        heads = _heads(self.module)
        assert heads is not None
        return flat.view(*flat.shape[:2], heads, -1).transpose(1, 2)

    def _keep(self, query: Tensor, key: Tensor) -> None:
        allowed = allowed_by(self._mask, query.shape[0], query.shape[2], key.shape[2])
        self.keep(Captured(query, key, query.shape[-1] ** -0.5, allowed=allowed))
        self._query = self._mask = None


def _heads(module: nn.Module) -> int | None:
    return next(
        (int(getattr(module, name)) for name in HEADS if isinstance(getattr(module, name, None), int)), None
    )


def _fused(module: nn.Module) -> nn.Module | None:
    """The map that gives queries, keys and values at once; FSDP derives a class of its own from the module's."""
    names = [FUSED[kind.__name__] for kind in type(module).__mro__ if kind.__name__ in FUSED]
    return getattr(module, names[0], None) if names else None


def _pair(module: nn.Module) -> tuple[str, str] | None:
    for pair in PAIRS:
        if all(isinstance(getattr(module, name, None), nn.Module) for name in pair):
            return pair
    return None
