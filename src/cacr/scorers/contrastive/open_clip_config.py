"""OpenCLIP's configuration as one of transformers' CLIPModel: what it must agree on with the weights, what is refused.

Source: github.com/mlfoundations/open_clip (MIT), src/open_clip/model.py (CLIPVisionCfg, CLIPTextCfg), version 3.3.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import CLIPConfig

from cacr._messages import shortly, unknown
from cacr.scorers.contrastive.open_clip_keys import Sizes, Tower

_COMMON: dict[str, tuple[Any, ...]] = {
    "ls_init_value": (None,),
    "act_kwargs": (None, {}),
    "norm_kwargs": (None, {}),
    "block_type": (None, "default"),
    "qk_norm": (False,),
    "scaled_cosine_attn": (False,),
    "scale_heads": (False,),
    "scale_attn_inner": (False,),
    "scale_attn": (False,),
    "scale_fc": (False,),
}
_NEUTRAL: dict[str, dict[str, tuple[Any, ...]]] = {
    "vision_cfg": _COMMON
    | {
        "timm_model_name": (None,),
        "attentional_pool": (False,),
        "no_ln_pre": (False,),
        "pool_type": ("tok",),
    },
    "text_cfg": _COMMON
    | {
        "hf_model_name": (None,),
        "tokenizer_kwargs": (None, {}),
        "embed_cls": (False,),
        "no_causal_mask": (False,),
        "pool_type": ("argmax",),
        "proj_bias": (False,),
        "proj_type": ("linear",),
    },
}
"""Settings that make another model than transformers' CLIP, unless they have one of these values."""
_SIZES = (
    *("image_size", "layers", "width", "head_width", "heads", "mlp_ratio", "patch_size"),
    *("context_length", "vocab_size"),
)
_UNUSED = (
    *("patch_dropout", "output_tokens", "pos_embed_type", "final_ln_after_pool", "attn_pooler_queries"),
    *("attn_pooler_heads", "timm_model_pretrained", "timm_pool", "timm_proj", "timm_proj_bias", "timm_drop"),
    *("timm_drop_path", "hf_tokenizer_name", "hf_model_pretrained", "hf_proj_type", "hf_pooler_type"),
    *("tokenizer_mode", "pad_id", "eos_id"),
)
"""Settings that change no match where the others are neutral."""
_KNOWN = (
    *(
        "embed_dim",
        "vision_cfg",
        "text_cfg",
        "quick_gelu",
        "custom_text",
        "init_logit_scale",
        "init_logit_bias",
    ),
    *("nonscalar_logit_scale", "preprocess_cfg"),
)
"""Settings of the whole model."""


def refuse_other_kinds(model_cfg: Mapping[str, Any], path: Path) -> None:
    """Refuse settings of another model than CLIP with a vision transformer; some of them no weight shows.

    Raises:
        ValueError: A setting that transformers' CLIP has not, or one that is not known here; it is named.
    """
    if not isinstance(model_cfg, Mapping):
        raise ValueError(f"the configuration of {path} is {shortly(model_cfg)}; expected names and values")
    if "multimodal_cfg" in model_cfg:
        raise ValueError(f"{path} is a CoCa by its configuration (multimodal_cfg); it is not converted")
    if model_cfg.get("init_logit_bias") is not None:
        raise ValueError(
            f"{path} was trained with a sigmoid by its configuration (init_logit_bias); it is not converted. For "
            "SigLIP take transformers' own checkpoint (google/siglip-…) with DualEncoderScorer"
        )
    strange = [name for name in model_cfg if name not in _KNOWN]
    if strange:
        raise ValueError(f"the configuration of {path}: " + unknown("setting", strange[0], _KNOWN))
    if not isinstance(model_cfg.get("quick_gelu", False), bool):
        raise ValueError(
            f"the configuration of {path}: quick_gelu is {shortly(model_cfg['quick_gelu'])}; expected true or false"
        )
    for part, neutral in _NEUTRAL.items():
        given = model_cfg.get(part, {})
        if not isinstance(given, Mapping):
            raise ValueError(
                f"the configuration of {path}: {part} is {shortly(given)}; expected names and values"
            )
        for name, value in given.items():
            if name in neutral and value not in neutral[name]:
                raise ValueError(
                    f"{path} is another model than transformers' CLIP by its configuration: {part} says {name} = "
                    f"{shortly(value)}, expected {neutral[name][0]!r}. It is not converted"
                )
            if name not in neutral and name not in _SIZES and name not in _UNUSED:
                raise ValueError(
                    f"the configuration of {path}: unknown setting {name} = {shortly(value)} in {part}; it may change "
                    "what the model computes, so it is not converted"
                )


