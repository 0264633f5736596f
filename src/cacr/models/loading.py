"""Load a saved model folder of any family, with a sentence for each way it can be wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from transformers import AutoTokenizer, PreTrainedModel

from cacr.models.families import Family, families
from cacr.models.processing import RegionProcessor
from cacr.models.weights import settings


def load_model(folder: str | os.PathLike[str], **kwargs: Any) -> PreTrainedModel:
    """The model in a folder made by ``save_pretrained``, in eval mode, whose output has ``rank_scores``.

    Args:
        folder: With config.json, which names the kind, and model.safetensors.
        kwargs: As for ``from_pretrained``.

    Raises:
        FileNotFoundError: There is no such folder, or no config.json or weights in it.
        ValueError: The weights are cut off, or do not fit config.json, or it is another kind of model.
    """
    folder = Path(folder)
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
    family, model_class = _kind(folder)
    try:
        config = family.config.from_pretrained(folder)
        with torch.device("meta"):
            wanted = {name: tuple(p.shape) for name, p in model_class(config).state_dict().items()}
    except (OSError, TypeError, ValueError, RuntimeError, StrictDataclassError) as error:
        kind = family.config.model_type
        raise ValueError(f"{folder / 'config.json'} is no configuration of {kind}: {error}") from error
    tied = set(getattr(model_class, "_tied_weights_keys", None) or ())  # saved once, under the other name
    for name, shape in wanted.items():
        if shapes.get(name) != shape and not (name in tied and name not in shapes):
            found = f"has shape {shapes[name]}" if name in shapes else "is missing"
            raise ValueError(
                f"{weights}: {name} {found}; {folder / 'config.json'} wants {shape}. "
                "The two do not belong together: copy the whole model folder"
            )
    model = model_class.from_pretrained(folder, **kwargs).eval()
    for parameter in model.parameters():
        # Memory-mapped tensors lie at odd addresses, where kernels round differently: equal weights, unequal scores.
        parameter.data = parameter.data.clone()
    return model


def load_processor(folder: str | os.PathLike[str]) -> RegionProcessor:
    """The processor saved beside a model.

    Raises:
        FileNotFoundError: The folder has no tokenizer.
        ValueError: Its config.json names no kind of model known here.
    """
    folder = Path(folder)
    if not (folder / "tokenizer.json").is_file():
        raise FileNotFoundError(
            f"no tokenizer.json in {folder}; save one beside the model, for instance with "
            "`cacr convert CHECKPOINT FOLDER --tokenizer TOKENIZER`"
        )
    family, _ = _kind(folder)
    if (folder / "processor_config.json").is_file():
        return family.processor.from_pretrained(folder)
    return family.processor(AutoTokenizer.from_pretrained(folder))


def _kind(folder: Path) -> tuple[Family, type[PreTrainedModel]]:
    values = settings(folder / "config.json")
    kind = values.get("model_type")
    if kind not in families():
        hint = " (an original checkpoint? Run `cacr convert` on it)" if kind is None else ""
        raise ValueError(
            f"{folder / 'config.json'} has model_type {kind!r}{hint}; expected one of {', '.join(families())}"
        )
    family = families()[kind]
    by_name = {one.__name__: one for one in family.scoring}
    named = values.get("architectures") or [None]
    return family, by_name.get(str(named[0]), family.scoring[0])
