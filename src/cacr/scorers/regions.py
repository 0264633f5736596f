"""UNITER, OSCAR and ROSITA as scorers: a logit, without sigmoid or softmax, whose ties are rare."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from cacr._hub import model_here
from cacr.data.pairs import Picture
from cacr.models.loading import load_model, load_processor
from cacr.models.pairs import ONCE
from cacr.models.processing import RegionProcessor
from cacr.scorers.encoded import Encoded, EncodedScorer, gathered
from cacr.scorers.placing import settle


class RegionScorer(EncodedScorer):
    """Scores pairs with a model of this package that reads regions.

    Args:
        model: A model whose output has ``rank_scores``: UNITER, OSCAR or ROSITA.
        processor: Its processor.
        name: For tables and records.
        memory: GiB that the activations of a forward pass may take, about; what suits the device if None.
    """

    def __init__(
        self, model: PreTrainedModel, processor: RegionProcessor, name: str = "", memory: float | None = None
    ):
        super().__init__(model, name, memory)
        self.processor = processor

    @classmethod
    def from_pretrained(
        cls,
        folder: str | os.PathLike[str],
        device: str | None = None,
        dtype: torch.dtype = torch.float32,
        name: str = "",
        memory: float | None = None,
    ) -> RegionScorer:
        """From a folder made by `cacr train` or ``save_pretrained``, or a name on the hub: OWNER/NAME[@REVISION].

        On a GPU if there is one and none is named.
        """
        folder = model_here(folder)
        model = settle(load_model(folder, dtype=dtype), device)
        return cls(model, load_processor(folder), name, memory)

    def encode_captions(self, captions: Sequence[str]) -> Encoded:
        """Token ids, padded."""
        return self.ready(self.processor.encode_text(captions))

    def encode_pictures(self, pictures: Sequence[Picture]) -> Encoded:
        """Features, positions and mask of the regions, padded; tags where the model reads these.

        Raises:
            ValueError: A picture without regions, or regions of another width than the model's.
        """
        regions = [picture.regions for picture in pictures]
        wanted = self.model.config.region_dim
        for picture, its in zip(pictures, regions, strict=True):
            if (width := its.features.shape[1]) != wanted:
                raise ValueError(
                    f"picture {picture.image_id} has features of {width} numbers per region; the model "
                    f"{self.name} was made for {wanted}. Use features of its own detector"
                )
        return self.ready(self.processor.encode_regions(regions))

    def shown(self, seen: Encoded, cut: Sequence[str], pictures: Tensor, most: int) -> Encoded:
        """Features and positions of each different picture once, and ``picture_index``: which of them a pair shows.

        Tags are cut to the most tags of the batch.
        """
        pair = {name: values for name, values in seen.items() if name not in ONCE}
        unique, place = pictures.unique(return_inverse=True)
        own = gathered(pair, cut, pictures, most)
        if "tag_mask" in own:
            tags = int(own["tag_mask"].sum(1).max())
            own |= {name: own[name][:, :tags] for name in ("tag_ids", "tag_mask")}
        return {
            **own,
            **gathered({name: seen[name] for name in ONCE}, cut, unique, most),
            "picture_index": place.to(self.model.device),
        }

    def forward(self, text: Encoded, seen: Encoded) -> Tensor:
        """The ranking logit of each pair."""
        return self.model(**self.processor.join(text, seen), first_only=True).rank_scores[:, 0]

    def describe(self) -> dict[str, Any]:
        """The model's class, sizes and head."""
        config = self.model.config
        return super().describe() | {
            "score": str(getattr(type(self.model), "match_is", "rank_scores")),
            "layers": config.num_hidden_layers,
            "hidden_size": config.hidden_size,
            "region_dim": config.region_dim,
            "max_text_length": self.processor.max_text_length,
        }
