"""What a proposal is: its feature, its class, its attribute, its exact box.

Source: detectron2's Res5ROIHeads with attributes, as adapted in transformers' research project lxmert.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cacr.regions.detector.backbone import stage
from cacr.regions.detector.boxes import cut, decode, suppress
from cacr.regions.detector.configuration import DetectorConfig
from cacr.regions.detector.pooling import roi_pool

AT_ONCE = 64
"""Proposals in the last stage at a time: 100 MB of activations at full size."""


class Predictor(nn.Module):
    """Logits of classes (the last is the background) and attributes (the last is none), and box deltas."""

    def __init__(
        self,
        width: int = 2048,
        classes: int = 1600,
        attributes: int = 400,
        embedding: int = 256,
        hidden: int = 512,
    ):
        super().__init__()
        self.cls_score = nn.Linear(width, classes + 1)
        self.bbox_pred = nn.Linear(width, 4 * classes)
        self.cls_embedding = nn.Embedding(classes + 1, embedding)
        self.fc_attr = nn.Linear(width + embedding, hidden)
        self.attr_score = nn.Linear(hidden, attributes + 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[proposal, class + 1], [proposal, attribute + 1], [proposal, class · 4]."""
        logits = self.cls_score(features)
        likeliest = self.cls_embedding(logits.argmax(-1))  # the background counts here
        attributes = self.attr_score(F.relu(self.fc_attr(torch.cat([features, likeliest], -1))))
        return logits, attributes, self.bbox_pred(features)


class RoiHeads(nn.Module):
    """The last stage of the network on each pooled proposal, and the predictions."""

    def __init__(
        self,
        blocks: int = 3,
        inputs: int = 1024,
        width: int = 2048,
        narrow: int = 512,
        predictor: Predictor | None = None,
    ):
        super().__init__()
        self.res5 = stage(blocks, inputs, width, narrow, stride=1, dilation=2)
        self.box_predictor = predictor or Predictor(width)

    def forward(self, features: Tensor, proposals: list[Tensor], cells: int) -> Tensor:
        """Features of all proposals, those of the first picture first: [proposal, width]."""
        boxes = torch.cat([F.pad(own, (1, 0), value=float(picture)) for picture, own in enumerate(proposals)])
        return torch.cat(
            [self.res5(roi_pool(features, some, cells)).mean((2, 3)) for some in boxes.split(AT_ONCE)]
        )


@dataclass(frozen=True, eq=False)
class Chosen:
    """The regions of one picture. ``boxes`` [region, 4] are in pixels of the scaled picture."""

    proposals: Tensor
    boxes: Tensor
    object_ids: Tensor
    object_confidence: Tensor


def choose_regions(
    logits: Tensor, deltas: Tensor, proposals: Tensor, size: tuple[int, int], config: DetectorConfig
) -> Chosen:
    """The regions of one picture: each proposal with its best class, without overlaps across classes.

    Thresholds are tried in turn until enough are left; where none leaves enough, the last one's are taken. (The
    reference fails there, or silently repeats the picture before.)

    Args:
        logits: [proposal, class + 1].
        deltas: [proposal, class · 4].
        proposals: [proposal, 4], scaled pixels.
        size: (height, width) of the scaled picture.
        config: Thresholds and counts.
    """
    confidence, ids = logits.softmax(-1)[:, :-1].max(-1)
    own = deltas.view(len(deltas), -1, 4)[torch.arange(len(ids), device=ids.device), ids]
    boxes = cut(decode(proposals, own, config.box_weights), size)
    for threshold in config.thresholds:
        kept = suppress(boxes, confidence, threshold)
        if len(kept) >= config.min_regions:
            break
    kept = kept[: config.max_regions]
    return Chosen(kept, boxes[kept], ids[kept], confidence[kept])