def clip_config(
    model_cfg: Mapping[str, Any], sizes: Sizes, quick_gelu: bool, words: Any, path: Path
) -> CLIPConfig:
    """The configuration of transformers; sizes come from the weights, and what is told must agree.

    Args:
        model_cfg: OpenCLIP's settings, or {} where there are none.
        sizes: What the weights tell.
        quick_gelu: Whether the activation of both towers is QuickGELU.
        words: The tokenizer.
        path: For messages.

    Raises:
        ValueError: Settings and weights do not agree, or the number of attention heads is not told.
    """
    vision, text = model_cfg.get("vision_cfg", {}), model_cfg.get("text_cfg", {})
    image_size = vision.get("image_size", sizes.grid * sizes.patch_size)
    if isinstance(image_size, list) and image_size and image_size.count(image_size[0]) == len(image_size):
        image_size = image_size[0]
    if type(image_size) is not int or image_size // sizes.patch_size != sizes.grid:
        raise ValueError(
            f"{path}: image_size is {shortly(image_size)} by its configuration, but its weights have {sizes.grid} x "
            f"{sizes.grid} patches of {sizes.patch_size} pixels. Give the configuration that belongs to it"
        )
    expected = [
        ("embed_dim", model_cfg.get("embed_dim"), sizes.embed_dim),
        ("vision layers", vision.get("layers"), sizes.vision.layers),
        ("vision width", vision.get("width"), sizes.vision.width),
        ("patch_size", vision.get("patch_size"), sizes.patch_size),
        ("text layers", text.get("layers"), sizes.text.layers),
        ("text width", text.get("width"), sizes.text.width),
        ("context_length", text.get("context_length"), sizes.text.positions),
        ("vocab_size", text.get("vocab_size"), sizes.vocab_size),
    ]
    for name, told, held in expected:
        if told is not None and told != held:
            raise ValueError(
                f"{path}: {name} is {shortly(told)} by its configuration, but {held} by its weights. Give the "
                "configuration that belongs to it"
            )
    activation = "quick_gelu" if quick_gelu else "gelu"
    heads = text.get("heads", 8) if text else _heads(sizes.text, None, "text", path)  # 8: OpenCLIP's default
    return CLIPConfig(
        projection_dim=sizes.embed_dim,
        text_config={
            **_tower(sizes.text, heads, "text", path),
            "vocab_size": sizes.vocab_size,
            "max_position_embeddings": sizes.text.positions,
            "projection_dim": sizes.embed_dim,
            "hidden_act": activation,
            "bos_token_id": words.bos_token_id,
            "eos_token_id": words.eos_token_id,
            "pad_token_id": words.pad_token_id,
        },
        vision_config={
            **_tower(
                sizes.vision,
                _heads(sizes.vision, vision.get("head_width"), "vision", path, vision),
                "vision",
                path,
            ),
            "image_size": image_size,
            "patch_size": sizes.patch_size,
            "projection_dim": sizes.embed_dim,
            "hidden_act": activation,
        },
    )


def _heads(
    tower: Tower, head_width: int | None, side: str, path: Path, told: Mapping[str, Any] | None = None
) -> int:
    """Attention heads; OpenCLIP's are 64 wide, but for those of its vision towers wider than 1024."""
    if head_width is None and not told and side == "vision" and tower.width > 1024:
        raise ValueError(
            f"{path}: in a vision tower {tower.width} wide, weights do not tell the number of attention heads. Give "
            "the configuration (head_width is 80 in ViT-H-14, 88 in ViT-g-14, 104 in ViT-bigG-14)"
        )
    width = 64 if head_width is None else head_width
    if type(width) is not int or width < 1 or tower.width % width:
        raise ValueError(
            f"{path}: a {side} tower {tower.width} wide has no attention heads that are {shortly(width)} wide. Give "
            "the configuration that belongs to it (vision_cfg head_width, text_cfg heads)"
        )
    return tower.width // width


def _tower(tower: Tower, heads: Any, side: str, path: Path) -> dict[str, int]:
    if type(heads) is not int or heads < 1 or tower.width % heads:
        raise ValueError(
            f"{path}: {shortly(heads)} attention heads do not divide the {tower.width} numbers of its {side} tower; "
            "give the configuration that belongs to it (text_cfg heads, vision_cfg head_width)"
        )
    return {
        "hidden_size": tower.width,
        "num_hidden_layers": tower.layers,
        "num_attention_heads": heads,
        "intermediate_size": tower.mlp_width,
    }
