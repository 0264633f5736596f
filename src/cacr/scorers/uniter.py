"""UNITER as a scorer: its ranking logit, without a sigmoid, whose ties are rare."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cacr.attention import AttentionBlocks, watch
from cacr.data.pairs import Picture
from cacr.models.uniter import (
    EncodedPairs,
    UniterForImageTextRetrieval,
    UniterProcessor,
    load_model,
    load_processor,
)


class UniterScorer:
    """Scores pairs with a UNITER's ranking head; each caption and picture of a call is encoded once.

    Args:
        model: The model.
        processor: Its processor.
        name: For tables and records.
        batch: Pairs per forward pass.
        progress: Called with the number of pairs done.
    """

    def __init__(
        self,
        model: UniterForImageTextRetrieval,
        processor: UniterProcessor,
        name: str = "uniter",
        batch: int = 512,
        progress: Callable[[int], None] = lambda done: None,
    ):
        self.model, self.processor, self.name = model.eval(), processor, name
        self.batch, self.progress = batch, progress

    @classmethod
    def from_pretrained(
        cls, folder: str | os.PathLike[str], device: str | None = None, **kwargs: Any
    ) -> UniterScorer:
        """From a folder made by `cacr train` or ``save_pretrained``; on a GPU if there is one and none is named."""
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        model = load_model(folder)
        model.to(device)  # type: ignore[arg-type]
        return cls(model, load_processor(folder), **kwargs)

    @torch.inference_mode()
    def match(self, captions: Sequence[str], pictures: Sequence[Picture]) -> Tensor:
        """The ranking logit of caption i with picture i: [pair].

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
        text = self.processor.text_mask(inputs["input_ids"], inputs["attention_mask"])
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
            "score": "rank_scores, the logit of the ranking head",
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "layers": config.num_hidden_layers,
            "hidden_size": config.hidden_size,
            "region_dim": config.region_dim,
            "max_text_length": self.processor.max_text_length,
        }
