"""Encoders with one self-attention over text and image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from cacr.attention.layouts.layout import Layout, Run, joint
from cacr.attention.layouts.positions import image_then_text, placeholders, real, text_then_regions


def _vilt(run: Run) -> tuple[Tensor, Tensor]:
    """[text | CLS | patches]; patches come in random order, and what is real is known to the mask alone."""
    text, keys = run.words(), run.keys("lv")
    first = text.shape[1] + 1
    return pad(text, (0, keys.shape[1] - first + 1)), pad(run.regions(keys[:, first:]), (first, 0))


def _caption_then_regions(run: Run) -> tuple[Tensor, Tensor]:
    """OSCAR: [caption | tags | regions]; words of the caption are those of segment 0."""
    types = run.inputs.get("token_type_ids")
    text = run.words(None if types is None else types == 0)
    regions = run.regions(real(run, "region_features", "region_mask"))
    return pad(text, (0, regions.shape[1])), pad(regions, (text.shape[1], 0))


def _two_classes(run: Run, positions: int) -> Tensor:
    """FLAVA: the multimodal [CLS], then the image's own."""
    return torch.arange(positions) < 2


def _query_tokens(run: Run, positions: int) -> Tensor:
    wanted = run.config.num_query_tokens
    if positions != wanted:
        raise ValueError(
            f"the Q-Former ran over {positions} positions before the text, expected its {wanted} query tokens: text "
            "and image go through it together only with use_image_text_matching_head=True"
        )
    return torch.zeros(positions, dtype=torch.bool)


def _classes_of_frames(run: Run, positions: int) -> Tensor:
    """GIT: every frame begins with a [CLS]."""
    vision = run.config.vision_config
    return torch.arange(positions) % (1 + (vision.image_size // vision.patch_size) ** 2) == 0


def _instruct_blip(run: Run) -> tuple[Tensor, Tensor]:
    text = run.words(ids="qformer_input_ids", mask="qformer_attention_mask")
    queries = run.config.num_query_tokens
    regions = torch.ones(text.shape[0], queries, dtype=torch.bool, device=text.device)
    return pad(text, (queries, 0)), pad(run.regions(regions), (0, text.shape[1]))


QUERIES = "regions are the Q-Former's query tokens: summaries of the image, not places in it"

UNITER = joint(
    "uniter", "encoder.layer.{layer}.attention.self", text_then_regions("region_features", "region_mask")
)
OSCAR = joint(
    "oscar",
    "encoder.layer.{layer}.attention.self",
    _caption_then_regions,
    note="object tags count as text only where a text_mask says so; as regions they never do",
)
ROSITA = joint(
    "rosita", "encoder.layer.{layer}.attention.self", text_then_regions("region_features", "region_mask")
)
VISUAL_BERT = joint(
    "visual_bert",
    "encoder.layer.{layer}.attention.self",
    text_then_regions("visual_embeds", "visual_attention_mask"),
)
VILT = joint("vilt", "encoder.layer.{layer}.attention.attention", _vilt)
FLAVA = joint(
    "flava", "multimodal_model.encoder.layer.{layer}.attention.attention", image_then_text(_two_classes)
)
BLIP2_QFORMER = joint(
    "blip-2-qformer",
    "qformer.encoder.layer.{layer}.attention.attention",
    image_then_text(_query_tokens),
    note=QUERIES,
)
INSTRUCTBLIP_QFORMER = joint(
    "instructblip-qformer", "qformer.encoder.layer.{layer}.attention.attention", _instruct_blip, note=QUERIES
)
FLORENCE2 = joint("florence2", "encoder.layers.{layer}.self_attn", placeholders(after_image=False))
GIT = joint(
    "git",
    "encoder.layer.{layer}.attention.self",
    image_then_text(_classes_of_frames),
    causal="the image is a prefix that cannot see the text after it",
)
LAYOUTS: dict[str, list[Layout]] = {
    "uniter": [UNITER],
    "oscar": [OSCAR],
    "rosita": [ROSITA],
    "visual_bert": [VISUAL_BERT],
    "vilt": [VILT],
    "flava": [FLAVA],
    "florence2": [FLORENCE2],
    "git": [GIT],
}
