"""A regularizer on the attention of a model that is being trained: a watch, a loss, and a weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cacr.attention import AttentionBlocks, AttentionWatch
from cacr.losses import AttentionLoss, schedule_weight
from cacr.losses.streaming import streams
from cacr.regularizer.outputs import declare_ahead, with_field

LossFunction = Callable[[AttentionBlocks, str], Tensor]


class Regularizer(AttentionWatch):
    """What `cacr.attach` returns. While the model trains, each forward pass gives ``out.cacr_loss``.

    ``out.cacr_loss`` is weight · schedule · loss in nats, with its gradient: ready to add to any other loss. Where a
    model does not return an output object that can carry it, it is ``reg.loss``.

    Args:
        model: As for `AttentionWatch`, and so are the other options.
        function: (blocks, direction) -> scalar, or None to watch only.
        directions: Those of the loss that exist for the model.
        weight: Factor of the loss.
        schedule: None, a kind in `cacr.losses.SCHEDULES`, or a function of the fraction done (0-1).
        total_steps: Optimizer steps of the run, for the schedule.
        add_to_loss: Add it to ``out.loss`` as well.
        accumulation_steps: Forward passes an optimizer step; needed with ``add_to_loss`` where the trainer hands
            ``num_items_in_batch`` to the model.
        loss_name: What `describe` calls the loss.
        options: As for `AttentionWatch`.
    """

    def __init__(
        self,
        model: Any,
        function: LossFunction | None,
        directions: tuple[str, ...],
        weight: float = 1.0,
        schedule: str | Callable[[float], float] | None = None,
        total_steps: int | None = None,
        add_to_loss: bool = False,
        accumulation_steps: int | None = None,
        loss_name: str = "",
        **options: Any,
    ):
        self.function, self.directions, self.loss_name = function, directions, loss_name
        if isinstance(function, AttentionLoss):  # others are given all blocks
            self._factored = streams
        self.schedule, self.total_steps, self.steps_done = schedule, total_steps, 0
        self.add_to_loss, self.accumulation_steps = add_to_loss, accumulation_steps
        self._loss: Tensor | None = None
        self._last: dict[str, Tensor] = {}
        with torch.inference_mode(False):
            self._factor = torch.zeros(())  # a tensor: a number would be compiled in, once per step
        self.weight = weight
        super().__init__(model, **options)
        declare_ahead(self.model)

    @property
    def weight(self) -> float:
        """Factor of the loss before the schedule; may be set at any time."""
        return self._weight

    @weight.setter
    def weight(self, value: float) -> None:
        self._weight = _held(float(value), "weight", torch.finfo(torch.float32).tiny)
        self._set_factor()

    @property
    def loss(self) -> Tensor:
        """What ``out.cacr_loss`` holds, of the latest watched forward pass.

        Raises:
            RuntimeError: No forward pass was watched yet, or there is no loss.
        """
        if self._loss is None:
            raise RuntimeError(
                "no forward pass was watched yet: run the model in train mode with gradients enabled"
                if self.function is not None
                else "attached without a loss: there are blocks() but no loss"
            )
        return self._loss

    @property
    def last(self) -> dict[str, Tensor]:
        """Parts of the latest loss for logs, detached, in nats and before the weight.

        ``language`` and ``vision`` where they exist (means over layers), the same per layer as ``layer_11/language``
        where several are watched, ``cacr_loss`` after the weight, and ``weight``.
        """
        return dict(self._last)

    def forget(self) -> None:
        """Drop the latest loss, so that none can be used twice."""
        self._loss = None

    def step(self) -> None:
        """Call once after each optimizer step: moves the schedule on. `CongruenceTrainerMixin` does it by itself."""
        self.progress(self.steps_done + 1)

    def progress(self, done: int, total: int | None = None) -> None:
        """Set how many optimizer steps are done, and of how many."""
        self.steps_done, self.total_steps = done, self.total_steps if total is None else total
        self._set_factor()

    def detach(self) -> None:
        """Leave the model as it was before, and forget the latest loss. A second call does nothing."""
        super().detach()
        self.forget()

    def describe(self) -> list[str]:
        """Lines that say what is regularized, and with which weight."""
        if self.function is None:
            return ["loss: none, blocks only", *super().describe()]
        directions = " and ".join(self.directions)
        only = "" if len(self.directions) == 2 else " only"
        schedule = f", schedule {self.schedule!r}" if self.schedule is not None else ""
        special = (
            ""
            if self.special_ids
            else "; special tokens count as text (special_ids=tokenizer.all_special_ids)"
        )
        head = (
            f"loss: {self.loss_name}, weight {self.weight:g}{schedule}, direction {directions}{only}{special}"
        )
        return [head, *super().describe()]

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_loss": None, "_last": {}}

    def _set_factor(self) -> None:
        factor = 1.0
        if self.schedule is not None and self.total_steps is not None:
            done = min(self.steps_done, self.total_steps)
            if callable(self.schedule):
                factor = float(self.schedule(done / self.total_steps))
            else:
                factor = schedule_weight(done, self.total_steps, self.schedule)
        self._factor.fill_(_held(self._weight * factor, f"weight {self._weight:g} x schedule {factor:g}"))

    def _begin(self, model: Any, args: tuple, kwargs: dict[str, Any]) -> None:
        super()._begin(model, args, kwargs)
        if not self._armed:
            return
        self.forget()
        if self.schedule is not None and self.total_steps is None:
            raise ValueError(
                f"the schedule {self.schedule!r} needs to know how long the run is: attach(..., total_steps=5000) and "
                "reg.step() after each optimizer step"
            )

    def _on_blocks(self) -> None:
        if self.function is None:
            return
        parts: dict[str, Tensor] = {}
        for layer in self.layers:
            if layer in self._blocks:  # not with select="paired" and no pair in this batch
                for direction, loss in self._by_direction(self._blocks[layer]).items():
                    parts[f"layer_{layer}/{direction}"] = loss
        means = {
            name: torch.stack([part for key, part in parts.items() if key.endswith("/" + name)]).mean()
            for name in (self.directions if parts else ())
        }
        nothing = torch.zeros((), device=next(self.model.parameters()).device)
        total = (torch.stack(list(means.values())).sum() if means else nothing) * self._factor.clone()
        if means and not self.always and not total.requires_grad:
            raise RuntimeError(
                f"the loss of layer {', '.join(map(str, self.layers))} carries no gradient, so nothing could be "
                "taught: the layer and all below it are frozen. Choose a layer that learns, or use paused() or "
                "recording() where no gradient is wanted"
            )
        self._last = {name: value.detach() for name, value in means.items()}
        if len(self.layers) > 1:
            self._last |= {name: value.detach() for name, value in parts.items()}
        self._last |= {"cacr_loss": total.detach(), "weight": self._factor.clone()}
        self._loss = total

    def _by_direction(self, blocks: Any) -> dict[str, Tensor]:
        if isinstance(self.function, AttentionLoss):
            return self.function.by_direction(blocks, self.directions)
        assert self.function is not None
        return {direction: self.function(blocks, direction) for direction in self.directions}

    def _on_output(self, output: Any) -> Any:
        if self.function is None:
            return output
        if self.add_to_loss:
            own = output.get("loss") if isinstance(output, dict) else getattr(output, "loss", None)
            if own is None:
                raise ValueError(
                    f"add_to_loss=True, but {type(self.model).__name__} returned no loss to add to: pass labels, or "
                    "add out.cacr_loss yourself"
                )
            total = own + self.loss / _micro_batches(self)
            if isinstance(output, dict):
                output["loss"] = total
            else:
                output.loss = total
        return with_field(output, self.loss)


def _held(factor: float, what: str, least: float = 0.0) -> float:
    """A factor, if float32 holds it. Raises ValueError for NaN, larger ones and those nearer to 0 than ``least``."""
    most = torch.finfo(torch.float32).max
    if factor != 0 and not least <= abs(factor) <= most:
        raise ValueError(
            f"{what} is {factor:g}; expected 0 or a number up to {most:.1e} that float32 tells from 0"
        )
    return factor


def _micro_batches(reg: Regularizer) -> int:
    """By how much a loss that is summed over an accumulation window must be divided."""
    if reg._inputs.get("num_items_in_batch") is None:
        return 1
    if reg.accumulation_steps is None:
        raise ValueError(
            "the trainer sums losses over an accumulation window (num_items_in_batch), so the regularizer must know "
            "its length: attach(..., accumulation_steps=args.gradient_accumulation_steps), or use "
            "CongruenceTrainerMixin"
        )
    return reg.accumulation_steps
