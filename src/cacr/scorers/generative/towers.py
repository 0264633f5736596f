"""A picture goes through the vision tower once: in a batch of several captions of it, and in batches one after another.

Only where the tower's tensors follow the rows of the batch: one row a picture goes in, one row a picture comes out.
Towers that take patches or tiles (several rows a picture), and those that put the patches of all pictures into one row
(Pixtral), run as they do on their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

NAMES = ("vision_tower", "vision_model", "image_encoder")
"""What models call the module that turns pixels into features. One of another name runs as it does on its own."""
_PLAIN = (bool, int, float, str, type(None))
_follows: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()
"""By tower: whether two rows of pictures give two rows of every output. Asked once; no score depends on when."""


class LatestPicture:
    """The tower's output for the last picture of a batch, with which the next batch begins."""

    def __init__(self) -> None:
        self.picture: int | None = None
        self.output: Any = None


@contextmanager
def each_picture_once(
    model: PreTrainedModel, pictures: Sequence[int], latest: LatestPicture | None = None
) -> Iterator[None]:
    """While this holds, the tower sees one row a picture, and its output has the rows that the model expects.

    Args:
        model: The model.
        pictures: Which picture each row of the batch shows.
        latest: The last picture of the batch before, which is not seen again; then that of this batch.
    """
    tower = vision_tower(model)
    if tower is None or (latest is None and len(set(pictures)) == len(pictures)):
        yield
        return
    inner, own = tower.forward, "forward" in vars(tower)

    def forward(*args: Any, **kwargs: Any) -> Any:
        if not _by_row(tower, inner, args, kwargs, len(pictures)):
            return inner(*args, **kwargs)
        first = {picture: row for row, picture in reversed(list(enumerate(pictures)))}
        known = latest.output if latest and latest.picture in first else None
        if known is not None and latest:
            del first[latest.picture]  # type: ignore[arg-type]
        if first:
            rows = list(first.values())
            seen = inner(*_rows(args, rows), **{name: _rows(one, rows) for name, one in kwargs.items()})
            output = seen if known is None else _joined(seen, known)
        else:
            output = known
        place = {picture: i for i, picture in enumerate([*first, latest.picture if latest else None])}
        if latest:
            latest.picture, latest.output = pictures[-1], _rows(output, [place[pictures[-1]]])
        return _rows(output, [place[picture] for picture in pictures])

    tower.forward = forward
    try:
        yield
    finally:
        if own:
            tower.forward = inner
        else:
            del tower.forward


def vision_tower(model: nn.Module) -> nn.Module | None:
    """The outermost module with a tower's name, if there is one."""
    found = [(name, module) for name, module in model.named_modules() if name.split(".")[-1] in NAMES]
    return min(found, key=lambda one: one[0].count("."))[1] if found else None


def _by_row(
    tower: nn.Module, inner: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], count: int
) -> bool:
    """Whether every tensor that goes in has the batch's rows, pixels among them, and every one that comes out, too."""
    given = [*args, *kwargs.values()]
    tensors = [one for one in given if isinstance(one, Tensor)]
    if any(not isinstance(one, (Tensor, *_PLAIN)) for one in given):
        return False
    if not any(one.ndim == 4 for one in tensors) or any(
        one.ndim == 0 or len(one) != count for one in tensors
    ):
        return False
    if tower not in _follows:
        twice = inner(*_rows(args, [0, 0]), **{name: _rows(one, [0, 0]) for name, one in kwargs.items()})
        found = _tensors(twice)
        _follows[tower] = bool(found) and all(one.ndim > 0 and len(one) == 2 for one in found)
    return _follows[tower]


def _tensors(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    parts = (
        output.values() if isinstance(output, dict) else output if isinstance(output, tuple | list) else ()
    )
    return [one for part in parts for one in _tensors(part)]


def _rows(output: Any, index: Sequence[int]) -> Any:
    if isinstance(output, Tensor):
        return output[torch.tensor(index, device=output.device)]
    if isinstance(output, ModelOutput):
        return type(output)(**{name: _rows(values, index) for name, values in output.items()})
    if isinstance(output, tuple | list):
        return type(output)(_rows(values, index) for values in output)
    return output


def _joined(one: Any, other: Any) -> Any:
    """The rows of both, those of ``other`` last."""
    if isinstance(one, Tensor):
        return torch.cat([one, other])
    if isinstance(one, ModelOutput):
        return type(one)(**{name: _joined(values, other[name]) for name, values in one.items()})
    if isinstance(one, tuple | list):
        return type(one)(_joined(mine, theirs) for mine, theirs in zip(one, other, strict=True))
    return one
