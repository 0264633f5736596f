"""Load a saved model folder of any family, with a sentence for each way it can be wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers import AutoTokenizer, PreTrainedModel

from cacr._hub import model_here
from cacr._messages import shortly
from cacr.models.families import Family, families
from cacr.models.processing import RegionProcessor
from cacr.models.tokenizers import opened
from cacr.models.weights import settings, shapes_of


def load_model(folder: str | os.PathLike[str], **kwargs: Any) -> PreTrainedModel:
    """The model in a folder made by ``save_pretrained``, in eval mode, whose output has ``rank_scores``.

    Args:
        folder: With config.json, which names the kind, and model.safetensors; or OWNER/NAME[@REVISION] on the hub.
        kwargs: As for ``from_pretrained``.

    Raises:
        FileNotFoundError: There is no such folder, or no config.json or weights in it; or the hub does not give it.
        ValueError: The weights are cut off, or do not fit config.json, or it is another kind of model.
    """
    folder = model_here(folder)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"no {name} in {folder}; expected a model folder as written by `cacr train` (RUN/model) or by "
                "`cacr convert CHECKPOINT FOLDER`"
            )
    weights = folder / "model.safetensors"
    try:
        with safe_open(weights, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{weights} is not a readable checkpoint ({error}); it may be cut off. Copy it again, or resume the run"
        ) from error
    family, model_class = kind_of(folder)
    kind = family.config.model_type
    try:
        config = family.config.from_pretrained(folder)
        if config.num_hidden_layers > len(shapes):
            raise ValueError(f"{config.num_hidden_layers} layers, and {len(shapes)} tensors beside it")
        wanted = shapes_of(model_class, config)
    except Exception as error:  # a stranger's file: transformers and its validators raise many kinds
        raise ValueError(f"{folder / 'config.json'} is no configuration of {kind}: {error}") from error
    tied = set(getattr(model_class, "_tied_weights_keys", None) or ())  # saved once, under the other name
    for name, shape in wanted.items():
        if shapes.get(name) != shape and not (name in tied and name not in shapes):
            found = f"has shape {shapes[name]}" if name in shapes else "is missing"
            raise ValueError(
                f"{weights}: {name} {found}; {folder / 'config.json'} wants {shape}. "
                "The two do not belong together: copy the whole model folder"
            )
    try:
        model = model_class.from_pretrained(folder, **kwargs).eval()
    except Exception as error:  # what is left of config.json: precisions, quantization, generation
        raise ValueError(
            f"{folder} cannot be loaded as {kind}: {error}; copy the whole model folder"
        ) from error
    for parameter in model.parameters():
        # Memory-mapped tensors lie at odd addresses, where kernels round differently: equal weights, unequal scores.
        parameter.data = parameter.data.clone()
    return model


def load_processor(folder: str | os.PathLike[str]) -> RegionProcessor:
    """The processor saved beside a model, in a folder or on the hub.

    Raises:
        FileNotFoundError: The folder has no tokenizer, or the hub does not give it.
        ValueError: It cannot be read or used, or config.json names no kind of model known here.
    """
    folder = model_here(folder)
    if not (folder / "tokenizer.json").is_file():
        raise FileNotFoundError(
            f"no tokenizer.json in {folder}; save one beside the model, for instance with "
            "`cacr convert CHECKPOINT FOLDER --tokenizer TOKENIZER`"
        )
    family, _ = kind_of(folder)
    try:
        if (folder / "processor_config.json").is_file():
            return opened(family.processor, folder)
        return family.processor(opened(AutoTokenizer, folder))
    except Exception as error:  # a stranger's files: transformers and the tokenizers package raise many kinds
        raise ValueError(f"{folder} has no processor that can be read: {error}; save it again") from error


def kind_of(folder: Path) -> tuple[Family, type[PreTrainedModel]]:
    """The family of the model that a folder's config.json names, and the class that was saved or scores.

    Raises:
        FileNotFoundError: There is no config.json.
        ValueError: It names no kind of model known here.
    """
    values = settings(folder / "config.json")
    kind = values.get("model_type")
    if not isinstance(kind, str) or kind not in families():
        hint = " (an original checkpoint? Run `cacr convert` on it)" if kind is None else ""
        raise ValueError(
            f"{folder / 'config.json'} has model_type {shortly(kind)}{hint}; expected one of {', '.join(families())}"
        )
    family = families()[kind]
    by_name = {one.__name__: one for one in family.scoring}
    named = values.get("architectures")
    first = str(named[0]) if isinstance(named, list) and named else ""
    return family, by_name.get(first, family.scoring[0])
