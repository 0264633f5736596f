"""What is the same for all captions of a picture is read once: its keys and values are kept, and each caption goes on.

[ picture … question ] once  ->  keys and values  ->  [ caption 1 … ], [ caption 2 … ], … several at once

Exact only where no place sees a later one (causal models). A model has to show it with its first passages: another
ending must not change what it says at the end of the prefix, and both ways of scoring must agree within `TOLERANCE`.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from cacr.scorers.generative.passages import (
    Passage,
    batched,
    image_token,
    keeping,
    last_logits,
    log_probabilities,
    of_answer,
    unique_rows,
)

logger = logging.getLogger(__name__)
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-4, torch.bfloat16: 0.2, torch.float16: 0.05}
"""Nats per token by which both ways may differ. Half precision rounds a log-probability of some nats that roughly."""
TRIALS = 8
"""Pictures of different sizes that are scored both ways. Where all take as many tokens, one is."""
WORTH_A_PREFIX = 4
"""Unique passages of a picture from which on its prefix is kept: with fewer, pictures are read together instead.

A prefix costs two forward passes a picture. Two captions for each of 16 pictures took the tiny Qwen2-VL 36 forward
passes with prefixes and 1 without.
"""
AHEAD = 1e-3
"""How much another ending may change a logit before it: by rights nothing, in any precision."""


class Prefix:
    """The common beginning of the passages of one picture, read once.

    Args:
        model: The model.
        passages: Passages of one picture.
        places: How many tokens they have in common, the picture's among them.
    """

    def __init__(self, model: PreTrainedModel, passages: Sequence[Passage], places: int):
        self.model, self.places = model, places
        beginning = batched(model, passages[:1], slice(0, places))
        self._kept = model(**beginning, **keeping(model, 1), use_cache=True).past_key_values
        self._shift: Tensor | None = getattr(getattr(model, "model", model), "rope_deltas", None)

    def log_probabilities(self, passages: Sequence[Passage], pad: int = 0) -> list[Tensor]:
        """Log P of each token of each passage's answer: [token] each, in nats."""
        rows, row_of = unique_rows(passages)
        places, count, device = self.places, len(rows), self.model.device
        lengths = [len(passage.tokens) - places for passage in rows]
        ids = torch.full((count, max(lengths)), pad, device=device)
        mask = torch.ones(count, places + max(lengths), dtype=torch.long, device=device)
        for row, (passage, length) in enumerate(zip(rows, lengths, strict=True)):
            ids[row, :length] = torch.tensor(passage.tokens[places:], device=device)
            mask[row, places + length :] = 0
        kept: Any = copy.deepcopy(self._kept)
        kept.batch_repeat_interleave(count)
        batch = {"input_ids": ids, "attention_mask": mask}
        first = min(passage.start for passage in passages)
        logits = last_logits(
            self.model,
            batch | self._positions(*ids.shape),
            places + max(lengths) - first,
            past_key_values=kept,
            use_cache=True,
        )
        return [of_answer(logits[row], passage, first) for row, passage in zip(row_of, passages, strict=True)]

    def _positions(self, count: int, length: int) -> dict[str, Tensor]:
        """Positions in three dimensions, where a model has these: after a picture they go on from its longest side."""
        if self._shift is None:
            return {}
        after = torch.arange(self.places, self.places + length, device=self.model.device) + self._shift
        return {"position_ids": after.expand(3, count, length)}


def common_places(passages: Sequence[Passage], image_token: int | None) -> int:
    """How many tokens passages of one picture have in common and can leave to a prefix; 0 if the picture is not in it.

    Each keeps at least the place that predicts its answer.
    """
    first = passages[0].tokens
    if image_token not in first or any(passage.reads != "input_ids" for passage in passages):
        return 0
    places = min(passage.start for passage in passages)
    for passage in passages[1:]:
        same = zip(first[:places], passage.tokens[:places], strict=True)
        places = next((i for i, (a, b) in enumerate(same) if a != b), places)
    return places if image_token not in first[places:] and places > 0 else 0


