"""Original checkpoints of UNITER, OSCAR and ROSITA: read without unpickling, recognized by their keys, converted.

uniter-base.pt, cacr.pt …         a state dict, `torch.save`d; or the same as .safetensors
checkpoint-0132780/               OSCAR: config.json and pytorch_model.bin
itr-flickr-base.pkl               ROSITA: a dict of state dicts, one a module
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cacr._messages import shortly
from cacr._weights import read_weights
from cacr.models.weights import Conversion, settings

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Of a checkpoint folder, the first that is there."""
WRAPPERS = ("model", "state_dict", "model_state_dict")
"""Under which a training state keeps the model."""
MARKS = {
    "uniter": ("img_embeddings.img_linear.weight", "region_embeddings.feature_linear.weight"),
    "oscar": ("img_embedding.weight",),
    "rosita": ("visual_embeddings.dense_imgfeat.weight",),
}
"""Kind -> ends of names that it alone has: its map of region features."""


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and what lay beside them."""

    path: Path
    """The file of the tensors."""
    state: dict[str, Tensor]
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the folder's config.json."""
    skipped: tuple[str, ...] = ()
    """Parts of the file that are no tensors of a model: the optimizer and the like."""


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """The tensors of a checkpoint file or folder. Nothing is unpickled that is more than tensors and numbers.

    Args:
        path: A .pt, .bin, .pkl or .safetensors, or a folder with config.json and one of `WEIGHTS`.

    Raises:
        FileNotFoundError: No such file, or a folder without weights.
        ValueError: The file is broken, holds more than tensors, or holds no state dict.
    """
    path = Path(path)
    if path.name == "training_args.bin":
        raise ValueError(
            f"{path} holds pickled settings of a training, no weights, and is never loaded; give the folder it lies in"
        )
    beside: dict[str, Any] = {}
    if path.is_dir() or (path.name in WEIGHTS and (path.parent / "config.json").is_file()):
        folder = path if path.is_dir() else path.parent
        if path.is_dir():
            path = _weights_of(folder)
        if (folder / "config.json").is_file():
            beside = settings(folder / "config.json")
    state, skipped = _tensors(path)
    return Checkpoint(path, state, beside, skipped)


def recognize(state: Mapping[str, Tensor]) -> str:
    """The kind of a state dict by its keys: "uniter" (IAIS and CACR too), "oscar" or "rosita".

    Raises:
        ValueError: None of them; the sentence says what the keys look like.

    Examples:
        >>> recognize({"bert.img_embedding.weight": torch.zeros(8, 10)})
        'oscar'
    """
    for kind, marks in MARKS.items():
        if any(name == mark or name.endswith("." + mark) for name in state for mark in marks):
            return kind
    names = list(state)
    bert = any(name.endswith("embeddings.word_embeddings.weight") for name in names)
    what = "a BERT without a map of region features" if bert else "of no kind known here"
    raise ValueError(
        f"this checkpoint is {what}: {len(names)} tensors, first {', '.join(names[:3]) or 'none'}. Expected an "
        "original UNITER, IAIS or CACR (img_embeddings.img_linear), OSCAR (img_embedding) or ROSITA "
        "(visual_embeddings.dense_imgfeat)"
    )


def conversion(
    path: str | os.PathLike[str],
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    head: str | None = None,
    kind: str | None = None,
) -> Conversion:
    """A model with the weights of an original checkpoint, and what was found in it.

    Args:
        path: File or folder, see `read_checkpoint`.
        config: The original json (path or values), over a config.json in the folder. Sizes come from the weights.
        head: "retrieval", "pretraining" or "base"; what the checkpoint holds if None.
        kind: "uniter", "oscar" or "rosita" if it has to be that one; recognized if None.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is broken or of another kind, or its shapes do not fit the configuration.
    """
    from cacr.models.families import families

    checkpoint = read_checkpoint(path)
    given = checkpoint.settings.get("model_type")
    if isinstance(given, str) and given in families() and "architectures" in checkpoint.settings:
        raise ValueError(
            f"{checkpoint.path.parent} is a model folder of this package already ({given}); use it as it is"
        )
    try:
        found = recognize(checkpoint.state)
    except ValueError as error:
        wanted = f" is not {families()[kind].called}:" if kind else ":"
        raise ValueError(f"{checkpoint.path}{wanted} {error}") from error
    if kind is not None and found != kind:
        raise ValueError(
            f"{checkpoint.path} is not {families()[kind].called} but {families()[found].called}; use "
            f"cacr.models.{found}.convert_original_checkpoint, or cacr convert, which sees for itself"
        )
    return families()[found].convert(checkpoint, config, head)


def _weights_of(folder: Path) -> Path:
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    there = ", ".join(sorted(entry.name for entry in folder.iterdir())[:6]) or "nothing"
    raise FileNotFoundError(
        f"no checkpoint at {folder}: it holds {there}; expected config.json and {' or '.join(WEIGHTS)}"
    )


def _tensors(path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    if not path.is_file():
        raise FileNotFoundError(
            f"no checkpoint at {path}; expected a .pt, .bin, .pkl or .safetensors file, or a folder with one"
        )
    loaded = read_weights(path)
    for name in WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
    if not isinstance(loaded, Mapping):
        raise ValueError(f"{path} holds {type(loaded).__name__}; expected a state dict, name -> tensor")
    if all(isinstance(value, Tensor) for value in loaded.values()):
        return _named(loaded, path), ()
    modules = {name: value for name, value in loaded.items() if _is_state(value)}
    if not modules or any(isinstance(value, Tensor) for value in loaded.values()):
        kinds = sorted({type(value).__name__ for value in loaded.values()})
        raise ValueError(
            f"{path} holds a dict of {', '.join(kinds)}; expected a state dict, name -> tensor, or one a module"
        )
    state = {
        f"{module}.{name}": value for module, values in modules.items() for name, value in values.items()
    }
    return _named(state, path), tuple(str(name) for name in loaded if name not in modules)


def _is_state(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(x, Tensor) for x in value.values())


def _named(state: Mapping[Any, Tensor], path: Path) -> dict[str, Tensor]:
    for name, value in state.items():
        if (
            not isinstance(name, str)
            or value.layout != torch.strided
            or value.is_quantized
            or value.is_meta
            or value.is_complex()
        ):
            raise ValueError(
                f"{path}: {shortly(name)} is no plain tensor under a name; expected a state dict as its code saves it"
            )
    return dict(state)
