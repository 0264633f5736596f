"""Tiny random models of every architecture that we support, made by the real transformers classes, with a batch each.

No weights are downloaded. The tests run over them, and `cacr models` measures with them.
"""

from collections.abc import Callable

from cacr.tiny_models import (
    decoders,
    decoders_placeholder,
    dual_encoders,
    query_formers,
    single_stream,
    two_stream,
)
from cacr.tiny_models._tiny import TinyModel

TINY: dict[str, Callable[[], TinyModel]] = {
    "uniter": single_stream.uniter,
    "oscar": single_stream.oscar,
    "rosita": single_stream.rosita,
    "visual_bert": single_stream.visual_bert,
    "vilt": single_stream.vilt,
    "vilt_padded_image": single_stream.vilt_padded_image,
    "flava": single_stream.flava,
    "florence2": single_stream.florence2,
    "git": single_stream.git,
    "lxmert": two_stream.lxmert,
    "bridgetower": two_stream.bridge_tower,
    "blip_itm": two_stream.blip_itm,
    "blip_caption": two_stream.blip_captioning,
    "mllama": decoders.mllama,
    "blip2_itm": query_formers.blip2_itm,
    "blip2_opt": query_formers.blip2_opt,
    "blip2_t5": query_formers.blip2_t5,
    "instructblip": query_formers.instruct_blip,
    "llava": decoders_placeholder.llava,
    "llava_next": decoders_placeholder.llava_next,
    "llava_onevision": decoders_placeholder.llava_onevision,
    "qwen2_vl": decoders_placeholder.qwen2_vl,
    "qwen2_5_vl": decoders_placeholder.qwen2_5_vl,
    "qwen3_vl": decoders_placeholder.qwen3_vl,
    "glm4v": decoders_placeholder.glm4v,
    "internvl": decoders_placeholder.internvl,
    "idefics2": decoders_placeholder.idefics2,
    "idefics3": decoders_placeholder.idefics3,
    "smolvlm": decoders_placeholder.smolvlm,
    "mistral3": decoders_placeholder.mistral3,
    "aya_vision": decoders_placeholder.aya_vision,
    "paligemma": decoders.paligemma,
    "gemma3": decoders.gemma3,
    "kosmos2": decoders.kosmos2,
    "chameleon": decoders.chameleon,
}
"""Architecture -> a function that builds its tiny model and batch."""

DUAL_ENCODERS: dict[str, Callable[[], TinyModel]] = {
    "clip": dual_encoders.clip,
    "siglip": dual_encoders.siglip,
}
"""Those that `attach` refuses."""

__all__ = ["DUAL_ENCODERS", "TINY", "TinyModel"]
