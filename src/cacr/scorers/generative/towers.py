"""In a batch of several captions of a picture, the picture goes through the vision tower once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

NAMES = ("vision_tower", "vision_model", "image_encoder")
"""What models call the module that turns pixels into features. One of another name runs as it does on its own."""


@contextmanager
def each_picture_once(model: PreTrainedModel, pictures: Sequence[int]) -> Iterator[None]:
    """While this holds, the tower sees one row a picture, and its output has the rows that the model expects.

    Args:
        model: The model.
        pictures: Which picture each row of the batch shows.
    """
    first = {picture: row for row, picture in reversed(list(enumerate(pictures)))}
    place = {picture: i for i, picture in enumerate(first)}
    kept, back = list(first.values()), [place[picture] for picture in pictures]
    tower = vision_tower(model)
    if tower is None or len(kept) == len(back):
        yield
        return
    short = False

    def shorten(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        nonlocal short
        pixels = args[0] if args else kwargs.get("pixel_values")
        short = False  # towers that take patches or tiles, several rows a picture, are left alone
        if not isinstance(pixels, Tensor) or pixels.ndim != 4 or len(pixels) != len(back):
            return None
        short = True
        chosen = pixels[torch.tensor(kept, device=pixels.device)]
        return ((chosen, *args[1:]), kwargs) if args else (args, kwargs | {"pixel_values": chosen})

    def restore(module: nn.Module, args: Any, output: Any) -> Any:
        return _rows(output, back) if short else None

    hooks = [tower.register_forward_pre_hook(shorten, with_kwargs=True), tower.register_forward_hook(restore)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def vision_tower(model: nn.Module) -> nn.Module | None:
    """The outermost module with a tower's name, if there is one."""
    found = [(name, module) for name, module in model.named_modules() if name.split(".")[-1] in NAMES]
    return min(found, key=lambda one: one[0].count("."))[1] if found else None


def _rows(output: Any, index: Sequence[int]) -> Any:
    if isinstance(output, Tensor):
        return output[torch.tensor(index, device=output.device)]
    if isinstance(output, ModelOutput):
        return type(output)(**{name: _rows(values, index) for name, values in output.items()})
    if isinstance(output, tuple | list):
        return type(output)(_rows(values, index) for values in output)
    return output
