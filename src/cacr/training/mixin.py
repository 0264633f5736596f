"""Any transformers Trainer, and TRL's SFTTrainer, with an attention regularizer.

A callback cannot do this: it never sees the loss, and what it writes into the log comes after the reporters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from transformers.trainer_pt_utils import find_batch_size

from cacr.attention.choices import DATA_PARALLEL, innermost
from cacr.regularizer import Regularizer, attach
from cacr.training.parts import PartsInLog


class CongruenceTrainerMixin(PartsInLog):
    """Adds the regularizer to the loss of the Trainer that it is mixed into, and its parts to the log.

        class CongruenceTrainer(CongruenceTrainerMixin, Trainer): ...
        CongruenceTrainer(model, args, train_dataset=data, regularizer=cacr.attach(model, weight=0.1)).train()

    The gradient is that of the mean over all counted examples of an optimizer step, however they are cut into
    micro-batches (with select="paired", of all examples); processes are averaged. A schedule runs over the Trainer's
    own steps, also after it resumes. The log has ``cacr_loss`` (weighted), ``cacr_weight``, ``cacr_language`` and
    ``cacr_vision`` (nats), as means over the processes since the last line.

    A function given as ``select`` gets the Trainer's batch, with what never reaches the model:
    ``batch["labels"] == 1``.
    A Trainer with a compute_loss of its own comes after the mixin among the bases.

    Args:
        regularizer: What `cacr.attach` gave for the model, or options for it, which is then called on the model that
            the Trainer has: {"weight": 0.1}. With ``model_init`` it must be options.
        args: As for the Trainer.
        kwargs: As for the Trainer.

    Raises:
        TypeError: Neither a regularizer nor options.
        ValueError: Attached with add_to_loss=True, which would count it twice, or without a loss, or to another model;
            several GPUs in one process.
        RuntimeError: A compute_loss hides this one, so that nothing would be added.
    """

    def __init__(self, *args: Any, regularizer: Regularizer | Mapping[str, Any], **kwargs: Any):
        if not isinstance(regularizer, Regularizer | Mapping):
            raise TypeError(
                f"regularizer is a {type(regularizer).__name__}; expected what cacr.attach(model) returns, or a "
                'mapping of options for it: {"weight": 0.1}'
            )
        super().__init__(*args, **kwargs)
        trainer: Any = self
        if trainer.args.n_gpu > 1:
            raise ValueError(
                f"{trainer.args.n_gpu} GPUs in one process: torch.nn.DataParallel, {DATA_PARALLEL}"
            )
        self._options = None if isinstance(regularizer, Regularizer) else dict(regularizer)
        made = regularizer if isinstance(regularizer, Regularizer) else attach(trainer.model, **regularizer)
        if made.add_to_loss:
            raise ValueError("attached with add_to_loss=True; the mixin adds it itself, so leave that out")
        if made.function is None:
            raise ValueError("attached without a loss (loss=None); there is nothing for a Trainer to add")
        self.regularizer = made
        self._check_model(trainer.model)
        self._own_total, self._select = made.total_steps, made.select
        self._counted, self._added = 0, False

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """The Trainer's micro-batches of an optimizer step; their examples are counted."""
        result = super().get_batch_samples(*args, **kwargs)  # type: ignore[misc]
        self._counted = sum(self._count(batch) for batch in result[0])
        return result

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """The Trainer's own, which must have come through `compute_loss` below."""
        self._added = False
        result = super().training_step(*args, **kwargs)  # type: ignore[misc]
        if not self._added:
            raise RuntimeError(
                f"the regularizer was not added: {type(self).__name__} has a compute_loss that hides the mixin's. "
                "Put it into a Trainer of its own: class Mine(CongruenceTrainerMixin, TrainerWithMyLoss)"
            )
        return result

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
        **kwargs: Any,
    ) -> Any:
        """The Trainer's own loss, and in training the regularizer beside it."""
        self._check_model(model)
        reg, state = self.regularizer, self.state  # type: ignore[attr-defined]
        self._added = True
        if reg.schedule is not None and reg.active:
            reg.progress(state.global_step, self._own_total or state.max_steps)
        counted = self._count(inputs)
        reg.select = self._rows(inputs)
        reg.forget()
        try:
            result = super().compute_loss(  # type: ignore[misc]
                model, inputs, return_outputs=return_outputs, num_items_in_batch=num_items_in_batch, **kwargs
            )
        finally:
            reg.select = self._select
        if not reg.active:
            return result
        loss, outputs = result if return_outputs else (result, None)
        loss = loss + reg.loss * self._share(counted, num_items_in_batch)
        names = (name for name in reg.last if name not in ("cacr_loss", "weight"))
        self.note(cacr_loss=reg.loss, cacr_weight=reg.last["weight"])
        self.note(**{f"cacr_{name}": reg.last[name] for name in names})
        return (loss, outputs) if return_outputs else loss

    def _share(self, counted: int, num_items_in_batch: Any) -> float:
        """This micro-batch's part of the mean over the examples of its optimizer step, as the Trainer will scale it.

        Where the model's loss is a sum over the step's tokens already, the Trainer leaves it alone; else it divides by
        the number of micro-batches.
        """
        trainer: Any = self
        scaled = trainer.loss_is_scaled_for_ga
        if scaled is None:
            by_items = trainer.model_accepts_loss_kwargs and num_items_in_batch is not None
            scaled = by_items or trainer.compute_loss_func is not None
        part = counted / self._counted if self._counted else 0.0
        return part if scaled else part * trainer.current_gradient_accumulation_steps

    def _rows(self, batch: Mapping[str, Any]) -> Any:
        return self._select(batch) if callable(self._select) else self._select

    def _count(self, batch: Mapping[str, Any]) -> int:
        """How many examples of a batch are counted; with "paired" all, since only the model knows which are."""
        ids = batch.get("input_ids")  # the first tensor of a batch may be patches of all its pictures
        examples = len(ids) if ids is not None else find_batch_size(batch) or 0
        rows = self._rows(batch)
        if rows is None or isinstance(rows, str):
            return examples
        if isinstance(rows, slice):
            return len(range(examples)[rows])
        rows = torch.as_tensor(rows)
        return int(rows.sum()) if rows.dtype == torch.bool else len(rows)

    def _check_model(self, model: Any) -> None:
        """The regularizer is on the model that runs: model_init makes another for each training."""
        inner = innermost(model)
        if inner is self.regularizer.model:
            return
        if self._options is None:
            raise ValueError(
                f"the regularizer is attached to another {type(self.regularizer.model).__name__} than the one that the "
                "Trainer runs. Attach it to that one, or give options in its place (as with model_init): "
                'regularizer={"weight": 0.1}'
            )
        self.regularizer.detach()
        self.regularizer = attach(inner, **self._options)
