"""Ranking with mined hard negatives and an attention loss on the true pairs, on the stock transformers Trainer.

What the Trainer brings: mixed precision, accumulation, several processes, exact state of optimizer and random numbers,
trackers, early stopping. What is added: mining by the model itself without gradients, the loss, its parts in the log,
retrieval on held-out pictures, checkpoints that count only when they are whole.

Source: github.com/ChenRocks/UNITER, train_itm_hard_negatives.py; github.com/KhoomeiK/CACR for the attention loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sized
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, SequentialSampler
from transformers import Trainer

from cacr._stopping import reader
from cacr.attention import AttentionBlocks
from cacr.data import CaptionSet
from cacr.losses import SCHEDULES, attention_loss, hardest_negatives, ranking_loss
from cacr.models.pairs import Host, Lengths, lean, paired
from cacr.models.processing import RegionProcessor
from cacr.regularizer import Regularizer, attach
from cacr.training.checkpoints import WholeCheckpoints
from cacr.training.config import TrainConfig
from cacr.training.guard import Guard
from cacr.training.precision import mines_in_bfloat16, mining
from cacr.training.processes import most_over_processes
from cacr.training.release import release_indices
from cacr.training.validation import retrieval_scores

AT_ONCE, AT_ONCE_ELSEWHERE = {"cpu": 32}, 128
"""Pairs of a part, by device: small parts have little padding, a GPU wants large ones."""


class RetrievalTrainer(WholeCheckpoints, Trainer):
    """A Trainer whose batches are groups of pairs (see `GroupCollator`).

    Args:
        recipe: What to learn with.
        processor: Joins captions and pictures, and tells which tokens count as text.
        dev: Held-out pictures and captions, whose retrieval `evaluate` measures.
        guard: Looks at each step before it reaches the weights.
        kwargs: As for the transformers Trainer.
    """

    loss_is_scaled_for_ga = False  # compute_loss returns a mean over the batch

    def __init__(
        self,
        *args: Any,
        recipe: TrainConfig,
        processor: RegionProcessor,
        dev: CaptionSet | None = None,
        guard: Guard | None = None,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.recipe, self.processor, self.dev, self.guard = recipe, processor, dev, guard
        if guard is not None:
            self.add_callback(guard)
            guard.on_skip = self.forget
        self._true = slice(0)
        self.regularizer = self._attach()
        self._bfloat16 = mines_in_bfloat16(recipe, self.args.device)

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> SequentialSampler:
        assert isinstance(self.train_dataset, Sized)
        return SequentialSampler(self.train_dataset)  # items draw their own order; see GroupDataset

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The Trainer's own; its readers outlive the SIGTERM after which a step is ended and saved."""
        loader = super().get_train_dataloader()
        own = getattr(loader, "base_dataloader", loader)  # accelerate wraps it
        own.worker_init_fn = partial(_read, own.worker_init_fn)
        return loader

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Ranking loss over the hardest negatives, plus the scheduled attention loss of the true pairs.

        With ``return_outputs`` also what the model gave: all chosen pairs where they fit one part, and else the true
        pairs alone, None without an attention loss.
        """
        regions = release_indices(inputs) if self.recipe.reproduce_release_indexing else None
        hard = hardest_negatives(self._mine(model, inputs, regions), self.recipe.negatives)
        chosen = torch.cat([torch.zeros_like(hard[:, :1]), hard], 1)
        reg = self.regularizer
        if reg is not None:
            reg.progress(min(self.state.global_step, self.recipe.steps), self.recipe.steps)
        match, out = self._learn(model, inputs, chosen, regions)
        image_anchored, text_anchored = (ranking_loss(half, self.recipe.margin) for half in match.chunk(2))
        self.note(rank_image=image_anchored, rank_text=text_anchored)
        loss = (image_anchored + text_anchored) / 2
        if reg is not None:
            self.note(**{name: reg.last[name] for name in ("vision", "language", "weight")})
            loss = loss + out.cacr_loss / 2
        self.note(loss=loss)
        if self.guard is not None:
            self.guard.saw(inputs, loss.detach())
        return (loss, out) if return_outputs else loss

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """The Trainer's own; a loss that is not finite, which the guard deals with, stays out of the Trainer's sums."""
        return super().training_step(*args, **kwargs).nan_to_num(0.0, 0.0, 0.0)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """The means of what was learned from, and how many steps were skipped so far, if any were."""
        if "loss" in logs and self.guard is not None and self.guard.skipped:
            logs["skipped"] = float(self.guard.skipped)
            if not self.noted():
                logs["loss"] = math.nan
        super().log(logs, *args, **kwargs)

    def _learn(
        self, model: nn.Module, inputs: dict[str, Any], chosen: Tensor, regions: Tensor | None = None
    ) -> tuple[Tensor, Any]:
        """Match of the chosen pairs, [group, 1 + negatives], with gradients; and what the model gave the true pairs.

        Many pairs go in parts of similar length, the true pairs in one of their own: they alone are watched, so that
        the last layer of the others is computed for [CLS] alone. The graph of all parts is kept until the backward
        pass. Every process has as many parts.
        """
        groups, size = chosen.shape
        rows = torch.stack([inputs["captions"].gather(1, chosen), inputs["images"].gather(1, chosen)])
        rows = rows.flatten(1)
        most = AT_ONCE.get(self.args.device.type, AT_ONCE_ELSEWHERE)
        if rows.shape[1] <= most or regions is not None:
            batch = paired(self.processor, inputs["text"], inputs["regions"], *rows)
            if regions is not None:
                batch["region_index"] = regions.repeat_interleave(size, 0)
            self._true = slice(0, None, size)
            out = model(**batch)
            return out.rank_scores.view(chosen.shape), out
        captions, images = rows.cpu().numpy()  # the step's one question to the device, beside the watch's own
        true, rest = np.arange(groups) * size, np.arange(groups * size)
        rest = rest[rest % size != 0] if self.regularizer is not None else rest
        parts = [rest[part] for part in inputs["lengths"].buckets(captions[rest], images[rest], most)]
        found, watched = [], None
        if self.regularizer is not None:
            self._true = slice(None)
            watched = model(**self._pairs(inputs, captions[true], images[true]))
            parts, found = [true, *parts], [watched.rank_scores[:, 0]]
        with self.regularizer.paused() if self.regularizer is not None else nullcontext():
            for part in parts[len(found) :]:
                batch = self._pairs(inputs, captions[part], images[part])
                found.append(model(**batch, first_only=self._first_only).rank_scores[:, 0])
        return _in_order(found, parts).view(chosen.shape), watched

    @property
    def _first_only(self) -> bool:
        """Whether a layer may be run in part. Not where processes share it: it is gathered when it is called."""
        return not self.is_fsdp_enabled

    def _mine(self, model: nn.Module, inputs: dict[str, Any], regions: Tensor | None = None) -> Tensor:
        """Match of every candidate by the model as it is: [group, 1 + candidates]. A pair is scored once."""
        text, seen, place = inputs["text"], inputs["regions"], inputs["pair_of"]
        with mining(self._bfloat16, self.args.device):
            if regions is None:
                captions, images = (torch.from_numpy(rows) for rows in inputs["pairs"])
                return self.match(text, seen, captions, images, model, lengths=inputs["lengths"])[place]
            # what a pair reads depends on its group
            every = regions.repeat_interleave(place.shape[1], 0)
            rows, columns = inputs["captions"].flatten(), inputs["images"].flatten()
            return self.match(text, seen, rows, columns, model, every).view(place.shape)

    @torch.no_grad()
    def match(
        self,
        text: Mapping[str, Tensor],
        regions: Mapping[str, Tensor],
        captions: Tensor,
        images: Tensor,
        model: nn.Module | None = None,
        region_index: Tensor | None = None,
        lengths: Lengths | None = None,
    ) -> Tensor:
        """The model's match of encoded captions and pictures in eval mode, by index: [pair], on its device.

        Processes that share a model run it equally often: those that are done earlier score their first pairs again.
        Pairs of similar length go together, without the padding that they do not need; with ``region_index``, which
        counts from the padded text, they stay as they are.
        """
        model = model or self.model
        assert isinstance(model, nn.Module)
        device, most = self.args.device, self.recipe.mining_batch
        if region_index is None:
            lengths = lengths or Lengths.of(text, regions)
            rows, columns = captions.cpu().numpy(), images.cpu().numpy()
            parts = lengths.buckets(rows, columns, min(most, AT_ONCE.get(device.type, most)))
        else:
            parts = np.array_split(np.arange(len(captions)), -(-len(captions) // most))
        text, regions = (
            {name: values.to(device) for name, values in rows.items()} for rows in (text, regions)
        )
        rounds = most_over_processes(len(parts), device) if self.is_fsdp_enabled else len(parts)
        found, training = [], model.training
        model.eval()
        with self.compute_loss_context_manager():
            for i in range(rounds):
                part = parts[i] if i < len(parts) else parts[0][:1]
                if region_index is None:
                    assert lengths is not None
                    batch = lean(self.processor, text, regions, rows[part], columns[part], lengths)
                else:
                    batch = paired(self.processor, text, regions, captions[part], images[part])
                    batch["region_index"] = region_index[part]
                found.append(model(**batch, first_only=self._first_only).rank_scores[:, 0].float())
        model.train(training)
        return _in_order(found[: len(parts)], parts)

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

    def _pairs(self, inputs: dict[str, Any], captions: Host, images: Host) -> dict[str, Any]:
        text, regions, lengths = inputs["text"], inputs["regions"], inputs["lengths"]
        return lean(self.processor, text, regions, captions, images, lengths)

    def _attach(self) -> Regularizer | None:
        """The recipe's loss on the true pairs: vision on image-anchored groups, language on text-anchored ones."""
        recipe, named = self.recipe, attention_loss(self.recipe.loss)
        if named is None:
            return None

        def on_its_groups(blocks: AttentionBlocks, direction: str) -> Tensor:
            half = len(blocks) // 2
            group = blocks[:half] if direction == "vision" else blocks[half:]
            # what is not finite is the guard's business
            return named.by_direction(group, [direction])[direction]

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


def _in_order(found: list[Tensor], parts: list[Host]) -> Tensor:
    """Values of all parts, back in the order of the pairs that the parts hold."""
    device = found[0].device
    order = torch.from_numpy(np.concatenate(parts).argsort()).to(device, non_blocking=device.type == "cuda")
    return torch.cat(found).index_select(0, order)


def _read(begin: Callable[[int], None] | None, worker: int) -> None:
    reader(worker)
    if begin is not None:
        begin(worker)
