"""Tensors of OpenCLIP's own CLIP under the names of transformers' CLIPModel, and what their shapes tell.

    visual.transformer.resblocks.N.attn.in_proj_weight   ->  vision_model.encoder.layers.N.self_attn.{q,k,v}_proj.weight
    text_projection [width, embed_dim]                   ->  text_projection.weight [embed_dim, width]

Source of the names: github.com/mlfoundations/open_clip (MIT), src/open_clip/model.py and transformer.py, version 3.3.0;
OpenAI's CLIP has the same ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path

from torch import Tensor

Named = dict[str, tuple[str, Tensor]]
"""Name in transformers -> (name in the checkpoint, tensor)."""

OTHER_KINDS = {
    r"text_decoder\.": "a CoCa, which also writes captions; it is not converted",
    r"visual\.attn_pool": "a CLIP with attention pooling, which transformers' CLIP has not; it is not converted",
    r"visual\.(layer1|attnpool)\.": "a CLIP whose picture encoder is a ResNet; only vision transformers are converted",
    r"visual\.trunk\.": "a CLIP whose picture encoder is one of timm's. Is it SigLIP? Then take transformers' own "
    "checkpoint (google/siglip-…, google/siglip2-…) with DualEncoderScorer; no other of timm's is converted",
    r"text\.(transformer\.(embeddings|encoder|layers)|proj)\.": "a CLIP whose text encoder is one of transformers' "
    "(a custom text tower); only OpenCLIP's own is converted",
    r"(text_model|vision_model)\.": "in the format of transformers already; open its folder with DualEncoderScorer",
    r".*\.ls_[12]\.gamma": "a CLIP with layer scale, which transformers' CLIP has not; it is not converted",
    r"logit_bias": "a CLIP trained with a sigmoid: its match has a bias, which transformers' CLIP has not; it is not "
    "converted",
}
"""Beginnings of names that only another kind of model has, and what it is then."""
NO_WEIGHTS = ("input_resolution", "context_length", "vocab_size", "attn_mask")
"""What OpenAI's checkpoints hold beside weights."""

_RENAME = [
    (r"^visual\.class_embedding$", "vision_model.embeddings.class_embedding"),
    (r"^visual\.positional_embedding$", "vision_model.embeddings.position_embedding.weight"),
    (r"^visual\.conv1\.", "vision_model.embeddings.patch_embedding."),
    (r"^visual\.ln_pre\.", "vision_model.pre_layrnorm."),  # transformers spells it so
    (r"^visual\.ln_post\.", "vision_model.post_layernorm."),
    (r"^visual\.proj$", "visual_projection.weight"),
    (r"^visual\.transformer\.resblocks\.", "vision_model.encoder.layers."),
    (r"^transformer\.resblocks\.", "text_model.encoder.layers."),
    (r"^token_embedding\.", "text_model.embeddings.token_embedding."),
    (r"^positional_embedding$", "text_model.embeddings.position_embedding.weight"),
    (r"^ln_final\.", "text_model.final_layer_norm."),
    (r"^text_projection$", "text_projection.weight"),
    (r"(layers\.\d+)\.ln_([12])\.", r"\1.layer_norm\2."),
    (r"(layers\.\d+)\.mlp\.c_fc\.", r"\1.mlp.fc1."),
    (r"(layers\.\d+)\.mlp\.c_proj\.", r"\1.mlp.fc2."),
    (r"(layers\.\d+)\.attn\.out_proj\.", r"\1.self_attn.out_proj."),
]
_IN_PROJ = re.compile(r"(.*layers\.\d+)\.attn\.in_proj_(weight|bias)")
_TRANSPOSED = ("visual_projection.weight", "text_projection.weight")


@dataclass(frozen=True)
class Tower:
    """Sizes of one encoder that its weights tell."""

    width: int
    layers: int
    mlp_width: int
    positions: int
    """Patches and one, or tokens."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of a CLIP that its weights tell. Heads and activation are not among them."""

    vision: Tower
    text: Tower
    patch_size: int
    grid: int
    """Patches along a side of the picture."""
    vocab_size: int
    embed_dim: int


