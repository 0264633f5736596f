"""Any transformers Trainer, and TRL's SFTTrainer, with an attention regularizer.

A callback cannot do this: it never sees the loss, and what it writes into the log comes after the reporters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers.trainer_pt_utils import find_batch_size

from cacr.regularizer import Regularizer, attach
from cacr.training.parts import PartsInLog


class CongruenceTrainerMixin(PartsInLog):
    """Adds the regularizer to the loss of the Trainer that it is mixed into, and its parts to the log.

        class CongruenceTrainer(CongruenceTrainerMixin, Trainer): ...
        CongruenceTrainer(model, args, train_dataset=data, regularizer=cacr.attach(model, weight=0.1)).train()

    The gradient is that of the mean over all examples of an optimizer step, however they are cut into micro-batches.
    A schedule runs over the Trainer's own steps, also after it resumes. The log has ``cacr_loss`` (weighted),
    ``cacr_weight``, ``cacr_language`` and ``cacr_vision`` (nats), as means of this process since the last line.

    Args:
        regularizer: What `cacr.attach` gave for the model, or options for it, which is then called on the model that
            the Trainer made: {"weight": 0.1}.
        args: As for the Trainer.
        kwargs: As for the Trainer.

    Raises:
        TypeError: Neither a regularizer nor options.
        ValueError: Attached with add_to_loss=True, which would count it twice; several GPUs in one process.
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
                f"{trainer.args.n_gpu} GPUs in one process: the Trainer would use torch.nn.DataParallel, whose "
                "replicas share hooks. Start it with torchrun, or set CUDA_VISIBLE_DEVICES=0"
            )
        made = regularizer if isinstance(regularizer, Regularizer) else attach(trainer.model, **regularizer)
        if made.add_to_loss:
            raise ValueError("attached with add_to_loss=True; the mixin adds it itself, so leave that out")
        self.regularizer = made
        self._own_total = made.total_steps
        self._examples = 0

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """The Trainer's micro-batches of an optimizer step; their examples are counted."""
        result = super().get_batch_samples(*args, **kwargs)  # type: ignore[misc]
        self._examples = sum(find_batch_size(batch) or 0 for batch in result[0])
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
        reg, trainer = self.regularizer, self
        state: Any = trainer.state  # type: ignore[attr-defined]
        if reg.schedule is not None and reg.active:
            reg.progress(state.global_step, self._own_total or state.max_steps)
        examples = find_batch_size(inputs) or 0
        reg.forget()
        result = super().compute_loss(  # type: ignore[misc]
            model, inputs, return_outputs=return_outputs, num_items_in_batch=num_items_in_batch, **kwargs
        )
        if not reg.active:
            return result
        loss, outputs = result if return_outputs else (result, None)
        loss = loss + reg.loss * self._share(examples, num_items_in_batch)
        names = (name for name in reg.last if name not in ("cacr_loss", "weight"))
        self.note(cacr_loss=reg.loss, cacr_weight=reg.last["weight"])
        self.note(**{f"cacr_{name}": reg.last[name] for name in names})
        return (loss, outputs) if return_outputs else loss

    def _share(self, examples: int, num_items_in_batch: Any) -> float:
        """This micro-batch's part of the mean over the examples of its optimizer step, as the Trainer will scale it.

        Where the model's loss is a sum over the step's tokens already, the Trainer leaves it alone; else it divides by
        the number of micro-batches.
        """
        trainer: Any = self
        scaled = trainer.loss_is_scaled_for_ga
        if scaled is None:
            by_items = trainer.model_accepts_loss_kwargs and num_items_in_batch is not None
            scaled = by_items or trainer.compute_loss_func is not None
        batches = getattr(trainer, "current_gradient_accumulation_steps", 1)
        part = examples / self._examples if self._examples else 1 / batches
        return part if scaled else part * batches
