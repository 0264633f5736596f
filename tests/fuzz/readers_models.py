"""Readers of models: original checkpoints, their configurations, OpenCLIP's, model folders, vocabularies, tokenizers.

The seeds are the tests' own small checkpoints cut down to one layer, four numbers wide. A model is built for every
input that is a whole checkpoint, so that these readers are slower than others.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from cacr.data.scenes import tokenizer
from cacr.models.checkpoints import conversion
from cacr.models.loading import load_model, load_processor
from cacr.models.tokenizers import open_tokenizer
from cacr.scorers.contrastive import load_open_clip
from cacr.scorers.opening import scores_of
from cacr.tiny_models.tokenizers import word_tokenizer
from tests.fuzz.reader import Reader

DATA = Path(__file__).parents[1] / "data"
BERT = {200: 30, 96: 8, 64: 6, 48: 4, 38: 10, 32: 4}
"""Sizes of the stored checkpoints -> of the seeds."""
CLIP = {72: 12, 48: 12, 24: 4, 16: 4, 12: 4, 8: 2}


def _small(state: Mapping[str, Tensor], sizes: Mapping[int, int]) -> dict[str, Tensor]:
    """The first layer, its first rows and columns."""
    return {
        name: value[tuple(slice(sizes.get(size, size)) for size in value.shape)].clone()
        for name, value in state.items()
        if not any(
            f"{kind}.{number}." in name for kind in ("layer", "layers", "resblocks") for number in (1, 2)
        )
    }


def _torch(value: Any, zipped: bool = True) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def _modules(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """A dict of state dicts and an epoch, as ROSITA is released."""
    found: dict[str, Any] = {"epoch": 3}
    for name, value in state.items():
        module, _, rest = name.partition(".")
        found.setdefault(module, {})[rest] = value
    return found


def _convert(path: Path) -> None:
    _look(conversion(path).model)


def _convert_with(path: Path) -> None:
    _look(conversion(path.with_name("checkpoint.safetensors"), path).model)


def _convert_folder(path: Path) -> None:
    _look(conversion(path.parent).model)


def _look(model: torch.nn.Module) -> None:
    for value in model.state_dict().values():
        value.sum().item()


def _open_clip(path: Path) -> None:
    model, processor = load_open_clip(path.parent, quick_gelu=False, tokenizer=_clip_words())
    _look(model)
    processor.image_processor.to_dict()


def _folder(path: Path) -> None:
    _look(load_model(path.parent))


def _processor(path: Path) -> None:
    load_processor(path.parent).encode_text(["a dog runs", "\u00e9 <b>\u202e"])


def _vocabulary(path: Path) -> None:
    open_tokenizer(path, True, 30_000)("a dog runs, \u00e9", truncation=True, max_length=8)


def _scores(path: Path) -> None:
    scores_of(str(path.parent))


@cache
def _clip_words() -> Any:
    return word_tokenizer(begin=97, end=98)


def _beside(**files: bytes) -> Callable[[Path], None]:
    def around(folder: Path) -> None:
        for name, content in files.items():
            (folder / name.replace("__", ".")).write_bytes(content)

    return around


def _own() -> dict[str, bytes]:
    """A model folder of ours."""
    from tempfile import TemporaryDirectory

    from cacr.models.uniter import UniterConfig, UniterForImageTextRetrieval, UniterProcessor

    words = tokenizer()
    sizes = dict.fromkeys(("hidden_size", "intermediate_size", "region_dim", "region_label_dim"), 4)
    config = UniterConfig(
        vocab_size=len(words),
        num_hidden_layers=1,
        num_attention_heads=1,
        max_position_embeddings=8,
        **{name: getattr(words, name) for name in ("cls_token_id", "sep_token_id", "mask_token_id")},
        **sizes,
    )
    with TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        weights = save(UniterForImageTextRetrieval(config).state_dict(), {"format": "pt"})
        (Path(folder) / "model.safetensors").write_bytes(weights)
        UniterProcessor(words).save_pretrained(folder)
        return {file.name.replace(".", "__"): file.read_bytes() for file in Path(folder).iterdir()}


def _clip_config() -> bytes:
    told = json.loads((DATA / "open_clip" / "gelu" / "open_clip_config.json").read_text())
    told["model_cfg"] = {
        "embed_dim": 4,
        "vision_cfg": {"image_size": 8, "layers": 1, "width": 4, "patch_size": 2, "head_width": 2},
        "text_cfg": {"context_length": 4, "vocab_size": 99, "width": 4, "heads": 2, "layers": 1},
    }
    return json.dumps(told).encode()


_UNITER = _small(torch.load(DATA / "uniter_tiny.pt", weights_only=True), BERT)
_OSCAR = _small(torch.load(DATA / "oscar" / "retrieval" / "pytorch_model.bin", weights_only=True), BERT)
_ROSITA = _small(load_file(DATA / "rosita" / "rosita_tiny.safetensors"), BERT)
_CLIP = _small(load_file(DATA / "open_clip" / "gelu" / "open_clip_model.safetensors"), CLIP)
_UNITER_JSON = json.dumps({"hidden_size": 4, "num_attention_heads": 2, "hidden_act": "gelu", "img_dim": 4})
_OSCAR_JSON = (DATA / "oscar" / "retrieval" / "config.json").read_bytes()
_ROSITA_JSON = json.dumps({"HHEAD": 2, "DROPOUT_R": 0.1, "LAYER": 1})
_WORDS = "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "##s", "run", "\u00e9"]) + "\n"
_FOLDER = _own()

READERS: tuple[Reader, ...] = (
    Reader(
        "UNITER checkpoint (.pt)", "uniter.pt", (_torch(_UNITER), _torch({"model": _UNITER}, False)), _convert
    ),
    Reader("UNITER checkpoint (.safetensors)", "uniter.safetensors", (save(_UNITER),), _convert),
    Reader(
        "UNITER configuration (.json)",
        "uniter.json",
        (_UNITER_JSON.encode(),),
        _convert_with,
        _beside(checkpoint__safetensors=save(_UNITER)),
        text=True,
    ),
    Reader(
        "OSCAR folder, weights (.bin)",
        "pytorch_model.bin",
        (_torch(_OSCAR),),
        _convert_folder,
        _beside(config__json=_OSCAR_JSON),
    ),
    Reader(
        "OSCAR folder, configuration (.json)",
        "config.json",
        (_OSCAR_JSON,),
        _convert_folder,
        _beside(pytorch_model__bin=_torch(_OSCAR)),
        text=True,
    ),
    Reader("ROSITA checkpoint (.pkl)", "rosita.pkl", (_torch(_modules(_ROSITA)),), _convert),
    Reader(
        "ROSITA configuration (.json)",
        "rosita.json",
        (_ROSITA_JSON.encode(),),
        _convert_with,
        _beside(checkpoint__safetensors=save(_ROSITA)),
        text=True,
    ),
    Reader(
        "OpenCLIP checkpoint (.safetensors)", "open_clip_model.safetensors", (save(_CLIP),), _open_clip,
        _beside(open_clip_config__json=_clip_config()),
    ),
    Reader(
        "OpenCLIP checkpoint (.pt)", "negclip.pt", (_torch({"state_dict": _CLIP}),), _open_clip,
        _beside(open_clip_config__json=_clip_config()),
    ),
    Reader(
        "OpenCLIP configuration (.json)",
        "open_clip_config.json",
        (_clip_config(),),
        _open_clip,
        _beside(open_clip_model__safetensors=save(_CLIP)),
        text=True,
    ),
    Reader(
        "model folder, configuration (.json)", "config.json", (_FOLDER["config__json"],), _folder, _beside(**_FOLDER),
        text=True,
    ),
    Reader(
        "model folder, weights (.safetensors)", "model.safetensors", (_FOLDER["model__safetensors"],), _folder,
        _beside(**_FOLDER),
    ),
    Reader(
        "model folder, tokenizer (.json)", "tokenizer.json", (_FOLDER["tokenizer__json"],), _processor,
        _beside(**_FOLDER), text=True,
    ),
    Reader(
        "model folder, processor (.json)", "processor_config.json", (_FOLDER["processor_config__json"],), _processor,
        _beside(**_FOLDER), text=True,
    ),
    Reader("vocabulary (.txt)", "vocab.txt", (_WORDS.encode(),), _vocabulary, text=True),
    Reader("kind of a model (.json)", "config.json", (b'{"model_type": "clip", "architectures": ["CLIPModel"]}',),
           _scores, text=True),
)  # fmt: skip
