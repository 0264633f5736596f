"""Models that write, as scorers: how probable an answer (`vqascore`) or a caption (`likelihood`) is, given the picture.

Any model of transformers' image-text-to-text, whether the picture goes into the decoder's own sequence (LLaVA, Qwen-VL,
InternVL, SmolVLM, PaliGemma, Gemma 3, BLIP-2, GIT) or into an encoder (Florence-2, BLIP-2 with T5, BLIP).

Pairs are grouped by picture; what its captions have in common is read once, where that is exact (`prefixes`).
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor
from transformers import PreTrainedModel

from cacr.data.pairs import Picture
from cacr.scorers.encoded import ModelScorer
from cacr.scorers.generative.filling import Batch, Filling
from cacr.scorers.generative.limits import check_length, position_limits
from cacr.scorers.generative.passage_writing import PassageWriter
from cacr.scorers.generative.passages import Passage, log_probabilities
from cacr.scorers.generative.prefixes import Prefix, PrefixTrial, kept_bytes
from cacr.scorers.generative.prompts import asking
from cacr.scorers.generative.towers import LatestPicture
from cacr.scorers.loading import load_beside, load_whole
from cacr.scorers.placing import settle


class GenerativeScorer(ModelScorer):
    """What both scores share: passages of a picture, how they are batched, and log-probabilities of their answers.

    Args:
        model: A model made by ``AutoModelForImageTextToText``; it is put into eval mode.
        processor: Its processor.
        name: For tables and records.
        memory: GiB that the activations of a forward pass may take, about. If None, what suits the device.
        prompt: The whole text with ``{question}`` and the processor's placeholder of the picture; None for the
            processor's chat template, or the wording of the family (`cacr.scorers.generative.prompts`).
        keep_prefix: Whether what a picture's captions have in common may be read once. It is done only where the
            first passages score the same both ways (1e-4 in float32; half precision rounds, so 0.05 and more), for
            pictures with `WORTH_A_PREFIX` passages and more.

    Raises:
        ValueError: A family that cacr knows no wording for, without a chat template and without ``prompt``.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        processor: Any,
        name: str = "",
        memory: float | None = None,
        prompt: str | None = None,
        keep_prefix: bool = True,
    ):
        super().__init__(model, name, memory)
        self.processor, self.ask = processor, asking(processor, model.config.model_type, prompt)
        self.writer = PassageWriter(processor, model.config, _begins_answer(model))
        self.trial = PrefixTrial(model, keep_prefix)
        self._pad = int(self.writer.tokenizer.pad_token_id or 0)
        self._limits = position_limits(model)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | os.PathLike[str],
        device: str | None = None,
        dtype: torch.dtype = torch.float32,
        **kwargs: Any,
    ) -> Self:
        """From a folder or a name on the hub; on a GPU if there is one and none is named.

        Args:
            folder: A folder made by ``save_pretrained``, or a model's name.
            device: Where the model runs.
            dtype: The precision of its parameters.
            **kwargs: As for the class.
        """
        from transformers import AutoModelForImageTextToText, AutoProcessor

        model = settle(load_whole(AutoModelForImageTextToText, folder, dtype), device)
        return cls(model, load_beside(AutoProcessor, folder, "processor"), **kwargs)

    @abstractmethod
    def passages(self, caption: str) -> list[tuple[str, str]]:
        """Prompt and answer of each passage that a caption's match is computed from."""

    @abstractmethod
    def combine(self, answers: Sequence[Tensor]) -> Tensor:
        """The match, from log P of each token of each of a caption's passages' answers: []."""

    def score_pairs(
        self, captions: Sequence[str], pictures: Sequence[Picture], rows: Tensor, columns: Tensor
    ) -> Tensor:
        """The match of captions[rows[i]] with pictures[columns[i]], picture by picture."""
        answers: list[list[Tensor]] = [[] for _ in rows]
        waiting, latest = Filling(self.model, self.memory), LatestPicture()
        self.trial.begin()  # so that a request's scores do not depend on those before it
        order = columns.argsort(stable=True)
        shown, counts = columns.unique(return_counts=True)
        for column, pairs in zip(shown.tolist(), order.split(counts.tolist()), strict=True):
            written = self._written(captions, pictures[column], rows, pairs)
            places = self.trial.places([passage for _, passage in written])
            if places:
                self._score_picture(answers, written, places)
                continue
            for pair, passage in written:
                for batch in waiting.add(pair, passage):
                    self._score_whole(answers, batch, latest)
        for batch in waiting.rest():
            self._score_whole(answers, batch, latest)
        return torch.stack([self.combine(some) for some in answers])

    def _score_picture(
        self, answers: list[list[Tensor]], written: Sequence[tuple[int, Passage]], places: int
    ) -> None:
        """Passages of one picture that have a prefix in common."""
        prefix: Prefix | None = None
        filling = Filling(self.model, self.memory, kept_bytes(self.model, places))
        batches = [batch for pair, passage in written for batch in filling.add(pair, passage)]
        for batch in [*batches, *filling.rest()]:
            found, prefix = self.trial.log_probabilities([p for _, p in batch], places, prefix, self._pad)
            self._keep(answers, batch, found)

    def _written(
        self, captions: Sequence[str], picture: Picture, rows: Tensor, pairs: Tensor
    ) -> list[tuple[int, Passage]]:
        """Passages of one picture with their pairs, the longest first; those of a pair stay together, in order."""
        asked = {pair: self.passages(captions[int(rows[pair])]) for pair in pairs.tolist()}
        self.writer.show(picture.image)
        written = [(pair, self.writer.write(*each)) for pair, some in asked.items() for each in some]
        for pair, passage in written:
            check_length(self.model, self._limits, passage.inputs, captions[int(rows[pair])])
        longest: dict[int, int] = {}
        for pair, passage in written:
            longest[pair] = max(len(passage.tokens), longest.get(pair, 0))
        return sorted(written, key=lambda one: (-longest[one[0]], one[0]))

    def _score_whole(self, answers: list[list[Tensor]], batch: Batch, latest: LatestPicture) -> None:
        found = log_probabilities(self.model, [passage for _, passage in batch], self._pad, latest)
        self._keep(answers, batch, found)

    def _keep(self, answers: list[list[Tensor]], batch: Batch, found: list[Tensor]) -> None:
        new = sum(not answers[pair] for pair in {pair for pair, _ in batch})
        for (pair, _), one in zip(batch, found, strict=True):
            answers[pair].append(one)
        self.progress(new)

    @property
    def prefix_kept(self) -> bool:
        """Whether the latest request read once what a picture's captions share; a record says only if it may."""
        return bool(self.trial.holds)

    def describe(self) -> dict[str, Any]:
        """The model's class and size, what it was asked, and whether what captions share may be read once."""
        return super().describe() | {
            "processor": type(self.processor).__name__,
            "keep_prefix": self.trial.allowed,
        }


def _begins_answer(model: PreTrainedModel) -> int | None:
    """The token with which a decoder behind an encoder of picture and prompt begins; None without such an encoder."""
    config = getattr(model.config, "text_config", model.config)
    if not (model.config.is_encoder_decoder or config.is_encoder_decoder):
        return None
    for source in (config, model.config, model.generation_config):
        token = getattr(source, "decoder_start_token_id", None)
        if token is not None:
            return int(token)
    raise ValueError(
        f"{type(model).__name__} has an encoder, and its configuration names no decoder_start_token_id; set it in "
        "model.generation_config"
    )
