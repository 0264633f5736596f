"""What a detector would see in a box: 40 numbers of form and color, taken from the pixels. It knows no position.

Raw contrast maps all look alike to a linear layer, so they are whitened: centred, rotated to their 40 strongest axes
and divided by their spread over 50,000 regions. Rebuild: ``python -m cacr.data.scenes.features``.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file

THUMB = 8
"""Each box is shrunk to this many pixels a side."""
FEATURES = 40
WHITENING = "whitening.safetensors"

Box = tuple[float, float, float, float]


def appearance(image: Image.Image, boxes: list[Box]) -> NDArray[np.float64]:
    """Form (contrast with the ground) and color (hues, mean color) of each box, [box, 79], before whitening."""
    shade = np.bincount(np.asarray(image)[..., 0].ravel()).argmax() / 255  # the commonest value is the ground
    thumbs = [np.asarray(image.resize((THUMB, THUMB), Image.Resampling.BOX, box=box)) for box in boxes]
    rgb = np.stack(thumbs).reshape(len(boxes), -1, 3) / 255
    contrast = np.clip(np.abs(rgb - shade).max(-1) * 2.2 - 0.12, 0, 1)
    weight = contrast / (contrast.sum(-1, keepdims=True) + 1e-3)
    high, chroma = rgb.max(-1), rgb.max(-1) - rgb.min(-1)
    r, g, b = np.moveaxis(rgb, -1, 0)
    even = chroma + 1e-6
    hue = 2 * np.where(
        high == r, (g - b) / even % 6, np.where(high == g, (b - r) / even + 2, (r - g) / even + 4)
    )
    gap = np.abs(hue[..., None] - np.arange(12))
    bins = np.clip(1 - np.minimum(gap, 12 - gap), 0, 1) * np.clip(3 * chroma, 0, 1)[..., None]
    hues, mean_color = ((x * weight[..., None]).sum(-2) for x in (bins, rgb))
    return np.concatenate([2 * contrast - 1, 2 * hues, 2 * mean_color - 1], -1)


def features(image: Image.Image, boxes: list[Box]) -> torch.Tensor:
    """Whitened features of each box, [box, 40], float32, clipped to ±4."""
    mean, axes = _whitening()
    raw = torch.from_numpy(appearance(image, boxes)).float()
    return ((raw - mean) @ axes).clamp(-4, 4)


@cache
def _whitening() -> tuple[torch.Tensor, torch.Tensor]:
    with as_file(files(__package__) / WHITENING) as path:
        stored = load_file(path)
    return stored["mean"], stored["axes"]


def fit_whitening(scenes: int = 10_000) -> dict[str, torch.Tensor]:
    """Mean and axes over the regions of the first scenes of seed 0."""
    from cacr.data.scenes.scene import scene

    drawn = (scene(0, i) for i in range(scenes))
    raw = np.concatenate([appearance(s.image, list(s.boxes)) for s in drawn])[:50_000]
    mean = raw.mean(0)
    _, spread, axes = np.linalg.svd(raw - mean, full_matrices=False)
    axes = axes[:FEATURES].T / (spread[:FEATURES] / len(raw) ** 0.5)
    return {
        "mean": torch.from_numpy(mean).float(),
        "axes": torch.from_numpy(np.ascontiguousarray(axes)).float(),
    }


if __name__ == "__main__":
    with as_file(files(__package__) / WHITENING) as path:
        save_file(fit_whitening(), path)
