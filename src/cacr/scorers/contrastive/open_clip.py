"""OpenCLIP checkpoints (NegCLIP, CE-CLIP, LAION's, OpenAI's …) as scorers, through transformers' CLIPModel.

Read are OpenCLIP's own CLIPs with a vision transformer: ``open_clip_model.safetensors``,
``open_clip_pytorch_model.bin`` or a ``.pt`` of a training, and the ``open_clip_config.json`` beside.
Nothing is unpickled that is more than tensors.

Pictures are prepared by transformers' CLIPImageProcessor with OpenCLIP's numbers: the same resizing by PIL, but where
an odd number of pixels is cut off, the center may lie one pixel aside. Texts are not cleaned by ftfy first: it makes
curly quotes straight and HTML entities characters.

What weights do not tell must be told: the activation, which changes every match a little (OpenAI's weights and what was
fine-tuned from them are for QuickGELU, LAION's for GELU), and in large models the width of an attention head.

Source: github.com/mlfoundations/open_clip (MIT), src/open_clip/{model,factory,transform,constants}.py, version 3.3.0.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPProcessor, PreTrainedTokenizerBase

from cacr._messages import shortly
from cacr.models.checkpoints import read_checkpoint
from cacr.models.tokenizers import opened
from cacr.models.weights import settings
from cacr.scorers.contrastive.open_clip_config import clip_config, refuse_other_kinds
from cacr.scorers.contrastive.open_clip_keys import Named, Sizes, own_names, sizes_of, transformers_names
from cacr.scorers.contrastive.scorer import DualEncoderScorer
from cacr.scorers.placing import settle

WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""Of a folder, the first that is there."""
CONFIG = "open_clip_config.json"
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""OpenAI's, OpenCLIP's defaults: of red, green and blue, each 0-1."""
TOKENIZER = "openai/clip-vit-base-patch32"
"""CLIP's words, the same in all of its sizes."""


def load_open_clip(
    path: str | os.PathLike[str],
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    quick_gelu: bool | None = None,
    tokenizer: str | os.PathLike[str] | PreTrainedTokenizerBase | None = None,
) -> tuple[CLIPModel, CLIPProcessor]:
    """Model and processor of an OpenCLIP checkpoint; ``save_pretrained`` of both makes a folder of transformers.

    Args:
        path: A folder as on the hub, or a file of weights.
        config: An open_clip_config.json or one of OpenCLIP's model_configs (path or values); the one beside if None.
        quick_gelu: Whether the activation is QuickGELU; over the configuration, which without the word means GELU. Must
            be said where there is no configuration.
        tokenizer: CLIP's tokenizer: a folder with tokenizer.json, or vocab.json and merges.txt; a name on the hub; or
            the tokenizer. If None, that of the checkpoint's folder, else `TOKENIZER`.

    Raises:
        FileNotFoundError: No weights, configuration or tokenizer there.
        ValueError: The file is broken, holds another kind of model, or does not fit its configuration; or the
            activation or the heads are not told.
    """
    path = _weights_of(Path(path))
    if config is None and (path.parent / CONFIG).is_file():
        config = path.parent / CONFIG
    told = settings(config)
    own = own_names(_read(path), path)
    sizes = sizes_of(own, path)
    model_cfg = told.get("model_cfg", told)
    refuse_other_kinds(model_cfg, path)
    if quick_gelu is None:
        if config is None:
            raise ValueError(
                f"{path} has no {CONFIG} beside it, and weights do not tell the activation. Say quick_gelu=True for "
                "OpenAI's weights and what was fine-tuned from them (NegCLIP, CE-CLIP), quick_gelu=False for LAION's, "
                "or give the configuration"
            )
        quick_gelu = bool(model_cfg.get("quick_gelu", False))
    words = _tokenizer(tokenizer, path, model_cfg, sizes)
    values = clip_config(model_cfg, sizes, quick_gelu, words, path)
    model = _filled(values, transformers_names(own, path), path)
    vision: Any = values.vision_config
    pixels = _image_processor(told.get("preprocess_cfg") or {}, vision.image_size, path)
    return model, CLIPProcessor(pixels, words)


class OpenClipScorer(DualEncoderScorer):
    """Scores pairs with an OpenCLIP checkpoint. Made by ``from_pretrained``."""

    source = ""
    """The file of weights, for the record."""

    @classmethod
    def from_pretrained(
        cls,
        folder: str | os.PathLike[str],
        device: str | None = None,
        dtype: torch.dtype = torch.float32,
        name: str = "",
        memory: float | None = None,
        config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        quick_gelu: bool | None = None,
        tokenizer: str | os.PathLike[str] | PreTrainedTokenizerBase | None = None,
    ) -> OpenClipScorer:
        """From a folder or a file of weights, see `load_open_clip`; on a GPU if there is one and none is named."""
        model, processor = load_open_clip(folder, config, quick_gelu, tokenizer)
        path = Path(folder)
        name = name or (path.name if path.is_dir() else path.stem)
        scorer = cls(settle(model.to(dtype), device), processor, name, memory)  # type: ignore[arg-type]
        scorer.source = _weights_of(path).name
        return scorer

    def describe(self) -> dict[str, Any]:
        """As of any dual encoder, and the file that was converted."""
        return super().describe() | {"converted_from": f"OpenCLIP, {self.source}"}


