"""What scorers with a head for image-text matching share: which head it is, loading it or refusing, captions, regions.

A head of two classes gives the logit of a match minus the logit of none, so that 0 is a probability of 1/2.
A checkpoint without the head is refused: transformers would draw its weights at random.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from transformers import PreTrainedModel

from cacr._messages import unknown
from cacr.data.pairs import Picture
from cacr.models.processing import padded_regions
from cacr.scorers.encoded import Encoded, EncodedScorer
from cacr.scorers.loading import load_beside, load_weights
from cacr.scorers.placing import settle


@dataclass(frozen=True)
class Head:
    """One way in which a family scores pairs."""

    model: str
    """The class of transformers that has it."""
    says: str
    """What the number is."""
    example: str
    """A published checkpoint with this head."""
    threshold: float | None = None
    """The match above which a pair is taken to be true."""
    spare: tuple[str, ...] = ()
    """Beginnings of names of weights that this score does not read, so that a checkpoint may lack them."""


class MatchHeadScorer(EncodedScorer):
    """A scorer of a transformers model with one or more `Head` s.

    Args:
        model: A model of the class that the head names.
        processor: Its processor; a tokenizer is enough for a model of regions.
        name: For tables and records.
        memory: GiB that the activations of a forward pass may take, about; what suits the device if None.
        score: Which head; the first if None.

    Raises:
        ValueError: An unknown score, a model of another class, or a processor without what the model reads.
    """

    heads: ClassVar[Mapping[str, Head]]
    """By the name of the score."""
    reads: ClassVar[Sequence[str]] = ("input_ids", "attention_mask")
    """What the model takes of the tokenizer's output."""
    parts: ClassVar[Sequence[str]] = ()
    """What the processor must have."""

    def __init__(
        self,
        model: PreTrainedModel,
        processor: Any,
        name: str = "",
        memory: float | None = None,
        score: str | None = None,
    ):
        super().__init__(model, name, memory)
        self.score, self.head = self._head(score)
        if self.head.model not in {one.__name__ for one in type(model).__mro__}:
            raise ValueError(
                f"the model is a {type(model).__name__}; the score {self.score!r} is computed by a {self.head.model}"
            )
        if lacks := [part for part in self.parts if not hasattr(processor, part)]:
            raise ValueError(
                f"the processor of {self.name} is a {type(processor).__name__} without {' and '.join(lacks)}; "
                "expected the model's own, saved beside it"
            )
        self.processor, self.threshold = processor, self.head.threshold

    @classmethod
    def from_pretrained(
        cls,
        folder: str | os.PathLike[str],
        device: str | torch.device | None = None,
        dtype: torch.dtype = torch.float32,
        name: str = "",
        memory: float | None = None,
        score: str | None = None,
    ) -> Self:
        """From a folder made by ``save_pretrained`` (model and processor), or a name on the hub.

        Raises:
            FileNotFoundError: No model or no processor there.
            ValueError: Another kind of model, unreadable weights, or a checkpoint without the head.
        """
        score, head = cls._head(score)
        model = load_head(folder, head, dtype)
        return cls(settle(model, device), cls.load_processor(folder), name, memory, score)

    @classmethod
    def load_processor(cls, folder: str | os.PathLike[str]) -> Any:
        """The processor saved beside the model."""
        from transformers import AutoProcessor

        return load_beside(AutoProcessor, folder, "processor")

    @classmethod
    def _head(cls, score: str | None) -> tuple[str, Head]:
        score = score or next(iter(cls.heads))
        if score not in cls.heads:
            raise ValueError(unknown(f"score for {cls.__name__}:", score, cls.heads))
        return score, cls.heads[score]

    @property
    def tokenizer(self) -> Any:
        """What makes word pieces."""
        return getattr(self.processor, "tokenizer", self.processor)

    @property
    def max_text_length(self) -> int:
        """Word pieces that the model has positions for, with [CLS] and [SEP]; longer captions are cut."""
        positions = self.text_config.max_position_embeddings
        return min(int(positions), int(self.tokenizer.model_max_length))

    @property
    def text_config(self) -> Any:
        """The configuration of the part that reads words."""
        return self.model.config.get_text_config()

    def words(self, captions: Sequence[str]) -> Encoded:
        """The tokenizer's output that the model reads, padded at the end; says once, how many captions are cut."""
        out = self.tokenizer(
            list(captions),
            padding=True,
            padding_side="right",
            truncation=True,
            max_length=self.max_text_length,
            return_tensors="pt",
        )
        self._say_cut(captions, out["attention_mask"].sum(1))
        return {name: out[name].to(self.model.device) for name in self.reads if name in out}

    def _say_cut(self, captions: Sequence[str], lengths: Tensor) -> None:
        full = [captions[i] for i in (lengths == self.max_text_length).nonzero()[:, 0].tolist()]
        if self._said_cut or not full:
            return
        whole = self.tokenizer(full, verbose=False)[
            "input_ids"
        ]  # verbose: it would say that they are too long
        cut = [caption for caption, ids in zip(full, whole, strict=True) if len(ids) > self.max_text_length]
        self.say_cut(cut, len(captions), self.max_text_length)

    def few(self, count: int, each: float) -> Iterator[slice]:
        """As many rows at a time as the memory holds, of so many bytes each."""
        step = max(1, int(self.memory * 2**30 / each))
        return (slice(start, start + step) for start in range(0, count, step))

    def describe(self) -> dict[str, Any]:
        """The model, which number of it this is, and how captions are cut."""
        return super().describe() | {"score": self.head.says, "max_text_length": self.max_text_length}


