"""Ranking with mined hard negatives and an attention loss on the true pairs, on the stock transformers Trainer.

What the Trainer brings: mixed precision, accumulation, exact state of optimizer and random
numbers. What is added: mining by the model itself without gradients, the loss, its parts in the log, checkpoints that
count only when they are whole.

Source: github.com/ChenRocks/UNITER, train_itm_hard_negatives.py; github.com/KhoomeiK/CACR for the attention loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sized
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import Trainer

from cacr.attention import AttentionBlocks
from cacr.losses import SCHEDULES, attention_loss, hardest_negatives, ranking_loss
from cacr.models.uniter import UniterProcessor
from cacr.regularizer import Regularizer, attach
from cacr.training.config import TrainConfig
from cacr.training.parts import PartsInLog

COMPLETE = "complete"
"""Written into a checkpoint folder last: without it the folder is the rest of a killed run."""


class RetrievalTrainer(PartsInLog, Trainer):
    """A Trainer whose batches are groups of pairs (see `GroupCollator`).

    Args:
        recipe: What to learn with.
        processor: Tells which tokens count as text.
        kwargs: As for the transformers Trainer.
    """

    loss_is_scaled_for_ga = False  # compute_loss returns a mean over the batch

    def __init__(self, *args: Any, recipe: TrainConfig, processor: UniterProcessor, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if self.args.n_gpu > 1:
            raise ValueError(
                f"{self.args.n_gpu} GPUs in one process; training uses one so far: set CUDA_VISIBLE_DEVICES=0"
            )
        self.recipe, self.processor = recipe, processor
        self._true = torch.empty(0, dtype=torch.long)
        self.regularizer = self._attach()

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> SequentialSampler:
        assert isinstance(self.train_dataset, Sized)
        return SequentialSampler(self.train_dataset)  # items draw their own order; see GroupDataset

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Ranking loss over the hardest negatives, plus the scheduled attention loss of the true pairs."""
        captions, images = inputs["captions"], inputs["images"]
        hard = hardest_negatives(self._mine(model, inputs), self.recipe.negatives)
        chosen = torch.cat([torch.zeros_like(hard[:, :1]), hard], 1)
        captions, images = captions.gather(1, chosen), images.gather(1, chosen)
        batch = _pairs(inputs, captions.flatten(), images.flatten())
        reg = self.regularizer
        if reg is not None:
            self._true = torch.arange(len(chosen), device=chosen.device) * chosen.shape[1]
            reg.progress(min(self.state.global_step, self.recipe.steps), self.recipe.steps)
        out = model(**batch)
        match = out.rank_scores.view(chosen.shape)
        image_anchored, text_anchored = (ranking_loss(half, self.recipe.margin) for half in match.chunk(2))
        self.note(rank_image=image_anchored, rank_text=text_anchored)
        loss = (image_anchored + text_anchored) / 2
        if reg is not None:
            self.note(**{name: reg.last[name] for name in ("vision", "language", "weight")})
            loss = loss + out.cacr_loss / 2
        return (loss, out) if return_outputs else loss

    @torch.no_grad()
    def _mine(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        """Match of every candidate by the model as it is, in eval mode: [group, 1 + candidates]."""
        captions, images = inputs["captions"], inputs["images"]
        training = model.training
        model.eval()
        with self.compute_loss_context_manager():
            parts = [
                model(**_pairs(inputs, some, others)).rank_scores[:, 0].float()
                for some, others in zip(
                    captions.flatten().split(self.recipe.mining_batch),
                    images.flatten().split(self.recipe.mining_batch),
                    strict=True,
                )
            ]
        model.train(training)
        return torch.cat(parts).view(captions.shape)

    def _attach(self) -> Regularizer | None:
        """The recipe's loss on the true pairs: vision on image-anchored groups, language on text-anchored ones."""
        recipe, named = self.recipe, attention_loss(self.recipe.loss)
        if named is None:
            return None

        def on_its_groups(blocks: AttentionBlocks, direction: str) -> Tensor:
            half = len(blocks) // 2
            return named(blocks[:half] if direction == "vision" else blocks[half:], direction)

        def words(inputs: Mapping[str, Tensor]) -> Tensor:
            ids, mask = inputs["input_ids"], inputs["attention_mask"]
            return self.processor.text_mask(ids, mask, special_tokens=named.special_tokens)

        assert self.model is not None
        return attach(
            self.model,
            layer=recipe.layer,
            loss=on_its_groups,
            weight=recipe.weight,
            schedule=lambda done: SCHEDULES[recipe.schedule](done, recipe.rate),
            select=lambda inputs: self._true,
            text_mask=words,
            space=named.space,
            heads=named.heads,
        )

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            (folder / COMPLETE).touch()


def _pairs(inputs: dict[str, Any], captions: Tensor, images: Tensor) -> dict[str, Tensor]:
    batch = {name: values[captions] for name, values in inputs["text"].items()}
    return batch | {name: values[images] for name, values in inputs["regions"].items()}
