"""BridgeTower: a head over both streams of a cross-modal encoder (itm), or the cosine of the two towers (itc).

    words ───> text layers ────> states of the top layers ──┐ bridges
                                                            ├──> cross-modal layers ──> [CLS] of both ──> itm
    pixels ──> picture layers ─> states of the top layers ──┘ bridges

The towers never read the cross-modal streams (BridgeTowerModel.forward in transformers'
models/bridgetower/modeling_bridgetower.py): each side goes through its tower once, each pair through the rest.

``itm_score`` has the logits (no match, match): the docstring of ``labels`` and the example of transformers'
BridgeTowerForImageAndTextRetrieval. The contrastive heads are those of BridgeTowerForContrastiveLearning: two classes,
and each checkpoint has one of them. Paper: Xu et al. 2023, arXiv:2206.08657.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask

from cacr.data.pairs import Picture
from cacr.scorers.encoded import Encoded
from cacr.scorers.match_heads.heads import Head, layer_bytes, match_minus_none
from cacr.scorers.match_heads.pixels import PixelScorer


class BridgeTowerScorer(PixelScorer):
    """BridgeTower with its matching head or its contrastive projections.

    For itm, what the bridges read of each side is kept: as many states of each token as there are cross-modal layers,
    6 MB a picture in the base size. So pictures go in blocks of `kept`, and captions likewise within each.

    Raises:
        ValueError: As `MatchHeadScorer`, or bridges shared by all layers, which transformers cannot run.
    """

    kept: float = 1.0
    """GiB of a side's states that are kept at a time, about."""
    cut_text = ("word_states", "attention_mask")

    heads: ClassVar[Mapping[str, Head]] = {
        "itm": Head(
            "BridgeTowerForImageAndTextRetrieval",
            "itm_score, the logit of a match minus that of none",
            "BridgeTower/bridgetower-base-itm-mlm",
            0.0,
            ("bridgetower.text_model.pooler.",),
        ),
        "itc": Head(
            "BridgeTowerForContrastiveLearning",
            "cosine of the projected [CLS] of the two towers, times the scale of the logits",
            "BridgeTower/bridgetower-large-itm-mlm-itc",
            spare=(
                "itc_cross_modal_head.",
                "bridgetower.text_model.pooler.",
                "bridgetower.cross_modal_image_layers.",
                "bridgetower.cross_modal_text_",
            ),
        ),
    }

    def __init__(
        self,
        model: PreTrainedModel,
        processor: Any,
        name: str = "",
        memory: float | None = None,
        score: str | None = None,
    ):
        super().__init__(model, processor, name, memory, score)
        self._seen: tuple[Sequence[Picture], Encoded] | None = None
        if self.score == "itm" and model.config.share_link_tower_layers:
            raise ValueError(
                f"{self.name} has share_link_tower_layers, with which transformers' BridgeTowerModel fails in its "
                "forward pass; take a checkpoint with a bridge for every layer, such as " + self.head.example
            )

    @property
    def vision_config(self) -> Any:
        """Of the picture's tower."""
        return self.model.config.vision_config

    @property
    def text_config(self) -> Any:
        """Of the words' tower."""
        return self.model.config.text_config

    @property
    def max_text_length(self) -> int:
        """Word pieces that the model has positions for: RoBERTa counts these from after the id of padding."""
        return min(super().max_text_length, self.text_config.max_position_embeddings - self._first_position)

    @property
    def _first_position(self) -> int:
        return int(self.text_config.pad_token_id) + 1

    def score_pairs(
        self, captions: Sequence[str], pictures: Sequence[Picture], rows: Tensor, columns: Tensor
    ) -> Tensor:
        """The match of captions[rows[i]] with pictures[columns[i]], a block of pictures and of captions at a time."""
        if self.score == "itc":
            return super().score_pairs(captions, pictures, rows, columns)
        vision, length = self.vision_config, self.words(captions)["input_ids"].shape[1]
        match = torch.empty(len(rows))
        for shown in self._blocks(columns, (vision.image_size // vision.patch_size) ** 2 + 1):
            some, asked = [pictures[i] for i in shown.tolist()], torch.isin(columns, shown).nonzero()[:, 0]
            self._seen = some, super().encode_pictures(some)
            for read in self._blocks(rows[asked], length):
                here = asked[torch.isin(rows[asked], read)]
                row, column = torch.searchsorted(read, rows[here]), torch.searchsorted(shown, columns[here])
                match[here] = super().score_pairs([captions[i] for i in read.tolist()], some, row, column)
            self._seen = None
        return match

    def _blocks(self, index: Tensor, tokens: int) -> tuple[Tensor, ...]:
        """The rows that are asked for, in order, as many at a time as are kept."""
        each = tokens * self.model.config.num_hidden_layers * self.model.config.hidden_size
        return index.unique().split(max(1, int(self.kept * 2**30 / (each * self.model.dtype.itemsize))))

    def encode_pictures(self, pictures: Sequence[Picture]) -> Encoded:
        """What the bridges read of each picture; of the block that is being scored, as it was made."""
        if self._seen is not None and self._seen[0] is pictures:
            return self._seen[1]
        return super().encode_pictures(pictures)

    def words_encoded(self, words: Encoded) -> Encoded:
        """What the bridges read of the words: ``word_states`` [caption, token, cross-modal layer, feature]."""
        tower, mask = self.model.bridgetower.text_model, words["attention_mask"]
        states = tower.embeddings(input_ids=words["input_ids"])
        additive = self._additive(states, mask)
        top = self._top(states, tower.encoder.layer, lambda layer, states: layer(states, additive))
        return {"word_states": self._bridged("text", top), "attention_mask": mask}

    def picture_tokens(self, pixels: Tensor) -> Tensor:
        """What the bridges read of [CLS] and patches: [picture, token, cross-modal layer, feature]."""
        visual = self.model.bridgetower.vision_model.visual
        blocks = visual.transformer.resblocks[: self.text_config.num_hidden_layers]
        top = self._top(visual.forward_pre(pixels), blocks, lambda block, states: block(states))
        return self._bridged("image", [visual.forward_post(states) for states in top])

    def _top(self, states: Tensor, layers: Sequence[Any], through: Callable[..., Tensor]) -> list[Tensor]:
        """States after each of the top layers of a tower, as many as there are cross-modal layers."""
        found = []
        for i, layer in enumerate(layers):
            states = through(layer, states)
            if i >= len(layers) - self.model.config.num_hidden_layers:
                found.append(states)
        return found

    def _bridged(self, side: str, top: Sequence[Tensor]) -> Tensor:
        """What the cross-modal layers get of a tower: its states projected, with the embedding of the side."""
        bridgetower = self.model.bridgetower
        transform = getattr(bridgetower, f"cross_modal_{side}_transform")
        every = transform if isinstance(transform, nn.ModuleList) else [transform] * len(top)
        kind = bridgetower.token_type_embeddings.weight[int(side == "image")]
        found = [own(states) + kind for own, states in zip(every, top, strict=True)]
        found[0] = getattr(bridgetower, f"cross_modal_{side}_layernorm")(
            found[0]
        )  # the others meet one in a bridge
        return torch.stack(found, 2)

    def _additive(self, states: Tensor, mask: Tensor) -> Any:
        """What the layers add to logits of attention, as the model makes it of a mask of words."""
        config = self.model.bridgetower.config
        return create_bidirectional_mask(config=config, inputs_embeds=states[:, :1], attention_mask=mask)

    def joint(self, text: Encoded, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """The matching head on [CLS] of both streams, after bridges and cross-modal layers."""
        model, states = self.model.bridgetower, text["word_states"]
        additive = self._additive(states[:, :, 0], text["attention_mask"])
        words, seen = states[:, :, 0], tokens[:, :, 0]
        for i in range(self.model.config.num_hidden_layers):
            if i:
                words = model.cross_modal_text_link_tower[i - 1](states[:, :, i], words, additive)
                seen = model.cross_modal_image_link_tower[i - 1](tokens[:, :, i], seen, None)
            words, seen = (
                model.cross_modal_text_layers[i](words, seen, attention_mask=additive)[0],
                model.cross_modal_image_layers[i](seen, words, encoder_attention_mask=additive)[0],
            )
        return match_minus_none(self.model.itm_score(model.get_cls_features(words, seen)))

    def text_feature(self, words: Encoded) -> Tensor:
        """[CLS] of the words' tower, projected, times the scale of the logits."""
        states = self.model.bridgetower.text_model(**words).last_hidden_state[:, 0]
        return normalize(self.model.itc_text_head(states), dim=-1) * self.model.logit_scale.exp()

    def picture_feature(self, pixels: Tensor) -> Tensor:
        """[CLS] of the picture's tower, projected."""
        bridgetower = self.model.bridgetower
        visual = bridgetower.vision_model.visual
        states = visual.forward_pre(pixels)
        for block in visual.transformer.resblocks[: self.text_config.num_hidden_layers]:
            states = block(states)
        kind = bridgetower.token_type_embeddings(torch.ones(1, dtype=torch.long, device=states.device))
        states = bridgetower.cross_modal_image_transform(visual.forward_post(states)[:, :1]) + kind
        return normalize(self.model.itc_image_head(states), dim=-1)

    def pair_bytes(self, text: int, seen: int) -> int:
        """Of both streams' tokens in a cross-modal layer, and of a copy of what its bridges read."""
        if self.score == "itc":
            return super().pair_bytes(text, seen)
        config, size = self.model.config, self.model.dtype.itemsize
        width, heads = config.hidden_size, self.text_config.num_attention_heads
        layers = 2 * layer_bytes(seen, seen + text, width, heads, size)
        layers += layer_bytes(text, seen + text, width, heads, size)
        return layers + (text + seen) * config.num_hidden_layers * width * size
