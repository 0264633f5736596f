"""What is asked around every optimizer step: are its loss and gradients finite, and was the run told to stop?"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from cacr._files import write_bytes_whole, write_text_whole
from cacr._processes import rank
from cacr.training.processes import any_of_processes

logger = logging.getLogger(__name__)
FOLDER = "nonfinite"
"""In the run folder: batches whose loss or gradients were not finite."""
IN_A_ROW = 10
"""So many skipped steps one after the other end a run: its weights or its data are broken."""


class NonFiniteLoss(ValueError):
    """A loss or its gradient was nan or infinite; the batch is on disk."""


class Guard(TrainerCallback):
    """Stops or skips steps that are not finite, before they reach the weights, and ends a run that was told to stop.

    Args:
        policy: "stop" raises `NonFiniteLoss`; "skip" leaves weights and optimizer as they are, and counts.
        out: The run folder.
        told: Whether the run was told to stop.
        items: Of a step (from 0), what the processes learn from: pictures' ids and captions.
    """

    def __init__(
        self,
        policy: str,
        out: Path,
        told: Callable[[], bool],
        items: Callable[[int], list[dict[str, Any]]],
    ):
        self.policy, self.out, self.told, self.items = policy, out, told, items
        self.skipped, self.in_a_row, self.stopped = 0, 0, False
        self.batches: list[tuple[Mapping[str, Any], Tensor]] = []
        self.on_skip: Callable[[int], None] = lambda batches: None

    def state(self) -> dict[str, int]:
        """What a checkpoint keeps."""
        return {"skipped": self.skipped, "in a row": self.in_a_row}

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Take up what a checkpoint keeps."""
        self.skipped, self.in_a_row = state.get("skipped", 0), state.get("in a row", 0)

    def saw(self, batch: Mapping[str, Any], loss: Tensor) -> None:
        """A batch of this step and its loss, kept until the weights have changed."""
        self.batches.append((batch, loss))

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        """Processes agree, so that none waits for another that has stopped: one question to the device a step."""
        assert model is not None
        finite = torch.stack([loss.isfinite() for _, loss in self.batches]).all()
        if not args.fp16:  # there the scaler tries factors that overflow, and skips those steps itself
            finite &= _gradients_are_finite(model)
        bad, self.stopped = any_of_processes(torch.stack([~finite, torch.full_like(finite, self.told())]))
        if bad:
            self._refuse(model, state.global_step, not bool(finite), args.fp16)
        else:
            self.in_a_row = 0
        self.batches = []

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Save and end, if told so."""
        if self.stopped:
            control.should_save = control.should_training_stop = True
        return control

    def _refuse(self, model: nn.Module, step: int, here: bool, scaled: bool) -> None:
        files = self.out / FOLDER / f"step-{step + 1:06d}-process-{rank()}"
        if here:
            self._keep(files, step)
        what = f"step {step + 1}: the loss or its gradient is not finite"
        where = f"the batch is in {self.out / FOLDER}"
        if self.policy == "stop":
            raise _in_all_processes(
                f"{what}; {where}. See which values are not finite in its .json; lower lr or use precision fp32 or "
                "bf16, or go on from the last checkpoint without such steps: --resume --nonfinite skip"
            )
        self.skipped, self.in_a_row = self.skipped + 1, self.in_a_row + 1
        if self.in_a_row == IN_A_ROW:
            raise _in_all_processes(
                f"{what}, as those of {IN_A_ROW} steps in a row, which were skipped; {where}. Lower lr, or look at "
                "the data"
            )
        logger.warning("%s; it is skipped, %d in all, and %s", what, self.skipped, where)
        self.on_skip(len(self.batches))
        if not scaled:  # the scaler has seen it
            for parameter in model.parameters():
                parameter.grad = None  # an optimizer leaves these alone

    def _keep(self, files: Path, step: int) -> None:
        """The batch as tensors, and what it was made of."""
        files.parent.mkdir(exist_ok=True)
        tensors = {
            f"{i}/{name}": value.detach().cpu().contiguous()
            for i, (batch, _) in enumerate(self.batches)
            for name, value in _tensors(batch)
        }
        about = {
            "step": step + 1,
            "losses": [str(float(loss)) for _, loss in self.batches],
            "not finite in the input": [
                name for name, value in tensors.items() if not value.isfinite().all()
            ],
            "items": self.items(step),
        }
        write_bytes_whole(files.with_suffix(".safetensors"), save(tensors))
        write_text_whole(files.with_suffix(".json"), json.dumps(about, indent=1, ensure_ascii=False) + "\n")


def _gradients_are_finite(model: nn.Module) -> Tensor:
    """Whether all are, with one value for all of them: a norm is not finite where a part is not."""
    grads = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    local = [grad.to_local() if hasattr(grad, "to_local") else grad for grad in grads]
    return nn.utils.get_total_norm(local, norm_type=float("inf")).isfinite()


def _tensors(batch: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    for name, value in batch.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}/{inner}", tensor) for inner, tensor in _tensors(value))
        elif isinstance(value, Tensor):
            yield name, value


def _in_all_processes(sentence: str) -> NonFiniteLoss:
    error = NonFiniteLoss(sentence)
    error.said_elsewhere = rank() != 0  # type: ignore[attr-defined]
    return error
