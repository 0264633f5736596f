"""What matching heads over pixels share: each caption and picture is encoded once, however many pairs it is in.

captions ──words──> words_encoded ──┐
                                    ├── joint ──> itm: a pair through the joint encoder and its head
pictures ──look───> picture_tokens ─┘
                └─> text_feature, picture_feature ──> itc: the cosine of two projections; a grid is a product
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from cacr.data.pairs import Picture
from cacr.scorers.encoded import Encoded
from cacr.scorers.match_heads.heads import MatchHeadScorer, layer_bytes
from cacr.scorers.match_heads.thin import at_least_a_patch


class PixelScorer(MatchHeadScorer):
    """A `MatchHeadScorer` whose model reads pixels: each picture goes through `look` once, a few at a time.

    A score named "itc" is a product of `text_feature` and `picture_feature`; any other is `joint`.
    """

    parts = ("tokenizer", "image_processor")

    @property
    @abstractmethod
    def vision_config(self) -> Any:
        """The configuration of the part that reads pixels."""

    def words_encoded(self, words: Encoded) -> Encoded:
        """What `joint` reads of captions: their words, unless the model encodes these apart from pictures."""
        return words

    @abstractmethod
    def picture_tokens(self, pixels: Tensor) -> Tensor:
        """What `joint` reads of pictures: [picture, token, feature]."""

    @abstractmethod
    def joint(self, text: Encoded, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """The match of row i of both: [pair]. ``mask`` is 1 where a token is real, None where all are."""

    def text_feature(self, words: Encoded) -> Tensor:
        """Of each caption, its projection of length 1, times the scale of the logits if there is one."""
        raise NotImplementedError

    def picture_feature(self, pixels: Tensor) -> Tensor:
        """Of each picture, one or more projections of length 1: [picture, projection, feature]."""
        raise NotImplementedError

    def encode_captions(self, captions: Sequence[str]) -> Encoded:
        """Words, or what the model makes of them without a picture, or their projections."""
        words = self.words(captions)
        encode = self._text_features if self.score == "itc" else self.words_encoded
        config = self.text_config
        length = words["input_ids"].shape[1]
        each = layer_bytes(length, length, config.hidden_size, config.num_attention_heads, 4)
        parts = [
            encode({name: values[some] for name, values in words.items()})
            for some in self.few(len(captions), each)
        ]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _text_features(self, words: Encoded) -> Encoded:
        return {"feature": self.text_feature(words)}

    def encode_pictures(self, pictures: Sequence[Picture]) -> Encoded:
        """Each picture through the vision tower once: its tokens, or its projections."""
        if self.score == "itc":
            return {"feature": self.look(pictures, self.picture_feature)}
        return {"tokens": self.look(pictures, self.picture_tokens)}

    def forward(self, text: Encoded, seen: Encoded) -> Tensor:
        """The match of each pair."""
        if self.score == "itc":
            return torch.einsum("pd,pqd->pq", text["feature"], seen["feature"]).amax(1)
        return self.joint(text, seen["tokens"], seen.get("region_mask"))

    @torch.inference_mode()
    def grid(self, captions: Sequence[str], pictures: Sequence[Picture]) -> Tensor:
        """The match of every caption with every picture: [caption, picture], float32, on the CPU."""
        if self.score != "itc":
            return super().grid(captions, pictures)
        text = self._latest.of(captions, self.encode_captions)["feature"]
        seen = self.encode_pictures(pictures)["feature"]
        rows = []
        for some in self.few(len(text), 2 * seen[..., 0].numel() * seen.dtype.itemsize):
            product = text[some] @ seen.flatten(0, 1).T
            rows.append(product.unflatten(1, seen.shape[:2]).amax(2).float().cpu())
            self.progress(rows[-1].numel())
        return torch.cat(rows)

    def pair_bytes(self, text: int, seen: int) -> int:
        """Of a pair in a joint encoder over both; for projections, the rows that are multiplied."""
        if self.score == "itc":
            return 4 * (text + seen) * int(self.text_config.hidden_size) * self.model.dtype.itemsize
        return super().pair_bytes(text, seen)

    def look(self, pictures: Sequence[Picture], see: Callable[[Tensor], Tensor]) -> Tensor:
        """What ``see`` makes of the pictures' pixels, a few pictures at a time: [picture, …]."""
        config = self.vision_config
        tokens, width = (config.image_size // config.patch_size) ** 2 + 1, config.hidden_size
        each = layer_bytes(tokens, tokens, width, getattr(config, "num_attention_heads", width // 64), 4)
        each += 12 * config.image_size**2
        return torch.cat(
            [see(self._stack(pictures[some])) for some in self.few(len(pictures), each)],
        )

    def pixels(self, picture: Picture) -> Tensor:
        """One picture as its processor makes it, [channel, height, width], unpadded, in the precision of the tower."""
        processor = self.processor.image_processor
        image = at_least_a_patch(picture.image, processor)
        made = processor(image, return_tensors="pt")["pixel_values"][0]
        return made.to(self.model.device, self.pixel_dtype)

    @property
    def pixel_dtype(self) -> torch.dtype:
        """The precision of the part that reads pixels."""
        return self.model.dtype

    def _stack(self, pictures: Sequence[Picture]) -> Tensor:
        made = [self.pixels(picture) for picture in pictures]
        for picture, values in zip(pictures, made, strict=True):
            if values.shape != made[0].shape:
                raise ValueError(
                    f"{self.name}'s processor makes picture {pictures[0].image_id} {_by(made[0])} pixels and "
                    f"{picture.image_id} {_by(values)}; expected one size. Let it resize or crop to a square"
                )
        return torch.stack(made)

    def describe(self) -> dict[str, Any]:
        """The model, its score, and the size to which pictures are brought."""
        processor = self.processor.image_processor
        size = {name: value for name, value in dict(processor.size).items() if value}
        return super().describe() | {"image_size": size}


def _by(pixels: Tensor) -> str:
    return f"{pixels.shape[-1]} x {pixels.shape[-2]}"
