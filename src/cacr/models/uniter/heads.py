"""UNITER's pre-training heads for regions.

Source: github.com/ChenRocks/UNITER, model/pretrain.py (RegionFeatureRegression, RegionClassification).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cacr.models.uniter.configuration import UniterConfig


class UniterRegionRegression(nn.Module):
    """Predict hidden region features. Its last map is the transposed feature embedding, passed at call time."""

    def __init__(self, config: UniterConfig):
        super().__init__()
        width = config.hidden_size
        self.net = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width, eps=config.layer_norm_eps)
        )
        self.bias = nn.Parameter(torch.zeros(config.region_dim))

    def forward(self, hidden: Tensor, feature_weight: Tensor) -> Tensor:
        return F.linear(self.net(hidden), feature_weight.t(), self.bias)


class UniterRegionClassification(nn.Module):
    """Predict the detector's class of hidden regions."""

    def __init__(self, config: UniterConfig):
        super().__init__()
        width = config.hidden_size
        self.net = nn.Sequential(
            nn.Linear(width, width),
            nn.GELU(),
            nn.LayerNorm(width, eps=config.layer_norm_eps),
            nn.Linear(width, config.region_label_dim),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        return self.net(hidden)
