"""Take queries and keys of one attention module while a model runs: two forward hooks, no recomputation.

The model keeps its attention kernel (sdpa, flash or eager), since what is captured are the outputs of the two
linear maps. The gradient flows through them, and only the chosen layer pays: one reference to two tensors.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from einops import rearrange
from torch import Tensor, nn


class QueryKeyCapture:
    """While entered, remembers the queries and keys of the module's latest forward pass.

    Args:
        module: An attention module with children ``query`` and ``key`` and a number of heads, without rotary
            positions: BERT's and all that is built from it (UNITER, VisualBERT, ViLT, …).

    Raises:
        TypeError: The module has no such children.

    Example:
        >>> from transformers.models.bert.modeling_bert import BertConfig, BertSelfAttention
        >>> import torch
        >>> attention = BertSelfAttention(BertConfig(hidden_size=8, num_attention_heads=2))
        >>> with QueryKeyCapture(attention) as capture:
        ...     _ = attention(torch.zeros(1, 3, 8))
        >>> capture.query.shape                                             # [batch, head, sequence, width]
        torch.Size([1, 2, 3, 4])
    """

    def __init__(self, module: nn.Module):
        heads = getattr(module, "num_attention_heads", None)
        missing = [
            name for name in ("query", "key") if not isinstance(getattr(module, name, None), nn.Module)
        ]
        if missing or heads is None:
            raise TypeError(
                f"{type(module).__name__} has no {' and no '.join(missing) or 'num_attention_heads'}; expected an "
                "attention module such as model.uniter.encoder.layer[-1].attention.self"
            )
        self._module, self._heads = module, int(heads)
        self._handles: list[Any] = []
        self._kept: dict[str, Tensor] = {}

    def __enter__(self) -> QueryKeyCapture:
        self._kept = {}
        # Children are looked up at every entry: wrappers put there since (LoRA) would else be missed silently.
        for name in ("query", "key"):
            child = getattr(self._module, name)
            self._handles.append(child.register_forward_hook(self._keep(name)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _keep(self, name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple, output: Tensor) -> None:
            self._kept[name] = output

        return hook

    @property
    def query(self) -> Tensor:
        """Queries of the latest forward pass, [batch, head, sequence, width]."""
        return self._split("query")

    @property
    def key(self) -> Tensor:
        """Keys of the latest forward pass, [batch, head, sequence, width]."""
        return self._split("key")

    def _split(self, name: str) -> Tensor:
        if name not in self._kept:
            raise RuntimeError(
                f"no {name} was captured: run the model inside `with QueryKeyCapture(module):`, and see that the "
                f"{type(self._module).__name__} given belongs to the model that runs"
            )
        flat = self._kept[name]
        return rearrange(flat, "batch sequence (head width) -> batch head sequence width", head=self._heads)