def own_names(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The weights without the ``module.`` of parallel training and the ``text.`` of a text tower apart.

    Raises:
        ValueError: It is another kind of model; the sentence names it.
    """
    own = {}
    for name, value in state.items():
        name = name.removeprefix("module.").removeprefix("_orig_mod.")
        if name not in NO_WEIGHTS:
            own[name] = value
    for pattern, what in OTHER_KINDS.items():
        found = next((name for name in own if re.match(pattern, name)), None)
        if found:
            raise ValueError(f"{path} is {what} (it holds {found})")
    if "visual.conv1.weight" not in own:
        raise ValueError(
            f"{path} is no OpenCLIP checkpoint: it has no visual.conv1.weight among its {len(own)} tensors, first "
            f"{', '.join(list(own)[:3]) or 'none'}"
        )
    return {name.removeprefix("text."): value for name, value in own.items()}


def transformers_names(own: Mapping[str, Tensor], path: Path) -> Named:
    """Every tensor under its name in transformers' CLIPModel.

    Raises:
        ValueError: A map of queries, keys and values that is not three of one size.
    """
    found: Named = {}
    for original, value in own.items():
        name = original
        for pattern, replacement in _RENAME:
            name = re.sub(pattern, replacement, name)
        if match := _IN_PROJ.fullmatch(name):
            if value.ndim == 0 or value.shape[0] % 3:
                raise ValueError(
                    f"{path}: {original} has shape {tuple(value.shape)}; expected rows of queries, keys and values, "
                    "a third each"
                )
            for part, piece in zip("qkv", value.chunk(3), strict=True):
                found[f"{match[1]}.self_attn.{part}_proj.{match[2]}"] = (original, piece.clone())
        elif name in _TRANSPOSED and value.ndim == 2:
            found[name] = (original, value.T.contiguous())
        elif name == "logit_scale":
            found[name] = (original, value.reshape(()) if value.numel() == 1 else value)
        else:
            found[name] = (original, value)
    return found


def sizes_of(own: Mapping[str, Tensor], path: Path) -> Sizes:
    """What the shapes tell.

    Raises:
        ValueError: A tensor that tells them is missing or of another rank, layers are missing, or patches make no
            square.
    """

    def shape(name: str, rank: int) -> tuple[int, ...]:
        if name not in own:
            raise ValueError(
                f"{path} lacks {name}; is it cut off, or of another kind? It holds {len(own)} tensors"
            )
        if own[name].ndim != rank:
            raise ValueError(f"{path}: {name} has shape {tuple(own[name].shape)}; expected {rank} axes")
        return tuple(own[name].shape)

    def tower(prefix: str) -> Tower:
        pattern = re.compile(re.escape(prefix) + r"transformer\.resblocks\.(\d+)\.")
        layers = {int(match[1]) for match in map(pattern.match, own) if match}
        if layers != set(range(len(layers))) or not layers:
            raise ValueError(
                f"{path} holds the layers {sorted(layers)} of {prefix or 'text.'}; expected all from 0 on"
            )
        positions, width = shape(f"{prefix}positional_embedding", 2)
        middle = shape(f"{prefix}transformer.resblocks.0.mlp.c_fc.weight", 2)[0]
        return Tower(width, len(layers), middle, positions)

    vision, text = tower("visual."), tower("")
    patch = shape("visual.conv1.weight", 4)[-1]
    grid = isqrt(max(vision.positions - 1, 0))
    if grid < 1 or grid**2 != vision.positions - 1:
        raise ValueError(
            f"{path}: visual.positional_embedding has {vision.positions} positions; expected one and a square "
            "of patches"
        )
    return Sizes(vision, text, patch, grid, shape("token_embedding.weight", 2)[0], shape("visual.proj", 2)[1])