def _weights_of(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise FileNotFoundError(
            f"no OpenCLIP checkpoint at {path}; expected a folder or a file of weights. One of the hub: "
            "`hf download NAME --local-dir FOLDER` first"
        )
    for name in WEIGHTS:
        if (path / name).is_file():
            return path / name
    single = sorted(file for file in path.iterdir() if file.suffix in (".pt", ".pth"))
    if len(single) == 1:
        return single[0]
    there = ", ".join(sorted(entry.name for entry in path.iterdir())[:6]) or "nothing"
    raise FileNotFoundError(
        f"no OpenCLIP weights in {path}: it holds {there}; expected {' or '.join(WEIGHTS)}, or one .pt. "
        "Or give the file"
    )


def _read(path: Path) -> Mapping[str, Tensor]:
    if _is_program(path):
        raise ValueError(
            f"{path} is a program with weights (TorchScript), as OpenAI published CLIP, and is never run here. "
            f"Take the same weights from the hub with DualEncoderScorer: {TOKENIZER} and its kin"
        )
    return read_checkpoint(path).state


def _is_program(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as file:
            return any(name.endswith("/constants.pkl") for name in file.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        # no zip: what it is instead, its reader says
        return False


def _filled(config: CLIPConfig, named: Named, path: Path) -> CLIPModel:
    """The model with all of the tensors, none left over."""
    with torch.device("meta"):
        wanted = {name: tuple(value.shape) for name, value in CLIPModel(config).state_dict().items()}
    left = [original for name, (original, _) in named.items() if name not in wanted]
    if left:
        raise ValueError(
            f"{path} holds {len(left)} tensors that transformers' CLIP has no place for, first {left[0]}; it is "
            "another kind of model, and is not converted"
        )
    lost = [name for name in wanted if name not in named]
    if lost:
        raise ValueError(
            f"{path} lacks {len(lost)} of {len(wanted)} tensors, first the one for {lost[0]}; is it cut off?"
        )
    for name, (original, value) in named.items():
        if tuple(value.shape) != wanted[name]:
            raise ValueError(
                f"{path}: {original} gives {name} the shape {tuple(value.shape)}; the other weights want {wanted[name]}"
            )
    model = CLIPModel(config)
    model.load_state_dict({name: value for name, (_, value) in named.items()})
    return model.eval()


def _image_processor(preprocess: Mapping[str, Any], size: int, path: Path) -> Any:
    """OpenCLIP's preparation for evaluation: resize the shorter side, or both, and cut out the center."""
    from transformers import CLIPImageProcessorPil

    if not isinstance(preprocess, Mapping):
        raise ValueError(f"{path}: preprocess_cfg is {shortly(preprocess)}; expected an object")
    mode, interpolation = (
        preprocess.get("resize_mode", "shortest"),
        preprocess.get("interpolation", "bicubic"),
    )
    kinds = {"bicubic": 3, "bilinear": 2}
    if mode not in ("shortest", "squash") or interpolation not in list(kinds):
        raise ValueError(
            f"{path}: its preprocess_cfg resizes by {shortly(mode)}, {shortly(interpolation)}; known are 'shortest' "
            "and 'squash', 'bicubic' and 'bilinear'"
        )
    mean, std = preprocess.get("mean") or MEAN, preprocess.get("std") or STD
    for name, three in (("mean", mean), ("std", std)):
        known = isinstance(three, list | tuple) and all(
            type(one) in (int, float) and 0 <= one <= 1 for one in three
        )
        if not known or len(three) != 3 or (name == "std" and 0 in three):
            raise ValueError(
                f"{path}: {name} is {shortly(three)} in its preprocess_cfg; expected three numbers, 0-1, and of std "
                "none that is 0"
            )
    square = {"height": size, "width": size}
    return CLIPImageProcessorPil(
        size={"shortest_edge": size} if mode == "shortest" else square,
        crop_size=square,
        resample=kinds[interpolation],
        image_mean=list(mean),
        image_std=list(std),
    )


def _tokenizer(given: Any, path: Path, model_cfg: Mapping[str, Any], sizes: Sizes) -> Any:
    """CLIP's tokenizer, checked: the end of a text, where its meaning is read, must be the highest of all ids."""
    words = given if isinstance(given, PreTrainedTokenizerBase) else _open_tokenizer(given, path, model_cfg)
    highest = max(words.get_vocab().values())
    if words.eos_token_id is None or words.eos_token_id != highest or highest >= sizes.vocab_size:
        raise ValueError(
            f"the tokenizer {getattr(words, 'name_or_path', '') or given} does not fit {path}: its ids go up to "
            f"{highest}, its end of text is {words.eos_token_id}; the model has {sizes.vocab_size} words and reads a "
            "text where its highest id is. Give CLIP's tokenizer (tokenizer=FOLDER)"
        )
    return words


def _open_tokenizer(given: Any, path: Path, model_cfg: Mapping[str, Any]) -> Any:
    from transformers import AutoTokenizer, CLIPTokenizer

    where = given
    if where is None:
        files = ("tokenizer.json", "vocab.json")
        here = any((path.parent / name).is_file() for name in files)
        where = path.parent if here else (model_cfg.get("text_cfg", {}).get("hf_tokenizer_name") or TOKENIZER)
    try:
        auto = (Path(where) / "tokenizer_config.json").is_file()
        return opened(AutoTokenizer if auto else CLIPTokenizer, str(where))
    except Exception as error:  # transformers and the tokenizers package raise many kinds
        raise FileNotFoundError(
            f"no tokenizer for {path}: {where} has none that can be read. Give CLIP's (tokenizer=FOLDER with "
            f"tokenizer.json, or vocab.json and merges.txt), for instance of `hf download {TOKENIZER}`"
        ) from error
