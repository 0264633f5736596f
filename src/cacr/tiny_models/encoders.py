"""Every tiny model whose words and picture meet in an encoder, and two whose never meet."""

from cacr.tiny_models.dual_encoders import clip, siglip
from cacr.tiny_models.query_formers import (
    blip2_itm,
    blip2_itm_placeholders,
    blip2_opt,
    blip2_t5,
    instruct_blip,
)
from cacr.tiny_models.single_stream import (
    flava,
    florence2,
    git,
    uniter,
    vilt,
    vilt_padded_image,
    visual_bert,
)
from cacr.tiny_models.two_stream import blip_captioning, blip_itm, bridge_tower, lxmert

__all__ = [
    "blip2_itm",
    "blip2_itm_placeholders",
    "blip2_opt",
    "blip2_t5",
    "blip_captioning",
    "blip_itm",
    "bridge_tower",
    "clip",
    "flava",
    "florence2",
    "git",
    "instruct_blip",
    "lxmert",
    "siglip",
    "uniter",
    "vilt",
    "vilt_padded_image",
    "visual_bert",
]
