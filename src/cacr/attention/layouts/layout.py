"""Where a family of models keeps its text-image attention, and which positions are text and which are regions.

A layout names, for each block, the attention module that it is a part of, and gives one function that says which
positions count. One attention over both modalities gives all blocks; elsewhere each block has a module of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import CheckpointWrapper

from cacr.attention.cut import BLOCKS, Captured

WRAPPED = "._checkpoint_wrapped_module"
"""Where torch's wrapper for activation checkpointing keeps what it wraps, as its own prefix says."""


@dataclass(frozen=True)
class Place:
    """One call of one attention module."""

    path: str
    """Path of the module, from the end of any outer path. "{layer}": the layer chosen,
    "{before}": the one before, "{last}": the last of the list."""
    call: int = 0
    """Which of the module's calls in a forward pass."""
    calls: int = 1
    """How many calls it has in a forward pass."""

    @property
    def stack(self) -> str | None:
        """The path of the list of layers, "" with no list."""
        return self.path.split(".{")[0] if "{" in self.path else None


@dataclass(frozen=True)
class Run:
    """One forward pass, as a layout sees it."""

    inputs: Mapping[str, Any]
    """The arguments of the model's forward, by name."""
    config: Any
    """The model's config, None for a model from outside transformers."""
    captured: Mapping[str, Captured]
    """The attention call of each block."""
    text_mask: Callable[[Mapping[str, Any]], Tensor] | None = None
    """The caller's rule, if there is one: inputs -> bool [batch, text]."""
    region_mask: Callable[[Mapping[str, Any]], Tensor] | None = None
    """The same for the positions of the image side."""
    special_ids: Sequence[int] = ()
    """Token ids that never count as text."""

    def input(self, name: str) -> Tensor:
        """An input that the layout cannot do without.

        Raises:
            ValueError: It was not given.
        """
        value = self.inputs.get(name)
        if value is None:
            given = sorted(key for key, value in self.inputs.items() if value is not None)
            raise ValueError(
                f"the model was called without {name}, which tells text from regions; it got {', '.join(given)}. "
                f"Pass {name}, or give text_mask and region_mask"
            )
        return value

    def words(
        self, rule: Tensor | None = None, ids: str = "input_ids", mask: str = "attention_mask"
    ) -> Tensor:
        """Which positions of the text input count, [batch, text]: the caller's text_mask, or real ones by ``rule``.

        Args:
            rule: True where the layout lets a position count; every position if None.
            ids: Name of the input with the token ids.
            mask: Name of the input that is 1 at real tokens; every token is real where it is not given.
        """
        if self.text_mask is not None:
            given = self.inputs.get(ids)  # None where a caller passes embeddings
            counts = _given("text_mask", self.text_mask(self.inputs), None if given is None else given.shape)
        else:
            tokens = self.input(ids)
            real = self.inputs.get(mask)
            counts = torch.ones_like(tokens, dtype=torch.bool) if real is None else padding(real, mask)
            counts = counts if rule is None else counts & rule
        for token in self.special_ids:
            counts = counts & (self.input(ids) != token)
        return counts

    def regions(self, rule: Tensor | None = None) -> Tensor:
        """Which positions of the image side count: the caller's region_mask, or ``rule``."""
        if self.region_mask is not None:
            return _given("region_mask", self.region_mask(self.inputs), None if rule is None else rule.shape)
        assert rule is not None
        return rule

    @property
    def masks_are_given(self) -> bool:
        """Whether the caller says for text and regions which positions count."""
        return self.text_mask is not None and self.region_mask is not None

    def keys(self, block: str) -> Tensor:
        """Which keys of a block's call any query may see, [batch, key]: real ones, where the mask is a padding mask."""
        call = self.captured[block]
        batch, _, keys = call.size
        if call.allowed is None:
            return torch.ones(batch, keys, dtype=torch.bool, device=call.seen.device)
        return call.allowed.any(2).any(1).expand(batch, keys)


Masks = Callable[[Run], tuple[Tensor, Tensor]]
"""A run -> [batch, positions] of text, [batch, positions] of regions: positions of the attention calls."""


def _every_layer(model: nn.Module, count: int) -> list[int]:
    return list(range(count))


def _as_captured(captured: Mapping[str, Captured], run: Run) -> Mapping[str, Captured]:
    return captured


