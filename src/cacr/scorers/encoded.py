"""What scorers share: each caption and picture of a request is encoded once, each pair is scored once.

match(captions, pictures)  ->  unique captions, unique pictures, unique pairs  ->  `score_pairs`  ->  back in order
EncodedScorer.score_pairs: encode both sides once; pairs sorted by length, in batches that fit a memory budget
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from cacr.data.pairs import Picture

Encoded = dict[str, Tensor]
"""Rows of what a model reads, one per caption or picture, padded at the end."""
MEMORY = 1 / 16
DEVICE_MEMORY = {"cpu": MEMORY, "cuda": 2.0}
"""GiB that the activations of one forward pass may take, about, by device: what stays in a CPU's caches is faster."""


class UniqueScorer(ABC):
    """A scorer that sees each caption, each picture and each pair of a request once."""

    name: str = ""
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
        unique_captions = list(dict.fromkeys(captions))
        unique_pictures = list({id(picture): picture for picture in pictures}.values())
        row_of = {caption: row for row, caption in enumerate(unique_captions)}
        column_of = {id(picture): column for column, picture in enumerate(unique_pictures)}
        asked = torch.tensor(
            [
                row_of[caption] * len(unique_pictures) + column_of[id(picture)]
                for caption, picture in zip(captions, pictures, strict=True)
            ]
        )
        pairs, place = asked.unique(return_inverse=True)
        rows, columns = pairs // len(unique_pictures), pairs % len(unique_pictures)
        return self.score_pairs(unique_captions, unique_pictures, rows, columns).float().cpu()[place]

    @torch.inference_mode()
    def grid(self, captions: Sequence[str], pictures: Sequence[Picture]) -> Tensor:
        """The match of every caption with every picture: [caption, picture], float32, on the CPU."""
        rows = torch.arange(len(captions)).repeat_interleave(len(pictures))
        columns = torch.arange(len(pictures)).repeat(len(captions))
        match = self.score_pairs(captions, pictures, rows, columns).float().cpu()
        return match.view(len(captions), len(pictures))

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What another person needs to score the same way."""


class ModelScorer(UniqueScorer):
    """A scorer with a model of transformers.

    Args:
        model: The model; it is put into eval mode.
        name: For tables and records.
        memory: GiB that the activations of a forward pass may take, about; sets how many pairs go into one. If None,
            what suits the device.
    """

    def __init__(self, model: PreTrainedModel, name: str = "", memory: float | None = None):
        super().__init__()
        if memory is not None and memory <= 0:
            raise ValueError(f"memory is {memory} GiB; expected more than 0")
        self.model, self.name = model.eval(), name or model.config.model_type
        self.memory = memory or DEVICE_MEMORY.get(model.device.type, MEMORY)

    def describe(self) -> dict[str, Any]:
        """The model's class and size, in what precision it ran, and its whole configuration."""
        return {
            "model": type(self.model).__name__,
            "model_type": self.model.config.model_type,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "attention": self.model.config._attn_implementation,
            "config": json.loads(self.model.config.to_json_string(use_diff=False)),
        }


class EncodedScorer(ModelScorer):
    """A scorer whose model reads captions and pictures that were encoded apart from each other.

    Args:
        model: The model; it is put into eval mode.
        name: For tables and records.
        memory: GiB that the activations of a forward pass may take, about; sets how many pairs go into one. If None,
            what suits the device.
    """

    cut_text: Sequence[str] = ("input_ids", "attention_mask", "token_type_ids")
    """Tensors of `encode_captions` whose second axis is tokens: cut to the longest caption of a batch."""
    cut_seen: Sequence[str] = ("region_features", "region_positions", "region_mask")
    """Tensors of `encode_pictures` whose second axis is regions: cut to the most regions of a batch."""

    def __init__(self, model: PreTrainedModel, name: str = "", memory: float | None = None):
        super().__init__(model, name, memory)
        self._latest: tuple[Sequence[str], Encoded] | None = None

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
        text, seen = self._captions(captions), self.encode_pictures(pictures)
        text_length, seen_length = _lengths(text, "attention_mask"), _lengths(seen, "region_mask")
        cut_text = self.cut_text if "attention_mask" in text else ()  # without a mask all is real
        cut_seen = self.cut_seen if "region_mask" in seen else ()
        match = torch.empty(len(rows))
        for some in self._batches(text_length[rows], seen_length[columns]):
            batch = _rows(text, cut_text, rows[some], int(text_length[rows[some]].max()))
            shown = _rows(seen, cut_seen, columns[some], int(seen_length[columns[some]].max()))
            match[some] = self.forward(batch, shown).float().cpu()
            self.progress(len(some))
        return match

    def _captions(self, captions: Sequence[str]) -> Encoded:
        """Encoded captions; those of the latest request are kept, since a grid asks for the same ones many times."""
        if self._latest is None or self._latest[0] is not captions:
            self._latest = (captions, self.encode_captions(captions))
        return self._latest[1]

    def _batches(self, text: Tensor, seen: Tensor) -> Iterator[Tensor]:
        """Indices of pairs, sorted by length, as many at a time as the memory holds."""
        order = torch.from_numpy(_sorted(seen.numpy(), text.numpy()))
        start = 0
        while start < len(order):
            each = self.pair_bytes(int(text[order[start]]), int(seen.max()))
            count = max(1, int(self.memory * 2**30 / each))
            yield order[start : start + count]
            start += count


def _sorted(seen: Any, text: Any) -> Any:
    """Longest captions first, so that memory is short at once or never; most regions first among these."""
    import numpy as np

    return np.lexsort((-seen, -text))


def _lengths(rows: Encoded, mask: str) -> Tensor:
    if mask in rows:
        return rows[mask].sum(1).cpu()
    first = next(iter(rows.values()))
    return torch.full((len(first),), first.shape[1] if first.ndim > 1 else 1)


def _rows(rows: Encoded, cut: Sequence[str], index: Tensor, longest: int) -> Encoded:
    """Rows by index; those named in ``cut`` only as far as the longest of them."""
    return {
        name: (values[:, :longest] if name in cut else values)[index.to(values.device)]
        for name, values in rows.items()
    }


def device_of(device: str | torch.device | None = None) -> torch.device:
    """The device named, or this process's GPU if there is one, or the CPU."""
    if device is not None:
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def settle(model: PreTrainedModel, device: str | torch.device | None = None) -> PreTrainedModel:
    """The model on its device, in eval mode, with parameters where kernels round the same every time.

    Memory-mapped tensors lie at odd addresses, where kernels round differently: equal weights, unequal scores.
    """
    model.to(device_of(device))  # type: ignore[arg-type]
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    assert isinstance(model, nn.Module)
    return model.eval()