class RegionHeadScorer(MatchHeadScorer):
    """A `MatchHeadScorer` whose model reads regions: features, and boxes where it reads these."""

    @classmethod
    def load_processor(cls, folder: str | os.PathLike[str]) -> Any:
        """The tokenizer saved beside the model; regions need no processor."""
        from transformers import AutoTokenizer

        return load_beside(AutoTokenizer, folder, "tokenizer")

    def encode_captions(self, captions: Sequence[str]) -> Encoded:
        """Words."""
        return self.words(captions)

    def encode_pictures(self, pictures: Sequence[Picture]) -> Encoded:
        """``region_features``, ``region_positions`` (boxes, xyxy 0-1) and ``region_mask``, padded at the end.

        Raises:
            ValueError: A picture without regions, or regions of another width than the model's.
        """
        regions = [picture.regions for picture in pictures]
        for picture, r in zip(pictures, regions, strict=True):
            if r.features.shape[1] != self.region_dim:
                raise ValueError(
                    f"picture {picture.image_id} has features of {r.features.shape[1]} numbers per region; the model "
                    f"{self.name} was made for {self.region_dim}. Use features of its own detector"
                )
        return self.ready(padded_regions(regions, 4, lambda r: r.boxes01))

    def describe(self) -> dict[str, Any]:
        """The model, its score, and the width of the features that it reads."""
        return super().describe() | {"region_dim": self.region_dim}


def load_head(folder: str | os.PathLike[str], head: Head, dtype: torch.dtype) -> PreTrainedModel:
    """The model with this head, from a checkpoint that has all weights that the score reads.

    Raises:
        FileNotFoundError: No model there.
        ValueError: Another kind of model, unreadable weights, or weights that are missing.
    """
    import transformers

    model_class = getattr(transformers, head.model)
    if (Path(folder) / "config.json").is_file() or not Path(folder).is_dir():
        config = load_beside(transformers.AutoConfig, folder, "config")
        kind = model_class.config_class.model_type
        if config.model_type != kind:
            raise ValueError(f"{folder} is a model of kind {config.model_type!r}; expected {kind!r}")
    model, lacking = load_weights(model_class, folder, dtype)
    missing = [name for name in lacking if not name.startswith(head.spare)]
    if missing:
        named = (config.architectures or ["model without a named class"])[0]
        few = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
        raise ValueError(
            f"{folder} holds a {named} without {few}, which {head.model} needs to score a match. "
            f"Take a checkpoint that has them, such as {head.example}"
        )
    return model


def match_minus_none(logits: Tensor) -> Tensor:
    """Of logits (no match, match), [pair, 2], the log odds of a match: [pair]."""
    return logits[:, 1] - logits[:, 0]


def layer_bytes(queries: int, keys: int, width: int, heads: int, itemsize: int) -> int:
    """About how much memory a layer takes in which so many tokens attend to so many."""
    return (12 * queries * width + 2 * keys * width + heads * queries * keys) * itemsize