@dataclass(frozen=True)
class Layout:
    """The text-image attention of a family of models.

    Args:
        name: For messages and the table of `cacr models`.
        blocks: The place of each block; "vl" may be missing.
        masks: Which positions of these calls count as text, and which as regions.
        absent: For a missing block, the reason.
        layers: (model, number of layers) -> the layers with full text-image attention; "last" is the last of them.
        only_usable: Whether the other layers have no text-image attention at all.
        adapt: (captured, run) -> the calls that blocks are cut from, where they need to be rearranged.
        note: What a user should know, shown by `repr`.
    """

    name: str
    blocks: Mapping[str, Place]
    masks: Masks
    absent: Mapping[str, str] = field(default_factory=dict)
    layers: Callable[[nn.Module, int], list[int]] = _every_layer
    only_usable: bool = False
    adapt: Callable[[Mapping[str, Captured], Run], Mapping[str, Captured]] = _as_captured
    note: str = ""

    def __post_init__(self) -> None:
        unknown = set(self.blocks) - set(BLOCKS)
        missing = {"ll", "lv", "vv"} - set(self.blocks)
        if unknown or missing:
            raise ValueError(
                f"layout {self.name!r} has the blocks {', '.join(sorted(self.blocks))}; expected ll, lv, vv and, where "
                "the model has it, vl"
            )

    @property
    def leading(self) -> Place:
        """The place whose layers are counted: that of the attention from words to regions."""
        return self.blocks["lv"]

    def fits(self, model: nn.Module) -> bool:
        """Whether the model has all lists of layers that the layout names."""
        return all(
            place.stack is None or len(_found(model, place.stack, nn.ModuleList)) == 1
            for place in self.blocks.values()
        )

    def usable(self, model: nn.Module) -> list[int]:
        """The layers with full text-image attention, zero-based; [0] for a layout that names one fixed module."""
        return self.layers(model, len(self._stack(model))) if self.leading.stack else [0]

    def count(self, model: nn.Module) -> int:
        """How many layers the list has that layer numbers refer to."""
        return len(self._stack(model)) if self.leading.stack else 1

    def modules(self, model: nn.Module, layer: int) -> dict[str, tuple[str, Place]]:
        """Block -> full path of its module at a layer, and its place."""
        found = {}
        for block, place in self.blocks.items():
            path = place.path
            if place.stack is not None:
                stack = find(model, place.stack, nn.ModuleList)
                last = len(list(model.get_submodule(stack).children())) - 1
                rest = path[len(place.stack) :]
                path = stack + rest.format(layer=layer, before=layer - 1, last=last)
            found[block] = (find(model, path, nn.Module), place)
        return found

    def _stack(self, model: nn.Module) -> nn.ModuleList:
        assert self.leading.stack is not None
        stack = model.get_submodule(find(model, self.leading.stack, nn.ModuleList))
        assert isinstance(stack, nn.ModuleList)
        return stack

    def at(self, **places: str | Place) -> Layout:
        """The same layout with other places."""
        blocks = {block: Place(p) if isinstance(p, str) else p for block, p in places.items()}
        return replace(self, blocks={**self.blocks, **blocks})


def joint(name: str, path: str, masks: Masks, causal: str = "", **more: Any) -> Layout:
    """A layout of one self-attention over both modalities.

    Args:
        name: For messages.
        path: The attention module, for instance "encoder.layer.{layer}.attention.self".
        masks: Which positions count.
        causal: Why regions cannot see the words, where they cannot; S_VL is absent then.
        more: As for `Layout`.
    """
    blocks = [block for block in BLOCKS if not (causal and block == "vl")]
    absent = {"vl": causal} if causal else {}
    return Layout(name, dict.fromkeys(blocks, Place(path)), masks, absent=absent, **more)


def padding(mask: Any, name: str) -> Tensor:
    """A mask of real positions, [batch, position], as booleans.

    Raises:
        ValueError: A full mask or a mapping, which does not say which tokens are real.
    """
    if isinstance(mask, Tensor) and mask.ndim == 2:
        return mask.bool()
    given = f"has {mask.ndim} axes" if isinstance(mask, Tensor) else f"is a {type(mask).__name__}"
    raise ValueError(
        f"{name} {given}; expected [batch, position], 1 where a position is real. With another mask give text_mask and "
        "region_mask, which say what counts"
    )


def find(model: nn.Module, path: str, kind: type[nn.Module]) -> str:
    """The full path of the one module whose path ends with ``path``, so that wrappers around it do not matter.

    Raises:
        ValueError: There is none, or there are several.
    """
    found = _found(model, path, kind)
    if len(found) != 1:
        what = "no module" if not found else f"{len(found)} modules ({', '.join(found[:4])})"
        raise ValueError(
            f"{type(model).__name__} has {what} at {path}; expected one. Give the full path in a layout of your own: "
            "attach(model, layout=cacr.attention.Layout(...))"
        )
    return found[0]


def _found(model: nn.Module, path: str, kind: type[nn.Module]) -> list[str]:
    modules = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, kind) and not isinstance(module, CheckpointWrapper)
    }
    if path in modules:
        return [path]
    return [name for name in modules if f".{name.replace(WRAPPED, '')}".endswith(f".{path}")]


def _given(name: str, mask: Any, shape: torch.Size | None) -> Tensor:
    fits = isinstance(mask, Tensor) and mask.dtype == torch.bool and (shape is None or mask.shape == shape)
    if not fits:
        given = (
            f"{mask.dtype} of shape {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        )
        raise ValueError(
            f"{name} gave {given}; expected a boolean tensor" + (f" of shape {tuple(shape)}" if shape else "")
        )
    return mask
