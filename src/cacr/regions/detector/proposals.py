"""Proposals: boxes that may hold an object, from anchors at each place of the feature map.

Source: detectron2's RPN, as adapted in transformers' research project lxmert, modeling_frcnn.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cacr.regions.detector.boxes import cut, decode, suppress
from cacr.regions.detector.configuration import DetectorConfig

STRIDE = 16
"""Pixels per cell of the feature map."""


class Anchors(nn.Module):
    """Boxes around the center of a cell; a parameter of the checkpoint, whose values count."""

    def __init__(self, anchors: int = 12):
        super().__init__()
        self.cell_anchors = nn.ParameterList([nn.Parameter(torch.zeros(anchors, 4), requires_grad=False)])

    def forward(self, rows: int, columns: int, offset: float = 0.0) -> Tensor:
        """[row · column · anchor, 4] in pixels."""
        cell = self.cell_anchors[0]
        y, x = (
            (torch.arange(n, dtype=torch.float32, device=cell.device) + offset) * STRIDE
            for n in (rows, columns)
        )
        y, x = torch.meshgrid(y, x, indexing="ij")
        shifts = torch.stack([x, y, x, y], -1).view(-1, 1, 4)
        return (shifts + cell).view(-1, 4)


def cell_anchors(
    sizes: tuple[float, ...] = (64, 128, 256, 512), ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
) -> Tensor:
    """Anchors around 0, sizes outer, ratios (height / width) inner: [size · ratio, 4]. For new models."""
    boxes = []
    for size in sizes:
        for ratio in ratios:
            width = (size**2 / ratio) ** 0.5
            height = ratio * width
            boxes.append([-width / 2, -height / 2, width / 2, height / 2])
    return torch.tensor(boxes)


class ProposalHead(nn.Module):
    """How much each anchor looks like an object, and how to move it."""

    def __init__(self, inputs: int = 1024, hidden: int = 512, anchors: int = 12):
        super().__init__()
        self.conv = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.objectness_logits = nn.Conv2d(hidden, anchors, 1)
        self.anchor_deltas = nn.Conv2d(hidden, 4 * anchors, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """[picture, anchor, row, column] and [picture, anchor · 4, row, column]."""
        x = F.relu(self.conv(features))
        return self.objectness_logits(x), self.anchor_deltas(x)


class ProposalGenerator(nn.Module):
    """The best boxes of each picture."""

    def __init__(self, inputs: int = 1024, hidden: int = 512, anchors: int = 12):
        super().__init__()
        self.anchor_generator = Anchors(anchors)
        self.rpn_head = ProposalHead(inputs, hidden, anchors)

    def forward(
        self, features: Tensor, sizes: list[tuple[int, int]], config: DetectorConfig
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Of each picture, best first: boxes [proposal, 4] in scaled pixels and their logits [proposal]."""
        logits, deltas = self.rpn_head(features)
        anchors = self.anchor_generator(*features.shape[-2:], config.anchor_offset)
        logits = logits.permute(0, 2, 3, 1).flatten(1)
        pictures, count, rows, columns = deltas.shape
        deltas = (
            deltas.view(pictures, count // 4, 4, rows, columns)
            .permute(0, 3, 4, 1, 2)
            .reshape(pictures, -1, 4)
        )
        chosen = [choose(anchors, *each, config) for each in zip(logits, deltas, sizes, strict=True)]
        return [boxes for boxes, _ in chosen], [scores for _, scores in chosen]


def choose(
    anchors: Tensor, logits: Tensor, deltas: Tensor, size: tuple[int, int], config: DetectorConfig
) -> tuple[Tensor, Tensor]:
    """The proposals of one picture: the best anchors, moved, cut at its borders, without overlaps."""
    order = logits.argsort(descending=True, stable=True)[: config.candidates]
    boxes = cut(decode(anchors[order], deltas[order], config.proposal_weights), size)
    scores = logits[order]
    sides = boxes[:, 2:] - boxes[:, :2]
    real = (sides > config.smallest_side).all(1)
    boxes, scores = boxes[real], scores[real]
    kept = suppress(boxes, scores, config.proposal_nms, most=config.proposals)
    return boxes[kept], scores[kept]