class PrefixTrial:
    """Whether a model's prefixes can be used again: asked of its first pictures, and given up at the first that fails.

    Positions in three dimensions go on rightly for one size of picture and wrongly for another, so each of the first
    `TRIALS` sizes is tried. Every request begins anew: a stopped evaluation goes on to the same numbers.
    """

    def __init__(self, model: PreTrainedModel, allowed: bool = True):
        self.model, self.allowed, self.image_token = model, allowed, image_token(model.config)
        self._said = False
        self.begin()

    def begin(self) -> None:
        """Forget what was tried."""
        self.holds: bool | None = None if self.allowed else False
        self._tried_sizes: set[int] = set()

    def places(self, passages: Sequence[Passage]) -> int:
        """How many tokens the passages of a picture share, if it is worth keeping them and may be done."""
        passages, _ = unique_rows(passages)
        few = len(passages) < WORTH_A_PREFIX
        return 0 if few or self.holds is False else common_places(passages, self.image_token)

    def log_probabilities(
        self, passages: Sequence[Passage], places: int, prefix: Prefix | None = None, pad: int = 0
    ) -> tuple[list[Tensor], Prefix | None]:
        """Log P of the answers of one picture's passages, and the prefix for the next ones, if it may be used."""
        size = sum(token == self.image_token for token in passages[0].tokens[:places])
        known = size in self._tried_sizes or len(self._tried_sizes) == TRIALS
        if self.holds and (known or prefix):
            prefix = prefix or Prefix(self.model, passages, places)
            return prefix.log_probabilities(passages, pad), prefix
        plain = log_probabilities(self.model, passages, pad)
        if self.holds is not False:
            self._tried_sizes.add(size)
            prefix, why = self._tried(passages, places, plain, pad)
            self.holds = not why
            if why:
                prefix = None
                if not self._said:
                    logger.warning("%s reads every pair whole: %s", type(self.model).__name__, why)
                self._said = True
        return plain, prefix

    def _tried(
        self, passages: Sequence[Passage], places: int, plain: Sequence[Tensor], pad: int
    ) -> tuple[Prefix | None, str]:
        """The prefix, and why it may not be used, if so. A model may refuse to go on from kept keys in any way."""
        if (ahead := sees_ahead(self.model, passages[0], places)) > AHEAD:
            return None, f"another ending changes logits before it by {ahead:.2g}, so it is not causal"
        try:
            prefix = Prefix(self.model, passages, places)
            reused = prefix.log_probabilities(passages, pad)
        except torch.OutOfMemoryError:
            raise
        except (TypeError, ValueError, RuntimeError, AttributeError, IndexError, KeyError) as error:
            return None, f"it does not go on from kept keys and values ({type(error).__name__}: {error})"
        apart = float((torch.cat(list(reused)) - torch.cat(list(plain))).abs().max())
        if apart <= TOLERANCE[self.model.dtype]:
            return prefix, ""
        return None, f"with its prefix kept, log-probabilities differ by {apart:.2g} nats"


def sees_ahead(model: PreTrainedModel, passage: Passage, places: int) -> float:
    """By how much the logits at the end of a prefix change with what comes after it; 0 for a causal model."""
    rest = len(passage.tokens) - places
    batch = batched(model, [passage, passage])
    batch["input_ids"][1, places:] = torch.tensor(passage.answer[:1] * rest)
    one, another = last_logits(model, batch, rest + 1)[:, 0].float()
    return float((one - another).abs().max())


def kept_bytes(model: PreTrainedModel, places: int) -> int:
    """How much memory the keys and values of a prefix take, for each passage that goes on from it."""
    config = model.config.get_text_config(decoder=True)
    heads = int(config.num_attention_heads)
    each = getattr(config, "head_dim", None) or int(config.hidden_size) // heads
    heads = getattr(config, "num_key_value_heads", None) or heads
    return 2 * int(config.num_hidden_layers) * int(heads) * int(each) * places * model.dtype.itemsize
