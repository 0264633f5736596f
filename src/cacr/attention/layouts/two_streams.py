"""Models whose text and image meet in cross attention: each block has a module of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from cacr.attention.cut import Captured
from cacr.attention.layouts.layout import Layout, Place, Run
from cacr.attention.layouts.positions import real


def _lxmert(run: Run) -> tuple[Tensor, Tensor]:
    return run.words(), run.regions(real(run, "visual_feats", "visual_attention_mask"))


def _image_after_class(run: Run) -> tuple[Tensor, Tensor]:
    """The image side is [CLS | patches]; what is padding, the cross attention's mask tells."""
    keys = run.keys("lv").clone()
    keys[:, 0] = False
    return run.words(), run.regions(keys)


LXMERT = Layout(
    "lxmert",
    {
        "ll": Place("encoder.x_layers.{layer}.lang_self_att.self"),
        "lv": Place("encoder.x_layers.{layer}.visual_attention.att", call=0, calls=2),
        "vl": Place("encoder.x_layers.{layer}.visual_attention.att", call=1, calls=2),
        "vv": Place("encoder.x_layers.{layer}.visn_self_att.self"),
    },
    _lxmert,
    note="self-attention of a layer runs after its cross attention, on what that gave",
)
BRIDGETOWER = Layout(
    "bridgetower",
    {
        "ll": Place("cross_modal_text_layers.{layer}.attention.self"),
        "lv": Place("cross_modal_text_layers.{layer}.crossattention.self"),
        "vl": Place("cross_modal_image_layers.{layer}.crossattention.self"),
        "vv": Place("cross_modal_image_layers.{layer}.attention.self"),
    },
    _image_after_class,
)
ENCODER_ONLY = "only the text looks at the image, no attention goes from image to text"
BLIP_ITM = Layout(
    "blip-itm",
    {
        "ll": Place("text_encoder.encoder.layer.{layer}.attention.self"),
        "lv": Place("text_encoder.encoder.layer.{layer}.crossattention.self"),
        "vv": Place("vision_model.encoder.layers.{last}.self_attn"),
    },
    _image_after_class,
    absent={"vl": ENCODER_ONLY},
    note="S_VV is the last layer of the vision tower, whatever layer of the text is chosen",
)
BLIP_CAPTION = replace(
    BLIP_ITM.at(
        ll="text_decoder.bert.encoder.layer.{layer}.attention.self",
        lv="text_decoder.bert.encoder.layer.{layer}.crossattention.self",
    ),
    name="blip-caption",
)


def _mllama_layers(model: nn.Module, count: int) -> list[int]:
    config: Any = model.config
    return [layer for layer in config.get_text_config().cross_attention_layers if 0 < layer < count]


def _mllama(run: Run) -> tuple[Tensor, Tensor]:
    """Words that see the image; patches of tiles that some word sees, without the [CLS] of each tile."""
    sees = run.input("cross_attention_mask").bool()  # [batch, text, image, tile]
    patches = _patches(run)
    tiles = sees.any(1).flatten(1).repeat_interleave(patches, 1)
    no_class = torch.arange(tiles.shape[1], device=tiles.device) % patches != 0
    return run.words(sees.flatten(2).any(2)), run.regions(tiles & no_class)


def _mllama_tiles(captured: Mapping[str, Captured], run: Run) -> Mapping[str, Captured]:
    """The vision tower pads each tile to a multiple of 8 positions; the keys of the text have the real ones."""
    call, patches = captured["vv"], _patches(run)
    batch, images, tiles = run.input("cross_attention_mask").shape[0], *run.input("pixel_values").shape[1:3]
    if images != 1:
        raise ValueError(
            f"{images} images in an example; S_VV of Mllama exists within one image only. Give one image an example"
        )

    def unpad(x: Tensor | None) -> Tensor:
        assert x is not None
        return x.unflatten(2, (tiles, -1))[:, :, :, :patches].flatten(2, 3)

    assert call.size[0] == batch
    vv = replace(call, query=unpad(call.query), key=unpad(call.key), allowed=None)
    return {**captured, "vv": vv}


def _patches(run: Run) -> int:
    vision = run.config.vision_config
    return (vision.image_size // vision.patch_size) ** 2 + 1


MLLAMA = Layout(
    "mllama",
    {
        "ll": Place("language_model.layers.{before}.self_attn"),
        "lv": Place("language_model.layers.{layer}.cross_attn"),
        "vv": Place("vision_model.global_transformer.layers.{last}.self_attn"),
    },
    _mllama,
    absent={"vl": ENCODER_ONLY},
    layers=_mllama_layers,
    only_usable=True,
    adapt=_mllama_tiles,
    note="S_LL is the causal layer before the cross attention, S_VV the last layer of the vision tower",
)
LAYOUTS: dict[str, list[Layout]] = {
    "lxmert": [LXMERT],
    "bridgetower": [BRIDGETOWER],
    "blip": [BLIP_ITM, BLIP_CAPTION],
    "mllama": [MLLAMA],
}
