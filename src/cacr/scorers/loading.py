"""Weights and processors of transformers' models, with a sentence for each way a checkpoint can be wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from cacr._messages import first_line
from cacr.models.tokenizers import opened


def load_weights(
    model_class: Any, folder: str | os.PathLike[str], dtype: torch.dtype = torch.float32, **options: Any
) -> tuple[PreTrainedModel, list[str]]:
    """A model, and the names of the weights that its checkpoint lacks: transformers drew these at random.

    Args:
        model_class: A class of transformers, or an Auto class.
        folder: A folder of ``save_pretrained``, or a name on the hub.
        dtype: The precision of the parameters.
        options: As for ``from_pretrained``.

    Raises:
        FileNotFoundError: There is no such model.
        ValueError: Its configuration or weights cannot be read, or do not belong together.
        ImportError: The model needs a package that is not installed.
    """
    if Path(folder).is_dir() and not (Path(folder) / "config.json").is_file():
        raise FileNotFoundError(
            f"no config.json in {folder}; expected a model folder as save_pretrained writes it"
        )
    try:
        with torch.random.fork_rng(devices=()):  # what a checkpoint lacks is drawn
            model, found = model_class.from_pretrained(
                folder, dtype=dtype, output_loading_info=True, trust_remote_code=False, **options
            )
    except ImportError:
        raise
    except Exception as error:  # a stranger's file: transformers and what it reads with raise many kinds
        if isinstance(error, OSError) and not Path(folder).is_dir():
            raise FileNotFoundError(
                f"no model {str(folder)!r}: there is no such folder, and the hub gave none ({first_line(error)}). Give "
                "the folder of a model, or where there is a network `hf download NAME` first"
            ) from error
        raise ValueError(
            f"the weights of {folder} cannot be read ({first_line(error)}): they are cut off, or do not belong to its "
            "config.json. Copy the whole model folder again"
        ) from error
    return model, sorted(found["missing_keys"])


def load_whole(
    model_class: Any, folder: str | os.PathLike[str], dtype: torch.dtype = torch.float32, **options: Any
) -> PreTrainedModel:
    """A model whose checkpoint has all its weights. Raises ValueError, naming the first, where some are missing."""
    model, missing = load_weights(model_class, folder, dtype, **options)
    if missing:
        raise ValueError(
            f"the weights of {folder} lack {len(missing)} tensors of {type(model).__name__}, first {missing[0]}; they "
            "would be random. Take a checkpoint of the whole model"
        )
    return model


def load_beside(kind: Any, folder: str | os.PathLike[str], what: str, **options: Any) -> Any:
    """A processor or tokenizer saved beside a model.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It cannot be read.
        ImportError: It needs a package that is not installed.
    """
    try:
        return opened(kind, folder, **options)
    except OSError as error:
        raise FileNotFoundError(
            f"no {what} in {folder} ({first_line(error)}); save it beside the model with {what}.save_pretrained"
        ) from error
    except ImportError as error:
        raise ImportError(f"the {what} of {folder} needs another package: {first_line(error)}") from error
    except Exception as error:
        raise ValueError(
            f"{folder} has no {what} that can be read ({first_line(error)}); save it beside the model with "
            f"{what}.save_pretrained"
        ) from error
