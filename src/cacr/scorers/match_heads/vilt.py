"""ViLT: a ranking head over words and patches in one transformer; the score is its only logit, so it has no threshold.

The model puts the patches of a picture in an order drawn at each call, and fills up smaller pictures of a batch with
masked patches. Here each picture's patches are embedded once, by itself and unpadded, all of them, in an order that is
always the same; the position of a patch is in its embedding, so that the order changes a score by rounding alone.
Model: transformers' ViltForImageAndTextRetrieval. Paper: Kim et al. 2021, arXiv:2102.03334.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from cacr.data.pairs import Picture
from cacr.scorers.encoded import Encoded
from cacr.scorers.match_heads.heads import Head
from cacr.scorers.match_heads.pixels import PixelScorer


class ViltScorer(PixelScorer):
    """ViLT with its ranking head."""

    heads: ClassVar[Mapping[str, Head]] = {
        "itm": Head(
            "ViltForImageAndTextRetrieval",
            "rank_output, the logit of the ranking head",
            "dandelin/vilt-b32-finetuned-coco",
        )
    }
    reads = ("input_ids", "attention_mask", "token_type_ids")
    cut_seen = ("tokens", "region_mask")

    @property
    def vision_config(self) -> Any:
        """Of the one transformer."""
        return self.model.config

    def encode_pictures(self, pictures: Sequence[Picture]) -> Encoded:
        """Embedded [CLS] and patches of each picture, padded at the end; ``region_mask`` says which are real."""
        found = [self.picture_tokens(self.pixels(picture)[None])[0] for picture in pictures]
        counts = torch.tensor([len(tokens) for tokens in found])
        mask = torch.arange(int(counts.max())) < counts[:, None]
        return {
            "tokens": pad_sequence(found, batch_first=True),
            "region_mask": mask.long().to(self.model.device),
        }

    def picture_tokens(self, pixels: Tensor) -> Tensor:
        """Embedded [CLS] and patches, in an order that depends on their number alone."""
        whole = torch.ones(len(pixels), *pixels.shape[2:], dtype=torch.long, device=pixels.device)
        with torch.random.fork_rng(devices=()):
            torch.random.default_generator.manual_seed(0)
            return self.model.vilt.embeddings.visual_embed(pixels, whole, max_image_length=-1)[0]

    def joint(self, text: Encoded, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """The ranking logit."""
        return self.model(**text, image_embeds=tokens, pixel_mask=mask).logits[:, 0]
