"""What scorers share: each caption and picture of a request is encoded once, each pair is scored once.

match(captions, pictures)  ->  unique captions, unique pictures, unique pairs  ->  `score_pairs`  ->  back in order
EncodedScorer.score_pairs: encode both sides once; pairs sorted by length, in batches that fit a memory budget
"""

from __future__ import annotations

import json
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from cacr._messages import shortly
from cacr.data.pairs import Picture
from cacr.scorers.placing import hash_weights, hub_of, without_paths

logger = logging.getLogger(__name__)
Encoded = dict[str, Tensor]
"""Rows of what a model reads, one per caption or picture, padded at the end."""
MEMORY = 1 / 16
DEVICE_MEMORY = {"cpu": MEMORY, "cuda": 2.0}
"""GiB that the activations of one forward pass may take, about, by device: what stays in a CPU's caches is faster."""


class UniqueScorer(ABC):
    """A scorer that sees each caption, each picture and each pair of a request once."""

    name: str = ""
    """For tables and records."""
    looks_at: str = "pixels"
    """What the model reads of a picture: "pixels", "regions" or "nothing"."""
    threshold: float | None = None
    """The match above which the model takes a caption to be true; None where it has no such value."""

    def __init__(self) -> None:
        self.progress: Callable[[int], None] = lambda done: None
        """Called with the number of pairs just scored."""

    @abstractmethod
    def score_pairs(
        self, captions: Sequence[str], pictures: Sequence[Picture], rows: Tensor, columns: Tensor
    ) -> Tensor:
        """The match of captions[rows[i]] with pictures[columns[i]]: [pair]. No pair comes twice."""

    @torch.inference_mode()
    def match(self, captions: Sequence[str], pictures: Sequence[Picture]) -> Tensor:
        """The match of caption i with picture i: [pair], float32, on the CPU.

        Raises:
            ValueError: Different numbers of both, or a picture without what the model reads.
        """
        if len(captions) != len(pictures):
            raise ValueError(
                f"{len(captions)} captions and {len(pictures)} pictures; expected one picture a caption"
            )
        if not captions:
            return torch.empty(0)
        (captions, row_of), (pictures, column_of) = _unique_captions(captions), _unique(pictures)
        pairs, place = (row_of * len(pictures) + column_of).unique(return_inverse=True)
        return self._scored(captions, pictures, pairs // len(pictures), pairs % len(pictures))[place]

    @torch.inference_mode()
    def grid(self, captions: Sequence[str], pictures: Sequence[Picture]) -> Tensor:
        """The match of every caption with every picture: [caption, picture], float32, on the CPU."""
        if not captions or not pictures:
            return torch.empty(len(captions), len(pictures))
        (captions, row_of), (pictures, column_of) = _unique_captions(captions), _unique(pictures)
        pairs = torch.arange(len(captions) * len(pictures))
        match = self._scored(captions, pictures, pairs // len(pictures), pairs % len(pictures))
        return match.view(len(captions), len(pictures))[row_of][:, column_of]

    def _scored(
        self, captions: Sequence[str], pictures: Sequence[Picture], rows: Tensor, columns: Tensor
    ) -> Tensor:
        """`score_pairs` in float32 on the CPU.

        Raises ValueError for one that is no number or infinite: a benchmark would count it as wrong, or as a tie.
        """
        match = self.score_pairs(captions, pictures, rows, columns).float().cpu()
        if len(broken := (~match.isfinite()).nonzero()[:, 0]):
            first = int(broken[0])
            raise ValueError(
                f"{self.name} gives no number for {len(broken)} of {len(match)} pairs, first for the caption "
                f"{shortly(captions[int(rows[first])])} with the picture {pictures[int(columns[first])].image_id} "
                f"({match[first].item()}); use float32 or bfloat16, and check the model's weights"
            )
        return match

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What another person needs to score the same way."""


def _key(caption: str) -> tuple[str, str | None]:
    """What tells captions apart: a question with its answer is not an equal sentence."""
    return str(caption), getattr(caption, "question", None)


def _unique_captions(captions: Sequence[str]) -> tuple[list[str], Tensor]:
    """Unique captions, and the place of each among them."""
    unique: dict[tuple[str, str | None], str] = {}
    for caption in captions:
        unique.setdefault(_key(caption), caption)
    place = {key: place for place, key in enumerate(unique)}
    return list(unique.values()), torch.tensor([place[_key(caption)] for caption in captions])


def _unique(pictures: Sequence[Picture]) -> tuple[list[Picture], Tensor]:
    """Unique pictures, and the place of each among them."""
    unique = list({id(picture): picture for picture in pictures}.values())
    place = {id(picture): place for place, picture in enumerate(unique)}
    return unique, torch.tensor([place[id(picture)] for picture in pictures])


class Latest:
    """What was made of the captions of the latest request: retrieval asks for the same ones with many pictures."""

    def __init__(self) -> None:
        self._key: tuple[tuple[str, str | None], ...] = ()
        self._made: Any = None

    def of(self, captions: Sequence[str], make: Callable[[Sequence[str]], Any]) -> Any:
        """What ``make`` gave for these captions, made again if they are others than last time."""
        key = tuple(map(_key, captions))
        if self._made is None or key != self._key:
            self._key, self._made = key, make(captions)
        return self._made


class ModelScorer(UniqueScorer):
    """A scorer with a model of transformers.

    Args:
        model: The model; it is put into eval mode.
        name: For tables and records; the type of the model if empty.
        memory: GiB that the activations of a forward pass may take, about; what suits the device if None.
    """

    def __init__(self, model: PreTrainedModel, name: str = "", memory: float | None = None):
        super().__init__()
        if memory is not None and not 0 < memory < math.inf:
            raise ValueError(f"memory is {memory} GiB; expected more than 0")
        self.model, self.name = model.eval(), name or model.config.model_type
        self.memory = memory or DEVICE_MEMORY.get(model.device.type, MEMORY)
        self._hashed: tuple[int, str] | None = None
        self._said_cut = False

    def ready(self, inputs: Mapping[str, Tensor]) -> Encoded:
        """On the model's device, and numbers with a point in its precision."""
        return {
            name: value.to(self.model.device, self.model.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
        }

    def say_cut(self, cut: Sequence[str], captions: int, tokens: int) -> None:
        """Warn, once, that captions are longer than the model reads."""
        if cut and not self._said_cut:
            self._said_cut = True
            logger.warning(
                "%s reads %d tokens: %d of %d captions are longer and cut (first: %s)",
                self.name,
                tokens,
                len(cut),
                captions,
                shortly(cut[0]),
            )

    def _weights_hash(self) -> str:
        """Of all weights, computed again when one was changed in place."""
        state = sum(weights._version for weights in self.model.parameters())
        if self._hashed is None or self._hashed[0] != state:
            self._hashed = (state, hash_weights(self.model))
        return self._hashed[1]

    def describe(self) -> dict[str, Any]:
        """The model's class and size, in what precision it ran, its whole configuration, and its commit on the hub."""
        return {
            "model": type(self.model).__name__,
            "model_type": self.model.config.model_type,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "weights": self._weights_hash(),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "attention": self.model.config._attn_implementation,
            "adapters": sorted(getattr(self.model, "peft_config", None) or {}),
            "config": without_paths(json.loads(self.model.config.to_json_string(use_diff=False))),
        } | hub_of(self.model)


class EncodedScorer(ModelScorer):
    """A scorer whose model reads captions and pictures that were encoded apart from each other.

    Args:
        model: The model; it is put into eval mode.
        name: For tables and records; the type of the model if empty.
        memory: GiB that the activations of a forward pass may take, about; what suits the device if None.
    """

    cut_text: Sequence[str] = ("input_ids", "attention_mask", "token_type_ids")
    """Tensors of `encode_captions` whose second axis is tokens: cut to the longest caption of a batch."""
    cut_seen: Sequence[str] = ("region_features", "region_positions", "region_mask")
    """Tensors of `encode_pictures` whose second axis is regions: cut to the most regions of a batch."""

    def __init__(self, model: PreTrainedModel, name: str = "", memory: float | None = None):
        super().__init__(model, name, memory)
        self._latest = Latest()

    @property
    def looks_at(self) -> str:  # type: ignore[override]
        """What the model reads of a picture."""
        return "pixels" if self.region_dim is None else "regions"

    @property
    def region_dim(self) -> int | None:
        """Numbers per region that the model reads; None for a model of pixels."""
        names = ("region_dim", "visual_feat_dim", "visual_embedding_dim")
        return next(
            (getattr(self.model.config, name) for name in names if hasattr(self.model.config, name)), None
        )

    @abstractmethod
    def encode_captions(self, captions: Sequence[str]) -> Encoded:
        """What the model reads of each caption: tensors [caption, …] on its device.

        ``attention_mask`` [caption, token], where there is one, says how long each is.
        """

    @abstractmethod
    def encode_pictures(self, pictures: Sequence[Picture]) -> Encoded:
        """What the model reads of each picture: tensors [picture, …] on its device.

        ``region_mask`` [picture, region], where there is one, says how many regions each has.
        """

    @abstractmethod
    def forward(self, text: Encoded, seen: Encoded) -> Tensor:
        """The match of row i of both: [pair]."""

    def shown(self, seen: Encoded, cut: Sequence[str], pictures: Tensor, most: int) -> Encoded:
        """What `forward` gets of the pictures of a batch: their rows, those in ``cut`` of ``most`` regions."""
        return gathered(seen, cut, pictures, most)

    def pair_bytes(self, text: int, seen: int) -> int:
        """About how much memory a pair of so many tokens takes in a forward pass: one layer lives at a time."""
        config = self.model.config.get_text_config()
        width = int(getattr(config, "hidden_size", 768))
        heads = int(getattr(config, "num_attention_heads", 12))
        tokens = text + seen
        return (12 * tokens * width + heads * tokens**2) * self.model.dtype.itemsize

    def score_pairs(
        self, captions: Sequence[str], pictures: Sequence[Picture], rows: Tensor, columns: Tensor
    ) -> Tensor:
        """The match of captions[rows[i]] with pictures[columns[i]], similar lengths together."""
        text, seen = self._latest.of(captions, self.encode_captions), self.encode_pictures(pictures)
        text_length, seen_length = _lengths(text, "attention_mask"), _lengths(seen, "region_mask")
        cut_text = self.cut_text if "attention_mask" in text else ()  # without a mask all is real
        cut_seen = self.cut_seen if "region_mask" in seen else ()
        match = torch.empty(len(rows))
        for some in self._batches(text_length[rows], seen_length[columns], columns):
            batch = gathered(text, cut_text, rows[some], int(text_length[rows[some]].max()))
            shown = self.shown(seen, cut_seen, columns[some], int(seen_length[columns[some]].max()))
            match[some] = self.forward(batch, shown).float().cpu()
            self.progress(len(some))
        return match

    def _batches(self, text: Tensor, seen: Tensor, pictures: Tensor) -> Iterator[Tensor]:
        """Indices of pairs, sorted by length, as many at a time as the memory holds."""
        # the longest captions first, so that memory is short at once or never; equal pictures together
        order = torch.from_numpy(np.lexsort((pictures.numpy(), -seen.numpy(), -text.numpy())))
        start, most = 0, int(seen.max())
        while start < len(order):
            each = self.pair_bytes(int(text[order[start]]), most)
            count = max(1, int(self.memory * 2**30 / each))
            yield order[start : start + count]
            start += count


def _lengths(rows: Encoded, mask: str) -> Tensor:
    if mask in rows:
        return rows[mask].sum(1).cpu()
    first = next(iter(rows.values()))
    return torch.full((len(first),), first.shape[1] if first.ndim > 1 else 1)


def gathered(rows: Encoded, cut: Sequence[str], index: Tensor, longest: int) -> Encoded:
    """Rows by index; those named in ``cut`` only as far as the longest of them."""
    return {
        name: (values[:, :longest] if name in cut else values)[index.to(values.device)]
        for name, values in rows.items()
    }
