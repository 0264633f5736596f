"""Original OSCAR and OSCAR+ checkpoints (a folder of config.json and pytorch_model.bin) to our model.

Very old names are translated (``gamma``/``beta``), half precision becomes float32, sizes are read off the weights. The
config.json counts for what weights do not tell: the number of heads, the LayerNorm's epsilons, the kind of classifier.

Source: github.com/microsoft/Oscar, oscar/modeling/modeling_bert.py. Nothing is unpickled.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from cacr._messages import unknown
from cacr.models.checkpoints import Checkpoint, conversion
from cacr.models.oscar.configuration import OscarConfig
from cacr.models.oscar.modeling import OscarForImageTextRetrieval, OscarModel, OscarPreTrainedModel
from cacr.models.oscar.pretraining import OscarForPreTraining
from cacr.models.weights import (
    Conversion,
    bert_sizes,
    configured,
    fill,
    left_out,
    renamed,
    settings,
    with_sizes,
)

HEADS: dict[str, type[OscarPreTrainedModel]] = {
    "retrieval": OscarForImageTextRetrieval,
    "pretraining": OscarForPreTraining,
    "base": OscarModel,
}
_RENAME = [
    (r"^module\.", ""),
    (r"\.gamma$", ".weight"),
    (r"\.beta$", ".bias"),
    (r"^bert\.embeddings\.LayerNorm\.", "oscar.embeddings.layer_norm."),
    (r"^bert\.img_embedding\.", "oscar.region_embeddings.linear."),
    (r"^bert\.LayerNorm\.", "oscar.region_embeddings.layer_norm."),
    (r"^bert\.", "oscar."),
    (r"^cls\.seq_relationship\.", "seq_relationship."),
]
_ORIGINAL_FIELDS = {
    "use_img_layernorm": "use_region_layer_norm",
    "img_layer_norm_eps": "region_layer_norm_eps",
    "cls_hidden_scale": "classifier_scale",
}
_REGION_NORM = "oscar.region_embeddings.layer_norm.weight"
_BOX = 6


def convert_original_checkpoint(
    checkpoint: str | os.PathLike[str],
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    head: str | None = None,
) -> PreTrainedModel:
    """A model with the weights of an original checkpoint.

    Args:
        checkpoint: The folder, its pytorch_model.bin, or a .safetensors with the original key names.
        config: The original json (path or dict), over the folder's. Say ``{"use_img_layernorm": 0}`` (or 1) here where
            config.json and weights disagree on the LayerNorm of the regions; a 1 without weights starts it fresh.
        head: "retrieval", "pretraining", "base", or None for what the checkpoint holds. A retrieval head made of a
            pre-training checkpoint starts from the contrast head: a match is its class 0, none its last.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is broken, holds no OSCAR of retrieval or pre-training, or does not fit its configuration.
    """
    if head is not None and head not in HEADS:
        raise ValueError(unknown("head", head, HEADS))
    return conversion(checkpoint, config, head, kind="oscar").model


def convert(
    checkpoint: Checkpoint, config: str | os.PathLike[str] | Mapping[str, Any] | None, head: str | None
) -> Conversion:
    """The same of a checkpoint read already; see `cacr.models.checkpoints.conversion`."""
    path = checkpoint.path
    ours = renamed(checkpoint.state, _RENAME)
    state = {name: value for name, (_, value) in ours.items()}
    head = head or _head_of(state)
    if head not in HEADS:
        raise ValueError(unknown("head", head, HEADS))
    sizes: dict[str, Any] = bert_sizes(
        state, "oscar", "region_embeddings.linear.weight", path, "an OSCAR checkpoint"
    )
    if sizes["region_dim"] <= _BOX:
        raise ValueError(
            f"{path}: its regions have {sizes['region_dim']} numbers; expected features and {_BOX} of the box"
        )
    sizes["region_dim"] -= _BOX
    made: list[str] = []
    asked = settings(config)
    values = with_sizes(_known(checkpoint.settings) | _known(asked), sizes)
    values["use_region_layer_norm"] = _region_norm(checkpoint.settings, asked, state, path)
    if "seq_relationship.weight" in state:
        values["num_contrast_classes"] = state["seq_relationship.weight"].shape[0]
    if head == "retrieval":
        if _head_of(state) == "pretraining":
            _start_from_contrast(ours, made)
        values |= _classifier({name: value for name, (_, value) in ours.items()}, path)
    elif head == "base":
        ours = {name.removeprefix("oscar."): found for name, found in ours.items()}
    norm = _REGION_NORM.removesuffix("weight")
    if values["use_region_layer_norm"] and _REGION_NORM not in state:
        made.append("The LayerNorm of the regions starts fresh, as asked: the checkpoint has none.")
    model, _ = fill(
        HEADS[head],
        configured(OscarConfig, values, path),
        {name: value for name, (_, value) in ours.items()},
        path,
        may_lack=[norm, norm.removeprefix("oscar.")] if _REGION_NORM not in state else [],
    )
    return Conversion("oscar", head, model, left_out(ours, model), tuple(made))


def _head_of(state: Mapping[str, Tensor]) -> str:
    if any(name.startswith("classifier.") for name in state):
        return "retrieval"
    return "pretraining" if "seq_relationship.weight" in state else "base"


def _region_norm(
    beside: Mapping[str, Any], asked: Mapping[str, Any], state: Mapping[str, Tensor], path: Path
) -> bool:
    """Whether regions go through a LayerNorm: as the caller says, else as config.json and weights agree."""
    held = _REGION_NORM in state
    if "use_img_layernorm" in asked:
        return bool(asked["use_img_layernorm"])
    if not beside and not asked:
        return held
    says = bool(beside.get("use_img_layernorm", False))  # missing means no, in the release
    if says != held:
        raise ValueError(
            f"{path}: its configuration has use_img_layernorm {beside.get('use_img_layernorm', 'not at all')}, but the "
            f"weights hold {'a' if held else 'no'} bert.LayerNorm. Say which is right with a json of your own: "
            f'{{"use_img_layernorm": {int(held)}}} for the weights, {{"use_img_layernorm": {int(says)}}} as the '
            "release would read it"
        )
    return held


def _classifier(state: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    """What the weights tell of the match head."""
    last = "classifier.2" if "classifier.2.weight" in state else "classifier"
    if f"{last}.weight" not in state:
        raise ValueError(
            f"{path} has no classifier among its {len(state)} tensors; expected a checkpoint fine-tuned for retrieval. "
            'Take head="base"'
        )
    labels = state[f"{last}.weight"].shape[0]
    if labels not in (1, 2):
        raise ValueError(
            f"{path}: its classifier has {labels} classes, so it answers questions; expected the 2 of image-text "
            'retrieval (or 1). Take head="base" to start from its encoder'
        )
    found: dict[str, Any] = {"num_labels": labels, "classifier": "linear"}
    if last != "classifier":
        width = state["oscar.embeddings.word_embeddings.weight"].shape[1]
        found |= {"classifier": "mlp", "classifier_scale": state["classifier.2.weight"].shape[1] // width}
    return found


def _start_from_contrast(ours: dict[str, tuple[str, Tensor]], made: list[str]) -> None:
    for name in ("weight", "bias"):
        original, value = ours[f"seq_relationship.{name}"]
        ours[f"classifier.{name}"] = (original, torch.stack([value[-1], value[0]]))
        del ours[f"seq_relationship.{name}"]
    made.append(
        "The match head starts from the pre-training head: a match is its class 0, none its last. In the first OSCAR "
        "(two classes) that head only ever saw wrong tags."
    )


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    translated = {_ORIGINAL_FIELDS.get(name, name): value for name, value in values.items()}
    own = set(OscarConfig.__annotations__) - {"model_type"}
    return {name: value for name, value in translated.items() if name in own}
