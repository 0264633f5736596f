"""Watch the text-image attention of a model while it runs: one call, any supported model, any kernel.

Hooks on the root model arm the taps of the chosen layers before a forward pass and cut the blocks after it. Where
nothing is asked for (evaluation, no gradients, paused) nothing is kept.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from cacr._messages import unknown
from cacr.attention.blocks import HEADS, SPACES, AttentionBlocks
from cacr.attention.capture import Tap, tap
from cacr.attention.checkpointing import Exemption, checkpointed_layers
from cacr.attention.checks import wrong_number
from cacr.attention.choices import DATA_PARALLEL, chosen_layers, innermost
from cacr.attention.counted import Factor, blocks_of
from cacr.attention.factored import FactoredBlocks
from cacr.attention.layouts import Layout, Run, layout_for

MARK = "_cacr_watch"
MaskOf = Callable[[Mapping[str, Any]], Tensor]


class AttentionWatch:
    """The text-image attention of one or more layers of a model. Make it with `watch` or `cacr.attach`.

    Args:
        model: Any supported model; wrappers (DistributedDataParallel, torch.compile, PEFT) are seen through.
        layer: "last" (the last with full text-image attention), "all", a number from 0 or from -1, or several.
        layout: "auto", a name in `LAYOUTS`, or a `Layout`.
        backend: "auto", "interface" (transformers' registry), "projection" (maps of queries and keys) or "trace".
        select: Which examples of a batch: None for all, "paired" for those with words and regions, a slice,
            indices, a boolean mask, or a function of the model's inputs that gives one.
        text_mask: Inputs -> bool [batch, text]: which tokens count, in place of the layout's rule.
        region_mask: Inputs -> bool [batch, positions of the image side]: which regions count.
        special_ids: Token ids that never count as text, for instance ``tokenizer.all_special_ids``.
        space: What blocks hold, "probabilities" or "scores".
        heads: "mean" or "each".
        always: Also in eval mode and without gradients.

    Raises:
        ValueError: A model without text-image attention, an unknown one, or options that do not fit it.
        TypeError: Not a torch module, or torch.nn.DataParallel.
    """

    def __init__(
        self,
        model: nn.Module,
        layer: int | str | Sequence[int] = "last",
        layout: str | Layout = "auto",
        backend: str = "auto",
        select: Any = None,
        text_mask: MaskOf | None = None,
        region_mask: MaskOf | None = None,
        special_ids: Sequence[int] = (),
        space: str = "probabilities",
        heads: str = "mean",
        always: bool = False,
    ):
        if space not in SPACES:
            raise ValueError(unknown("space", space, SPACES))
        if heads not in HEADS:
            raise ValueError(unknown("heads", heads, HEADS))
        if isinstance(select, str) and select != "paired":
            raise ValueError(f'select is {select!r}; expected "paired", a slice, indices, a mask, a function')
        self.model = innermost(model)
        if hasattr(self.model, MARK):
            raise ValueError(
                f"this {type(self.model).__name__} is attached already; call detach() first, or name several layers at "
                "once: layer=[-1, -2]"
            )
        self.layout = layout_for(self.model, layout)
        self.layers = chosen_layers(self.model, self.layout, layer)
        self.select, self.text_mask, self.region_mask = select, text_mask, region_mask
        self.special_ids = tuple(special_ids)
        self.space, self.heads, self.always = space, heads, always
        self.places = {layer: self.layout.modules(self.model, layer) for layer in self.layers}
        paths = {path for places in self.places.values() for path, _ in places.values()}
        self.taps: dict[str, Tap] = {}
        self._names = [
            name for name in inspect.signature(type(self.model).forward).parameters if name != "self"
        ]
        self._paused = self._armed = self._cut_already = False
        self._inputs: dict[str, Any] = {}
        self._blocks: dict[int, AttentionBlocks | FactoredBlocks] = {}
        try:
            for path in sorted(paths):
                self.taps[path] = tap(self.model.get_submodule(path), path, backend)
        except Exception:
            for one in self.taps.values():
                one.remove()
            raise
        self._expected = {
            path: place.calls for places in self.places.values() for path, place in places.values()
        }
        for one in self.taps.values():
            one.heard = self._heard
        self._exemption = Exemption(checkpointed_layers(self.model, paths))
        self._handles = [
            self.model.register_forward_pre_hook(self._begin, with_kwargs=True, prepend=True),
            self.model.register_forward_hook(self._end, with_kwargs=True),
            self.model.register_forward_hook(self._disarm, always_call=True),
        ]
        setattr(self.model, MARK, self)

    def blocks(self, layer: int | None = None) -> AttentionBlocks:
        """The blocks of the latest watched forward pass, with their gradient.

        Args:
            layer: Which layer, as a number from 0 or from -1; may be left out if only one is watched.

        Raises:
            ValueError: Several layers are watched and none is named, or this one is not.
            RuntimeError: No forward pass was watched yet.
        """
        if layer is None and len(self.layers) > 1:
            raise ValueError(f"layers {self.layers} are watched; say which: blocks(layer={self.layers[-1]})")
        number = self.layers[0] if layer is None else layer
        number = number + self.layout.count(self.model) if number < 0 else number
        if number not in self.layers:
            raise ValueError(f"layer {layer} is not watched; expected one of {self.layers}")
        if number not in self._blocks:
            when = (
                "run the model"
                if self.always
                else "run the model in train mode with gradients, or in recording()"
            )
            raise RuntimeError(f"no forward pass was watched yet (or its batch held no pair): {when} first")
        found = self._blocks[number]
        if isinstance(found, FactoredBlocks):
            found = self._blocks[number] = found.whole()
        return found

    @property
    def active(self) -> bool:
        """Whether a forward pass would be watched now."""
        if self._paused:
            return False
        return self.always or (self.model.training and torch.is_grad_enabled())

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Watch nothing inside: mining, evaluation."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Watch inside also in eval mode and without gradients."""
        before, self.always = self.always, True
        try:
            yield
        finally:
            self.always = before

    def detach(self) -> None:
        """Leave the model as it was before. A second call does nothing."""
        for handle in self._handles:
            handle.remove()
        for one in self.taps.values():
            one.remove()
        self._handles, self.taps = [], {}
        if getattr(self.model, MARK, None) is self:
            delattr(self.model, MARK)

    def __enter__(self) -> AttentionWatch:
        return self

    def __exit__(self, *error: object) -> None:
        self.detach()

    def __getstate__(self) -> dict[str, Any]:
        """Copies of a model carry a watch of their own, without what was captured."""
        return self.__dict__ | {"_blocks": {}, "_inputs": {}}

    def describe(self) -> list[str]:
        """Lines that say what is watched: modules, back ends, blocks that exist and why others do not."""
        lines = []
        for layer, places in self.places.items():
            by_path: dict[str, list[str]] = {}
            for block, (path, _) in places.items():
                by_path.setdefault(path, []).append(f"S_{block.upper()}")
            for path, blocks in by_path.items():
                one = self.taps.get(path)
                how = f"{type(one.module).__name__}, back end {one.backend}" if one else "detached"
                lines.append(f"layer {layer}: {' '.join(blocks)} from {path} ({how})")
        lines += [f"no S_{block.upper()}: {reason}" for block, reason in self.layout.absent.items()]
        return lines + ([self.layout.note] if self.layout.note else [])

    def __repr__(self) -> str:
        head = f"{type(self).__name__}({type(self.model).__name__}, layout {self.layout.name!r})"
        return "\n  ".join([head, *self.describe()])

    # What follows runs around each forward pass of the root model.

    def _begin(self, model: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        if getattr(model, "_is_replica", False):
            raise TypeError(f"{type(model).__name__} runs in torch.nn.DataParallel; {DATA_PARALLEL}")
        if self._armed:  # what an interrupt (Ctrl-C) left behind: hooks that always run do not run then
            self._disarm(model, (), None)
        if not self.active:
            return
        self._armed, self._blocks, self._cut_already = True, {}, False
        self._inputs = dict(zip(self._names, args, strict=False)) | kwargs
        self._exemption.begin()
        for one in self.taps.values():
            one.arm()

    def _heard(self) -> None:
        """A tap kept a call. While torch.compile traces, the last one expected is where the blocks are cut.

        So they lie in the model's own graph; the root's hooks would be a graph of their own. Elsewhere that waits for
        the end of the forward pass: a module may run inside a checkpoint, whose recomputation must find no more than
        the module's own work.
        """
        if torch.compiler.is_compiling() and self._complete():
            self._cut_all()

    def _complete(self) -> bool:
        return all(one.count == self._expected[path] for path, one in self.taps.items())

    def _cut_all(self) -> None:
        for layer in self.layers:
            blocks = self._cut(layer)
            if blocks is not None:
                self._blocks[layer] = blocks
        for one in self.taps.values():
            one.calls = []
        self._cut_already = True
        self._on_blocks()

    def _on_blocks(self) -> None:
        """What to do once the blocks are there."""

    def _on_output(self, output: Any) -> Any:
        """What the model returns in place of ``output``."""
        return output

    def _end(self, model: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any) -> Any:
        if not self._armed:
            return output
        for path, one in self.taps.items():
            if one.count != self._expected[path]:
                raise RuntimeError(wrong_number(path, one.count, self._expected[path], one.backend))
        if not self._cut_already:
            self._cut_all()
        return self._on_output(output)

    def _disarm(self, model: nn.Module, args: tuple, output: Any) -> None:
        if self._armed:
            for one in self.taps.values():
                one.disarm()
            self._exemption.end()
            self._armed, self._inputs = False, {}

    _factored: Factor | None = None
    """Whether S_VV of a call is left as queries and keys until `blocks` asks for it; None: never."""

    def _cut(self, layer: int) -> AttentionBlocks | FactoredBlocks | None:
        captured = {}
        for block, (path, place) in self.places[layer].items():
            captured[block] = self.taps[path].calls[place.call]
            if not self.always and not captured[block].learns and self.taps[path].should_learn():
                raise RuntimeError(
                    f"the attention of {path} carries no gradient although its weights should learn: it ran inside "
                    "re-entrant checkpointing, or under no_grad. Use use_reentrant=False there, or paused() or "
                    "recording() where no gradient is wanted"
                )
        config = getattr(self.model, "config", None)
        run = Run(self._inputs, config, captured, self.text_mask, self.region_mask, self.special_ids)
        return blocks_of(run, self.layout, layer, self.select, self.space, self.heads, self._factored)


def watch(model: nn.Module, **options: Any) -> AttentionWatch:
    """Watch a model's attention in any mode, without a loss: for figures and analyses.

    Args:
        model: Any supported model.
        options: As for `AttentionWatch`, which is returned; ``always`` is True here.

    Examples:
        >>> from cacr.tiny_models import TINY
        >>> tiny = TINY["visual_bert"]()
        >>> with watch(tiny.model) as attention:
        ...     _ = tiny.model(**tiny.inputs)
        ...     attention.blocks().lv.shape
        torch.Size([2, 7, 4])
    """
    return AttentionWatch(model, **({"always": True} | options))
