"""A model filled with the tensors of an original checkpoint, checked name by name before anything is built."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from cacr._json import read_object


@dataclass(frozen=True)
class Conversion:
    """What became of an original checkpoint."""

    kind: str
    """uniter, oscar or rosita."""
    head: str
    """retrieval, pretraining or base."""
    model: PreTrainedModel
    """In eval mode, float32."""
    left_out: tuple[str, ...]
    """Tensors of the checkpoint, by their names in it, that the model has no place for."""
    made: tuple[str, ...] = ()
    """Sentences on parts of the model that the checkpoint does not hold as they are."""


def fill(
    model_class: type[PreTrainedModel],
    config: PreTrainedConfig,
    state: Mapping[str, Tensor],
    path: Path,
    may_lack: Collection[str] = (),
) -> tuple[PreTrainedModel, list[str]]:
    """A model in eval mode with the tensors of ``state``, and the names of ``may_lack`` that were not there.

    Args:
        model_class: The class.
        config: Its sizes.
        state: Tensors by our names; others are not used.
        path: For messages.
        may_lack: Beginnings of names that the checkpoint may lack.

    Raises:
        ValueError: A tensor is missing or has another shape, or the configuration makes no model.
    """
    try:
        wanted = shapes_of(model_class, config)
    except Exception as error:  # a stranger's configuration: layers and activations raise many kinds
        raise ValueError(f"the configuration given for {path} makes no model: {error!r:.200}") from error
    wrong = [name for name in wanted if name in state and wanted[name] != tuple(state[name].shape)]
    if wrong:
        raise ValueError(
            f"{path}: {wrong[0]} has shape {tuple(state[wrong[0]].shape)}; the configuration wants "
            f"{wanted[wrong[0]]} ({len(wrong)} such tensors). Give the json that belongs to it"
        )
    missing = [name for name in wanted if name not in state]
    lacking = [name for name in missing if name.startswith(tuple(may_lack))]
    tied = set(getattr(model_class, "_tied_weights_keys", None) or ())
    lost = [name for name in missing if name not in tied and name not in lacking]
    if lost:
        raise ValueError(
            f"{path} lacks {len(lost)} tensors of {model_class.__name__}, first {lost[0]}. Is it another kind of "
            'checkpoint? Known heads: "retrieval", "pretraining", "base"'
        )
    model = model_class(config)
    model.load_state_dict({name: state[name] for name in wanted if name in state}, strict=False)
    model.tie_weights()
    return model.eval(), lacking


def shapes_of(model_class: type[PreTrainedModel], config: PreTrainedConfig) -> dict[str, tuple[int, ...]]:
    """The shapes of a model's tensors by name; sizes of a stranger's configuration cost nothing yet."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in model_class(config).state_dict().items()}


def configured(config_class: type[PreTrainedConfig], values: Mapping[str, Any], path: Path) -> Any:
    """A configuration of checked values.

    Raises:
        ValueError: A value of the wrong kind.
    """
    try:
        return config_class(**values)
    except (StrictDataclassError, TypeError, ValueError) as error:
        first = " ".join(str(error).split())
        raise ValueError(
            f"the configuration given for {path} is not one of {config_class.__name__}: {first}"
        ) from error


def settings(config: str | os.PathLike[str] | Mapping[str, Any] | None) -> dict[str, Any]:
    """An original configuration: a json's path, or its values; {} for None.

    Raises:
        FileNotFoundError: No such json.
        ValueError: It is no json of names and values.
    """
    if config is None:
        return {}
    if isinstance(config, Mapping):
        return dict(config)
    if not Path(config).is_file():
        raise FileNotFoundError(f"no configuration at {config}; expected the original json")
    return read_object(Path(config), "give the original configuration")


def bert_sizes(
    state: Mapping[str, Tensor], prefix: str, regions: str, path: Path, what: str
) -> dict[str, int]:
    """The sizes of a BERT with regions that the weights themselves tell.

    Args:
        state: Tensors by our names.
        prefix: Of the model in them, for instance "uniter".
        regions: Name, behind the prefix, of the map of the region features.
        path: For messages.
        what: The kind, for messages: "a UNITER checkpoint".

    Raises:
        ValueError: It is another kind, or layers are missing.
    """
    needed = [
        f"{prefix}.embeddings.word_embeddings.weight",
        f"{prefix}.embeddings.position_embeddings.weight",
        f"{prefix}.embeddings.token_type_embeddings.weight",
        f"{prefix}.{regions}",
        f"{prefix}.encoder.layer.0.intermediate.dense.weight",
    ]
    absent = [name for name in needed if name not in state]
    if absent:
        raise ValueError(
            f"{path} is not {what}: it has no {absent[0]} among its {len(state)} tensors. "
            "Expected the state dict of the original code"
        )
    flat = [name for name in needed if state[name].ndim != 2]
    if flat:
        raise ValueError(f"{path}: {flat[0]} has shape {tuple(state[flat[0]].shape)}; expected a matrix")
    words, positions, types, features, middle = (state[name].shape for name in needed)
    pattern = re.compile(re.escape(prefix) + r"\.encoder\.layer\.(\d+)\.")
    layers = {int(found.group(1)) for found in map(pattern.match, state) if found}
    if layers != set(range(len(layers))):
        raise ValueError(
            f"{path} holds the layers {sorted(layers)}; expected all from 0 on. Download it again"
        )
    return {
        "vocab_size": words[0],
        "hidden_size": words[1],
        "max_position_embeddings": positions[0],
        "type_vocab_size": types[0],
        "region_dim": features[1],
        "intermediate_size": middle[0],
        "num_hidden_layers": len(layers),
    }


def with_sizes(given: Mapping[str, Any], sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Configured values with the sizes of the weights over them, and heads where nothing states their number.

    Not over ``type_vocab_size``: releases pad vocabularies, never segments, so another number means another model.
    """
    values = {**given, **sizes}
    if "type_vocab_size" in given:
        values["type_vocab_size"] = given["type_vocab_size"]
    values.setdefault("num_attention_heads", guess_heads(values["hidden_size"]))
    return values


def guess_heads(width: int) -> int:
    """Attention heads where no configuration tells: 64 wide as in every release, else 12 or 4."""
    if width % 64 == 0:
        return width // 64
    return 12 if width % 12 == 0 and width >= 144 else 4


def renamed(state: Mapping[str, Tensor], rules: Collection[tuple[str, str]]) -> dict[str, tuple[str, Tensor]]:
    """Our name -> (original name, tensor in float32), by regular expressions applied in turn."""
    ours = {}
    for original, value in state.items():
        name = original
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        ours[name] = (original, value.float() if value.is_floating_point() else value)
    return ours


def left_out(ours: Mapping[str, tuple[str, Tensor]], model: PreTrainedModel) -> tuple[str, ...]:
    """The original names of the tensors that a model has no place for."""
    kept = model.state_dict()
    return tuple(original for name, (original, _) in ours.items() if name not in kept)
