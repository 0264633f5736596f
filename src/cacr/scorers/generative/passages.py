"""A picture, a question and an answer as one row that a model reads, and the log-probability of the answer.

passage:  [ picture … question … | answer ]     the model reads all but the last token; `start` predicts the answer's
batch:    rows padded at the end, pictures side by side; one forward pass; log P of each answer, token by token
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from cacr.scorers.generative.towers import LatestPicture, each_picture_once


@dataclass(frozen=True, eq=False)
class Passage:
    """One row of what a model reads, and the answer whose probability is asked."""

    inputs: dict[str, Tensor]
    """Tensors with one row each: [1, token] and the picture's."""
    along: frozenset[str]
    """Names of those whose second axis is that of the tokens below."""
    tokens: tuple[int, ...]
    """What the decoder reads: prompt and answer without its last token."""
    start: int
    """The place in ``tokens`` that predicts the answer's first token."""
    answer: tuple[int, ...]
    """The answer's tokens."""
    reads: str = "input_ids"
    """The name of ``tokens`` among the inputs: ``decoder_input_ids`` where the picture goes into an encoder."""
    about: tuple[int, ...] = (0,)
    """The number of the picture, and what an encoder reads besides."""

    @property
    def key(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Equal for passages that differ in their answers' last tokens alone, so that one row gives both."""
        return self.about, self.tokens


def batched(
    model: PreTrainedModel, passages: Sequence[Passage], tokens: slice = slice(None), pad: int = 0
) -> dict[str, Tensor]:
    """The rows of passages as one batch on the model's device; ``tokens`` cuts the token axis."""
    batch = {}
    for name in passages[0].inputs:
        rows = [passage.inputs[name] for passage in passages]
        if name in passages[0].along:
            rows = [row[:, tokens] for row in rows]
        if name in passages[0].along or _is_text(rows[0]):
            rows = _padded(rows, pad if name.endswith("input_ids") else 0)
        batch[name] = _placed(torch.cat(rows), model)
    return batch


def shapes(passage: Passage) -> tuple[Any, ...]:
    """Equal for passages that fit into one batch."""
    fixed = {
        name: values
        for name, values in passage.inputs.items()
        if name not in passage.along and not _is_text(values)
    }
    return tuple((name, values.shape[1:]) for name, values in fixed.items())


def passage_bytes(model: PreTrainedModel, passage: Passage) -> int:
    """About how much memory a passage takes in a forward pass: one layer at a time, its logits, and the picture."""
    return read_bytes(model, passage) + logit_bytes(model, len(passage.tokens) - passage.start)


def read_bytes(model: PreTrainedModel, passage: Passage) -> int:
    """Of that, what one layer and the picture take."""
    config = getattr(model.config, "text_config", model.config)
    width = int(getattr(config, "hidden_size", 1024))
    read = sum(values.numel() for name, values in passage.inputs.items() if name.endswith("input_ids"))
    seen = sum(values.numel() for values in passage.inputs.values() if values.is_floating_point())
    return 16 * (read * width + seen) * model.dtype.itemsize


def logit_bytes(model: PreTrainedModel, places: int) -> int:
    """Of that, what the logits of so many places take: in the model's precision and as log-probabilities."""
    config = getattr(model.config, "text_config", model.config)
    return places * int(config.vocab_size) * 8


def image_token(config: PreTrainedConfig) -> int | None:
    """The token that stands in a decoder's sequence for a part of the picture, if the model has one."""
    for name in ("image_token_id", "image_token_index"):
        if getattr(config, name, None) is not None:
            return int(getattr(config, name))
    return None


def log_probabilities(
    model: PreTrainedModel, passages: Sequence[Passage], pad: int = 0, latest: LatestPicture | None = None
) -> list[Tensor]:
    """Log P of each token of each passage's answer, from one forward pass: [token] each, in nats.

    Args:
        model: The model.
        passages: Passages of any pictures that fit into one batch.
        pad: The token that fills rows up.
        latest: What the vision tower made of the last picture of the batch before; this batch leaves its own there.
    """
    rows, row_of = unique_rows(passages)
    longest = max(len(passage.tokens) for passage in rows)
    first = min(passage.start for passage in passages)
    with each_picture_once(model, [passage.about[0] for passage in rows], latest):
        logits = last_logits(model, batched(model, rows, pad=pad), longest - first)
    return [of_answer(logits[row], passage, first) for row, passage in zip(row_of, passages, strict=True)]


def unique_rows(passages: Sequence[Passage]) -> tuple[list[Passage], list[int]]:
    """Passages that the model has to read, and for each of those given which of them answers it."""
    first = {passage.key: passage for passage in reversed(passages)}
    place = {key: row for row, key in enumerate(first)}
    return list(first.values()), [place[passage.key] for passage in passages]


def last_logits(model: PreTrainedModel, batch: dict[str, Tensor], count: int, **kwargs: Any) -> Tensor:
    """Logits of the last ``count`` places: [row, place, word]. A vocabulary is wide: only these are computed."""
    return model(**batch, **keeping(model, count), **kwargs).logits[:, -count:]


def keeping(model: PreTrainedModel, count: int) -> dict[str, int]:
    """The argument by which a model computes logits of its last ``count`` places only, if it has one."""
    known = "logits_to_keep" in inspect.signature(model.forward).parameters
    return {"logits_to_keep": count} if known else {}


def of_answer(logits: Tensor, passage: Passage, first: int) -> Tensor:
    """Log P of the answer's tokens from the logits of places ``first``, ``first`` + 1, …: [token]."""
    some = logits[passage.start - first :][: len(passage.answer)].float().log_softmax(-1)
    answer = torch.tensor(passage.answer, device=some.device)
    return some.gather(1, answer[:, None])[:, 0].cpu()


def _is_text(values: Tensor) -> bool:
    """Whether a tensor is a row of tokens of its own, such as the instruction that a Q-Former reads."""
    return values.ndim == 2 and len(values) == 1 and not values.is_floating_point()


def _padded(rows: Sequence[Tensor], value: int) -> list[Tensor]:
    longest = max(row.shape[1] for row in rows)
    return [
        torch.cat([row, row.new_full((1, longest - row.shape[1], *row.shape[2:]), value)], 1) for row in rows
    ]


def _placed(values: Tensor, model: PreTrainedModel) -> Tensor:
    return values.to(model.device, model.dtype if values.is_floating_point() else None)
