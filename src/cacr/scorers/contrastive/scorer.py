"""CLIP, SigLIP and their kin as scorers: words and picture never look at each other.

    match = exp(logit_scale) · cos(caption, picture) + logit_bias           the model's own logit, in float32

So a caption and a picture are each encoded once, and all captions with all pictures are one matrix product.

Papers: Radford et al. 2021, arXiv:2103.00020 (CLIP: no bias); Zhai et al. 2023, arXiv:2303.15343 (SigLIP: the sigmoid
of the match is the probability of a true pair); Tschannen et al. 2025, arXiv:2502.14786 (SigLIP 2).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin

from cacr._messages import unknown
from cacr.data.pairs import Picture
from cacr.scorers.contrastive.loading import FAMILIES, load_dual_encoder
from cacr.scorers.encoded import Encoded, EncodedScorer, Latest
from cacr.scorers.placing import settle

PADDED_TO_THE_END = ("siglip", "siglip2", "align")
"""Trained with every caption padded to the longest that the model reads; other padding gives other matches."""
SIGMOID = ("siglip", "siglip2")
"""Trained to tell true pairs from others by the sigmoid of the match, which is 1/2 at 0."""


class DualEncoderScorer(EncodedScorer):
    """Scores pairs with a model that embeds captions and pictures apart from each other.

    Args:
        model: A model of transformers with ``get_text_features`` and ``get_image_features``: `FAMILIES`.
        processor: Its processor; pictures are prepared as it says.
        name: For tables and records.
        memory: GiB that the activations of a forward pass may take, about; what suits the device if None.

    Raises:
        ValueError: Another kind of model, or a processor without tokenizer or image processor.
    """

    def __init__(
        self, model: PreTrainedModel, processor: ProcessorMixin, name: str = "", memory: float | None = None
    ):
        kind = model.config.model_type
        if kind not in FAMILIES:
            raise ValueError(unknown("kind of model with separate encoders", kind, FAMILIES))
        for part in ("tokenizer", "image_processor"):
            if getattr(processor, part, None) is None:
                raise ValueError(
                    f"{type(processor).__name__} has no {part}; expected the processor of {kind}, with both of "
                    "tokenizer and image_processor"
                )
        super().__init__(model, name, memory)
        self.processor: Any = processor
        self.threshold = 0.0 if kind in SIGMOID else None
        self.max_text_length = _max_text_length(model.config, processor)
        self.padding: bool | str = "max_length" if kind in PADDED_TO_THE_END else True
        self._embedded = Latest()

    @classmethod
    def from_pretrained(
        cls,
        folder: str | os.PathLike[str],
        device: str | None = None,
        dtype: torch.dtype = torch.float32,
        name: str = "",
        memory: float | None = None,
    ) -> DualEncoderScorer:
        """From a folder of ``save_pretrained`` or a name on the hub; on a GPU if there is one and none is named.

        Raises:
            FileNotFoundError: It is neither a folder here nor reachable on the hub.
            ValueError: It is another kind of model, its weights are cut off or incomplete, or it has no processor.
            ImportError: Its tokenizer needs a package that is not installed.
        """
        model, processor = load_dual_encoder(folder, dtype)
        return cls(settle(model, device), processor, name or Path(folder).name, memory)

    def encode_captions(self, captions: Sequence[str]) -> Encoded:
        """What the processor makes of captions; those longer than the model reads are cut, as its tokenizer does."""
        return self.ready(
            self.processor(
                text=[str(caption) for caption in captions],
                padding=self.padding,
                truncation=True,
                max_length=self.max_text_length,
                return_tensors="pt",
            )
        )

    def encode_pictures(self, pictures: Sequence[Picture]) -> Encoded:
        """What the processor makes of pictures. Raises ValueError for a picture without pixels."""
        return self.ready(self.processor(images=[picture.image for picture in pictures], return_tensors="pt"))

    def forward(self, text: Encoded, seen: Encoded) -> Tensor:
        """The match of row i of both: [pair]."""
        return self._logit((self._features("text", text) * self._features("image", seen)).sum(-1))

    @torch.inference_mode()
    def embed_captions(self, captions: Sequence[str]) -> Tensor:
        """Directions of captions, float32, of length 1: [caption, width]. Similar lengths go together."""
        lengths = self._token_counts(captions)
        order = lengths.argsort(
            descending=True, stable=True
        )  # the longest first: memory is short at once or never
        found: list[Tensor] = []
        for some in self._fitting(order, self.model.config.text_config, lengths):
            text = self.encode_captions([captions[i] for i in some.tolist()])
            found.append(self._checked(self._features("text", text), "caption", some, captions))
        return torch.cat(found)[order.argsort().to(found[0].device)]

    @torch.inference_mode()
    def embed_pictures(self, pictures: Sequence[Picture]) -> Iterator[tuple[Tensor, Tensor]]:
        """Indices of pictures, and their directions, float32, of length 1 ([picture, width]), some at a time."""
        every = torch.arange(len(pictures))
        patches = torch.full_like(every, _patches(self.model.config.vision_config, self.processor))
        names = [picture.image_id for picture in pictures]
        for some in self._fitting(every, self.model.config.vision_config, patches):
            seen = self.encode_pictures([pictures[i] for i in some.tolist()])
            yield some, self._checked(self._features("image", seen), "picture", some, names)

    def score_pairs(
        self, captions: Sequence[str], pictures: Sequence[Picture], rows: Tensor, columns: Tensor
    ) -> Tensor:
        """The match of captions[rows[i]] with pictures[columns[i]]: [pair]."""
        text = self._text(captions)
        match = torch.empty(len(rows))
        for some, seen in self.embed_pictures(pictures):
            asked = torch.isin(columns, some).nonzero()[:, 0]
            here = (columns[asked] - some[0]).to(seen.device)  # pictures are embedded in their order
            cosine = (text[rows[asked].to(text.device)] * seen[here]).sum(-1)
            match[asked] = self._logit(cosine).float().cpu()
            self.progress(len(asked))
        return match

    @torch.inference_mode()
    def grid(self, captions: Sequence[str], pictures: Sequence[Picture]) -> Tensor:
        """The match of every caption with every picture: [caption, picture], float32, on the CPU."""
        if not captions or not pictures:
            return torch.empty(len(captions), len(pictures))
        text = self._text(captions)
        columns = []
        for some, seen in self.embed_pictures(pictures):
            columns.append(self._logit(text @ seen.T).cpu())
            self.progress(len(captions) * len(some))
        return torch.cat(columns, 1)

    def describe(self) -> dict[str, Any]:
        """The model's class and sizes, its activations, how captions are padded, and the scale of the match."""
        config, tokenizer = self.model.config, self.processor.tokenizer
        scale, bias = self._scale_and_bias()
        return super().describe() | {
            "score": "the model's logit: scale x cosine + bias",
            "logit_scale": float(scale),
            "logit_bias": float(bias),
            "text_activation": _activation(config.text_config),
            "vision_activation": _activation(config.vision_config),
            "image_size": getattr(config.vision_config, "image_size", None),
            "max_patches": _patches(config.vision_config, self.processor),
            "max_text_length": self.max_text_length,
            "padding": "to the maximum" if self.padding == "max_length" else "to the longest of a batch",
            "padding_side": tokenizer.padding_side,
            "padding_masked": "attention_mask" in tokenizer.model_input_names,
            "embedding_width": getattr(config, "projection_dim", None) or config.text_config.hidden_size,
            "image_processor": type(self.processor.image_processor).__name__,
            "tokenizer": type(tokenizer).__name__,
        }

    def _text(self, captions: Sequence[str]) -> Tensor:
        return self._embedded.of(captions, self.embed_captions)

    def _logit(self, cosine: Tensor) -> Tensor:
        """The model's logit of a cosine."""
        scale, bias = self._scale_and_bias()
        return cosine * scale.to(cosine.device) + bias.to(cosine.device)

    def _scale_and_bias(self) -> tuple[Tensor, Tensor]:
        """What the cosine is multiplied with, and what is added: float32, one number each."""
        model: Any = self.model
        if hasattr(model, "temperature"):  # ALIGN
            scale = 1 / model.temperature.detach().float()
        else:
            scale = model.logit_scale.detach().float().exp()
        bias = model.logit_bias.detach().float() if hasattr(model, "logit_bias") else torch.zeros(())
        return scale.reshape(()), bias.reshape(())

    def _features(self, side: str, inputs: Encoded) -> Tensor:
        model: Any = self.model
        out = (model.get_text_features if side == "text" else model.get_image_features)(**inputs)
        return torch.nn.functional.normalize(out.pooler_output.float(), dim=-1)

    def _token_counts(self, captions: Sequence[str]) -> Tensor:
        """Tokens of each caption as the model reads it; says once, how many are cut."""
        ids = self.processor.tokenizer([str(caption) for caption in captions], verbose=False)["input_ids"]
        lengths = torch.tensor([len(one) for one in ids])
        cut = [captions[i] for i in (lengths > self.max_text_length).nonzero()[:, 0].tolist()]
        self.say_cut(cut, len(captions), self.max_text_length)
        longest = self.max_text_length
        return lengths.clamp(max=longest) if self.padding is True else torch.full_like(lengths, longest)

    def _fitting(self, order: Tensor, config: Any, tokens: Tensor) -> Iterator[Tensor]:
        """Parts of ``order``, each as many as the memory holds; the first of a part is its longest."""
        width, heads = getattr(config, "hidden_size", 768), getattr(config, "num_attention_heads", 12)
        start = 0
        while start < len(order):
            longest = int(tokens[order[start]])
            each = (12 * longest * width + heads * longest**2) * self.model.dtype.itemsize
            count = max(1, int(self.memory * 2**30 / each))
            yield order[start : start + count]
            start += count

    def _checked(self, directions: Tensor, what: str, some: Tensor, names: Sequence[str]) -> Tensor:
        broken = (~directions.isfinite().all(-1)).nonzero()[:, 0]
        if len(broken):
            raise ValueError(
                f"{self.name} embeds the {what} {names[int(some[broken[0]])]!r} as something infinite or no number "
                f"({len(broken)} of {len(some)} in this batch) in {self.model.dtype}; use float32 or bfloat16"
            )
        return directions


def _max_text_length(config: Any, processor: Any) -> int:
    """The most tokens that model, tokenizer and processor all take."""
    positions = config.text_config.max_position_embeddings
    if config.model_type == "altclip":  # RoBERTa counts positions from behind its padding id
        positions -= config.text_config.pad_token_id + 1
    preset = (getattr(processor, "text_kwargs", None) or {}).get("max_length", positions)
    return int(min(positions, processor.tokenizer.model_max_length, preset))


def _patches(config: Any, processor: Any) -> int:
    """About how many positions a picture takes in the vision tower."""
    image, patch = getattr(config, "image_size", None), getattr(config, "patch_size", None)
    if image and patch:
        return (image // patch) ** 2 + 1
    own = getattr(processor.image_processor, "max_num_patches", 256)
    return int(
        (getattr(processor, "images_kwargs", None) or {}).get("max_num_patches", own)
    )  # its word is the last


def _activation(config: Any) -> str:
    return str(getattr(config, "hidden_act", getattr(config, "hidden_activation", "unknown")))
