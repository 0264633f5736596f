"""Load a saved model folder, with a sentence for each way it can be wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from transformers import AutoTokenizer

from cacr.models.uniter.configuration import UniterConfig
from cacr.models.uniter.modeling import UniterForImageTextRetrieval
from cacr.models.uniter.processing import UniterProcessor


def load_model(folder: str | os.PathLike[str], **kwargs: Any) -> UniterForImageTextRetrieval:
    """The retrieval model in a folder made by ``save_pretrained``, in eval mode.

    Raises:
        FileNotFoundError: There is no such folder, or no config.json or weights in it.
        ValueError: The weights are cut off, or do not fit config.json.
    """
    folder = Path(folder)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"no {name} in {folder}; expected a model folder as written by `cacr train` (RUN/model) or by "
                "convert_original_checkpoint(...).save_pretrained(FOLDER)"
            )
    weights = folder / "model.safetensors"
    try:
        with safe_open(weights, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{weights} is not a readable checkpoint ({error}); it may be cut off. Copy it again, or resume the run"
        ) from error
    try:
        config = UniterConfig.from_pretrained(folder)
        with torch.device("meta"):
            wanted = {
                name: tuple(p.shape) for name, p in UniterForImageTextRetrieval(config).state_dict().items()
            }
    except (OSError, TypeError, ValueError, StrictDataclassError) as error:
        raise ValueError(f"{folder / 'config.json'} is no configuration of a UNITER: {error}") from error
    for name, shape in wanted.items():
        if shapes.get(name) != shape:
            found = f"has shape {shapes[name]}" if name in shapes else "is missing"
            raise ValueError(
                f"{weights}: {name} {found}; {folder / 'config.json'} wants {shape}. "
                "The two do not belong together: copy the whole model folder"
            )
    model = UniterForImageTextRetrieval.from_pretrained(folder, **kwargs).eval()
    for parameter in model.parameters():
        # Memory-mapped tensors lie at odd addresses, where kernels round differently: equal weights, unequal scores.
        parameter.data = parameter.data.clone()
    return model


def load_processor(folder: str | os.PathLike[str]) -> UniterProcessor:
    """The processor saved beside a model.

    Raises:
        FileNotFoundError: The folder has no tokenizer.
    """
    folder = Path(folder)
    if not (folder / "tokenizer.json").is_file():
        raise FileNotFoundError(
            f"no tokenizer.json in {folder}; save one beside the model: "
            f"UniterProcessor(tokenizer).save_pretrained({str(folder)!r})"
        )
    if (folder / "processor_config.json").is_file():
        return UniterProcessor.from_pretrained(folder)
    return UniterProcessor(AutoTokenizer.from_pretrained(folder))
