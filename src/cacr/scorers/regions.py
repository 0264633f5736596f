"""UNITER, OSCAR and ROSITA as scorers: a logit, without sigmoid or softmax, whose ties are rare."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from cacr.attention import AttentionBlocks, watch
from cacr.data.pairs import Picture
from cacr.models.loading import load_model, load_processor
from cacr.models.pairs import EncodedPairs
from cacr.models.processing import RegionProcessor


class RegionScorer:
    """Scores pairs with a model that reads regions; each caption and picture of a call is encoded once.

    Args:
        model: A model whose output has ``rank_scores``: UNITER, OSCAR or ROSITA.
        processor: Its processor.
        name: For tables and records.
        batch: Pairs per forward pass.
        progress: Called with the number of pairs done.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        processor: RegionProcessor,
        name: str = "",
        batch: int = 512,
        progress: Callable[[int], None] = lambda done: None,
    ):
        self.model, self.processor, self.name = model.eval(), processor, name or model.config.model_type
        self.batch, self.progress = batch, progress

    @classmethod
    def from_pretrained(
        cls, folder: str | os.PathLike[str], device: str | None = None, **kwargs: Any
    ) -> RegionScorer:
        """From a folder made by `cacr train` or ``save_pretrained``; on a GPU if there is one and none is named."""
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        model = load_model(folder)
        model.to(device)  # type: ignore[arg-type]
        return cls(model, load_processor(folder), **kwargs)

    @torch.inference_mode()
    def match(self, captions: Sequence[str], pictures: Sequence[Picture]) -> Tensor:
        """The match of caption i with picture i, a logit: [pair].

        Raises:
            ValueError: Different numbers of both, a picture without regions, or regions of another width.
        """
        if len(captions) != len(pictures):
            raise ValueError(
                f"{len(captions)} captions and {len(pictures)} pictures; expected one picture a caption"
            )
        if not captions:
            return torch.empty(0)
        unique_captions = list(dict.fromkeys(captions))
        unique_pictures = list({id(picture): picture for picture in pictures}.values())
        regions = [picture.regions for picture in unique_pictures]
        width, wanted = regions[0].features.shape[1], self.model.config.region_dim
        if width != wanted:
            raise ValueError(
                f"picture {unique_pictures[0].image_id} has features of {width} numbers per region; the model "
                f"{self.name} was made for {wanted}. Use features of its own detector"
            )
        pairs = EncodedPairs(self.processor, unique_captions, regions)
        caption_of = {caption: i for i, caption in enumerate(unique_captions)}
        picture_of = {id(picture): i for i, picture in enumerate(unique_pictures)}
        rows = torch.tensor([caption_of[caption] for caption in captions])
        columns = torch.tensor([picture_of[id(picture)] for picture in pictures])
        scores = []
        for some, others in zip(rows.split(self.batch), columns.split(self.batch), strict=True):
            out = self.model(**self._ready(pairs.inputs(some, others)))
            scores.append(out.rank_scores[:, 0].float().cpu())
            self.progress(len(some))
        return torch.cat(scores)

    @torch.inference_mode()
    def attention(
        self, captions: Sequence[str], pictures: Sequence[Picture], layer: int = -1
    ) -> tuple[AttentionBlocks, list[list[str]]]:
        """Attention of pairs at a layer (mean over heads), and the tokens of each caption's text axis.

        Raises:
            ValueError: A caption without a word, or a layer that the model does not have.
        """
        inputs = self._ready(self.processor(captions, [picture.regions for picture in pictures]))
        text = self.processor.text_mask(
            inputs["input_ids"], inputs["attention_mask"], token_type_ids=inputs.get("token_type_ids")
        )
        with watch(self.model, layer=layer, text_mask=lambda inputs: text) as attention:
            self.model(**inputs)
            blocks = attention.blocks()
        tokens = [
            self.processor.tokenizer.convert_ids_to_tokens(ids[mask].tolist())
            for ids, mask in zip(inputs["input_ids"], text, strict=True)
        ]
        return blocks, tokens

    def _ready(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """On the model's device, and features in its precision."""
        model = self.model
        return {
            name: value.to(model.device, model.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
        }

    def describe(self) -> dict[str, Any]:
        """The model's class, sizes and head."""
        config = self.model.config
        return {
            "model": type(self.model).__name__,
            "score": str(getattr(type(self.model), "match_is", "rank_scores")),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "layers": config.num_hidden_layers,
            "hidden_size": config.hidden_size,
            "region_dim": config.region_dim,
            "max_text_length": self.processor.max_text_length,
        }
