"""A tap on one attention module, and the choice of its back end.

    interface    the module asks transformers' registry for its attention function, which we answer for it alone
    projection   hand-written attention without rotary positions: hooks on the linear maps of queries and keys
    trace        anything else written in Python: its softmax or scaled_dot_product_attention calls are seen

All three leave the kernel, the mask and the result as they are, and keep references to tensors that exist anyway.
"""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import nn

from cacr._messages import unknown
from cacr.attention.cut import Captured

QUERY_OR_KEY = re.compile(r"(q|k|query|key|qkv|q_\w+|k_\w+|to_q|to_k|wq|wk|in_proj\w*|c_attn)\b")


class Tap(ABC):
    """Keeps what each call of ``module`` computed from, while armed.

    Callbacks are methods, not closures, so that copy.deepcopy of a model gives its copy taps of its own.
    """

    backend = ""

    def __init__(self, module: nn.Module, path: str):
        self.module, self.path = module, path
        self.armed = False
        self.count = 0
        self.calls: list[Captured] = []
        self.heard: Callable[[], None] | None = None

    def arm(self) -> None:
        """Forget earlier calls and listen."""
        self.calls, self.count, self.armed = [], 0, True

    def disarm(self) -> None:
        """Stop listening: recomputations (activation checkpointing) go unheard."""
        self.calls, self.armed = [], False

    def keep(self, call: Captured) -> None:
        """Keep a call, and tell whoever listens."""
        self.calls.append(call)
        self.count += 1
        if self.heard is not None:
            self.heard()

    def should_learn(self) -> bool:
        """Whether a weight of its queries or keys is trained, as far as names tell."""
        return any(p.requires_grad and QUERY_OR_KEY.match(name) for name, p in self.module.named_parameters())

    @abstractmethod
    def remove(self) -> None:
        """Leave the module as it was."""


def backend_of(module: nn.Module) -> str:
    """Which back end fits a module, judged by its own class.

    A model's own claim (``_can_set_attn_implementation``) is about its source file, and wrong for some of its modules.
    """
    from cacr.attention.capture import interface, projection

    if interface.fits(module):
        return "interface"
    return "projection" if projection.fits(module) else "trace"


def tap(module: nn.Module, path: str, backend: str = "auto") -> Tap:
    """Put a tap on a module.

    Args:
        module: The attention module.
        path: Its path in the model, for messages.
        backend: "auto", or one of ``BACKENDS``.

    Raises:
        ValueError: An unknown back end, or one that does not fit the module.
    """
    from cacr.attention.capture.interface import InterfaceTap
    from cacr.attention.capture.projection import ProjectionTap
    from cacr.attention.capture.trace import TraceTap

    if backend not in ("auto", *BACKENDS):
        raise ValueError(unknown("backend", backend, ["auto", *BACKENDS]))
    chosen = backend_of(module) if backend == "auto" else backend
    kinds: dict[str, type[Tap]] = {
        "interface": InterfaceTap,
        "projection": ProjectionTap,
        "trace": TraceTap,
    }
    return kinds[chosen](module, path)


BACKENDS = ("interface", "projection", "trace")


def source_of(module: nn.Module) -> str:
    """The source of a module's forward, "" where there is none."""
    try:
        return inspect.getsource(type(module).forward)
    except (OSError, TypeError):
        return ""
