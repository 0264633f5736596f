"""Ranking with mined hard negatives and an attention loss on the true pairs, on the stock transformers Trainer.

What the Trainer brings: mixed precision, accumulation, several processes, exact state of optimizer and random numbers,
trackers, early stopping. What is added: mining by the model itself without gradients, the loss, its parts in the log,
retrieval on held-out pictures, checkpoints that count only when they are whole.

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
from cacr.data import CaptionSet
from cacr.losses import SCHEDULES, attention_loss, hardest_negatives, ranking_loss
from cacr.models.pairs import paired
from cacr.models.processing import RegionProcessor
from cacr.regularizer import Regularizer, attach
from cacr.training.config import TrainConfig
from cacr.training.parts import PartsInLog
from cacr.training.processes import most_over_processes
from cacr.training.release import release_indices
from cacr.training.validation import retrieval_scores

COMPLETE = "complete"
"""Written into a checkpoint folder last: without it the folder is the rest of a killed run."""


class RetrievalTrainer(PartsInLog, Trainer):
    """A Trainer whose batches are groups of pairs (see `GroupCollator`).

    Args:
        recipe: What to learn with.
        processor: Joins captions and pictures, and tells which tokens count as text.
        dev: Held-out pictures and captions, whose retrieval `evaluate` measures.
        kwargs: As for the transformers Trainer.
    """

    loss_is_scaled_for_ga = False  # compute_loss returns a mean over the batch

    def __init__(
        self,
        *args: Any,
        recipe: TrainConfig,
        processor: RegionProcessor,
        dev: CaptionSet | None = None,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.recipe, self.processor, self.dev = recipe, processor, dev
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
        regions = release_indices(inputs) if self.recipe.reproduce_release_indexing else None
        hard = hardest_negatives(self._mine(model, inputs, regions), self.recipe.negatives)
        chosen = torch.cat([torch.zeros_like(hard[:, :1]), hard], 1)
        captions, images = captions.gather(1, chosen), images.gather(1, chosen)
        batch = self._pairs(inputs, captions.flatten(), images.flatten())
        if regions is not None:
            batch["region_index"] = regions.repeat_interleave(chosen.shape[1], 0)
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

    def _mine(self, model: nn.Module, inputs: dict[str, Any], regions: Tensor | None = None) -> Tensor:
        """Match of every candidate by the model as it is: [group, 1 + candidates]. A pair is scored once."""
        pairs, place = inputs["pairs"], inputs["pair_of"]
        if regions is None:
            found = self.match(inputs["text"], inputs["regions"], pairs[:, 0], pairs[:, 1], model)
        else:  # what a pair reads depends on its group
            every = regions.repeat_interleave(place.shape[1], 0)
            rows, columns = inputs["captions"].flatten(), inputs["images"].flatten()
            found, place = self.match(inputs["text"], inputs["regions"], rows, columns, model, every), None
        return found[place] if place is not None else found.view(inputs["captions"].shape)

    @torch.no_grad()
    def match(
        self,
        text: Mapping[str, Tensor],
        regions: Mapping[str, Tensor],
        captions: Tensor,
        images: Tensor,
        model: nn.Module | None = None,
        region_index: Tensor | None = None,
    ) -> Tensor:
        """The model's match of encoded captions and pictures in eval mode, by index: [pair], on its device.

        Processes that share a model run it equally often: those that are done earlier score their first pairs again.
        """
        model = model or self.model
        assert isinstance(model, nn.Module)
        training = model.training
        model.eval()
        text = {name: values.to(self.args.device) for name, values in text.items()}
        regions = {name: values.to(self.args.device) for name, values in regions.items()}
        device = self.args.device
        captions, images = captions.to(device), images.to(device)
        chunks = list(torch.arange(len(captions), device=device).split(self.recipe.mining_batch))
        rounds = most_over_processes(len(chunks), device) if self.is_fsdp_enabled else len(chunks)
        found = []
        with self.compute_loss_context_manager():
            for i in range(rounds):
                rows = chunks[i] if i < len(chunks) else chunks[0][:1]
                batch = paired(self.processor, text, regions, captions[rows], images[rows])
                if region_index is not None:
                    batch["region_index"] = region_index[rows]
                found.append(model(**batch).rank_scores[:, 0].float())
        model.train(training)
        return torch.cat(found[: len(chunks)])

    def evaluate(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> dict[str, float]:
        """Retrieval on the held-out pictures, measured by all processes together."""
        assert self.dev is not None
        scores = retrieval_scores(
            lambda text, regions, rows, columns: self.match(text, regions, rows, columns).cpu(),
            self.processor,
            self.dev,
            self.recipe.dev_pictures,
        )
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in scores.items()}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _pairs(self, inputs: dict[str, Any], captions: Tensor, images: Tensor) -> dict[str, Tensor]:
        return paired(self.processor, inputs["text"], inputs["regions"], captions, images)

    def _attach(self) -> Regularizer | None:
        """The recipe's loss on the true pairs: vision on image-anchored groups, language on text-anchored ones."""
        recipe, named = self.recipe, attention_loss(self.recipe.loss)
        if named is None:
            return None

        def on_its_groups(blocks: AttentionBlocks, direction: str) -> Tensor:
            half = len(blocks) // 2
            return named(blocks[:half] if direction == "vision" else blocks[half:], direction)

        def words(inputs: Mapping[str, Tensor]) -> Tensor:
            return self.processor.text_mask(
                inputs["input_ids"],
                inputs["attention_mask"],
                special_tokens=named.special_tokens,
                token_type_ids=inputs.get("token_type_ids"),
            )

        assert self.model is not None
        return attach(
            self.model,
            layer=recipe.layer,
            loss=on_its_groups,
            weight=recipe.weight
            * (recipe.batch * recipe.accumulate if recipe.reproduce_release_weight else 1),
            schedule=lambda done: SCHEDULES[recipe.schedule](done, recipe.rate),
            select=lambda inputs: self._true,
            text_mask=words,
            space=named.space,
            heads=named.heads,
        )

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        self.accelerator.wait_for_everyone()  # each process writes its own random numbers
        if self.args.should_save:
            (folder / COMPLETE).touch()
