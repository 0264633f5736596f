"""Model and processor of CLIP, SigLIP and their kin, with a sentence for each way they can be wrong."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from transformers import PreTrainedModel, ProcessorMixin

from cacr._messages import first_line, unknown
from cacr.scorers.loading import load_beside, load_whole

FAMILIES = ("clip", "siglip", "siglip2", "align", "altclip", "chinese_clip", "metaclip_2")
"""The ``model_type``s that are scored here."""


def load_dual_encoder(
    folder: str | os.PathLike[str], dtype: torch.dtype = torch.float32
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Model and processor of a folder or a name on the hub; pictures are resized by PIL.

    torchvision, which transformers would take where it is installed, resizes a little differently.

    Raises:
        FileNotFoundError: It is neither a folder here nor reachable on the hub.
        ValueError: It is another kind of model, its weights are cut off or incomplete, or it has no processor.
        ImportError: Its tokenizer needs a package that is not installed.
    """
    from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoProcessor

    where, local = str(folder), Path(folder).is_dir()
    if local and not (Path(folder) / "config.json").is_file():
        if (Path(folder) / "open_clip_config.json").is_file():
            raise ValueError(
                f"{where} holds an OpenCLIP checkpoint; open it with OpenClipScorer.from_pretrained"
            )
        raise FileNotFoundError(
            f"no config.json in {where}; expected a model folder as save_pretrained writes it"
        )
    if Path(folder).is_file():
        raise ValueError(
            f"{where} is a file; expected a model folder, or for an OpenCLIP checkpoint OpenClipScorer.from_pretrained"
        )
    try:
        config = AutoConfig.from_pretrained(where, trust_remote_code=False)
    except Exception as error:  # a stranger's file: transformers and its validators raise many kinds
        if local:
            raise ValueError(f"{where}/config.json is no configuration: {first_line(error)}") from error
        raise FileNotFoundError(
            f"no model {where!r}: there is no such folder, and the hub gave none ({first_line(error)}). Give the "
            "folder of a model, or where there is a network `hf download NAME` first"
        ) from error
    if config.model_type not in FAMILIES:
        raise ValueError(f"{where}: " + unknown("model_type", config.model_type, FAMILIES))
    model = load_whole(AutoModel, where, dtype, config=config)
    processor = load_beside(AutoProcessor, where, "processor")
    if isinstance(processor, ProcessorMixin):  # told apart: told to both, "pil" would reach the tokenizer too
        processor.image_processor = load_beside(AutoImageProcessor, where, "processor", backend="pil")
    return model, processor
