"""Layouts of the models that we know, by transformers' model type.

Add one: an entry in a table of this folder, and a tiny model in `cacr.tiny_models`; the tests run over both.
"""

from __future__ import annotations

from torch import nn

from cacr._messages import unknown
from cacr.attention.layouts import decoders, encoders, two_streams
from cacr.attention.layouts.layout import Layout, Place, Run, joint
from cacr.attention.layouts.positions import PLACEHOLDERS

LAYOUTS: dict[str, list[Layout]] = {**encoders.LAYOUTS, **two_streams.LAYOUTS, **decoders.LAYOUTS}
"""Model type -> its layouts; a model takes the first whose modules it has."""

_DUAL = (
    "a dual encoder: text and image never attend to each other, so there is no S_LV or S_VL and attention congruence "
    "is undefined. Use a model with cross-modal attention"
)
REFUSED = dict.fromkeys(
    (
        "clip",
        "siglip",
        "siglip2",
        "align",
        "altclip",
        "chinese_clip",
        "metaclip_2",
        "xclip",
        "vision-text-dual-encoder",
    ),
    _DUAL,
)
"""Model type -> why there is nothing to attach to."""


def layout_for(model: nn.Module, layout: str | Layout = "auto") -> Layout:
    """The layout of a model: the one given, the one of that name, or the one for the model's type.

    Raises:
        ValueError: A model without text-image attention, an unknown model or name.
    """
    if isinstance(layout, Layout):
        return layout
    if not isinstance(layout, str):
        raise TypeError(
            f'layout is a {type(layout).__name__}; expected "auto", a name, or cacr.attention.Layout'
        )
    by_name = {one.name: one for family in LAYOUTS.values() for one in family}
    if layout != "auto":
        if layout not in by_name:
            raise ValueError(unknown("layout", layout, ["auto", *sorted(by_name)]))
        return by_name[layout]
    kind = getattr(getattr(model, "config", None), "model_type", None)
    if kind in REFUSED:
        raise ValueError(f"{type(model).__name__} is {REFUSED[kind]}")
    family = LAYOUTS.get(str(kind), [])
    config = getattr(model, "config", None)
    if not family and any(getattr(config, name, None) is not None for name in PLACEHOLDERS):
        family = decoders.ANY
    for one in family:
        if one.fits(model):
            return one
    if kind in LAYOUTS:
        wanted = sorted({place.path for one in family for place in one.blocks.values()})
        raise ValueError(
            f"this {type(model).__name__} ({kind}) has no text-image attention where its family keeps it "
            f"({', '.join(wanted)}). Load a class that joins text and image, such as its ...ForImageTextRetrieval"
        )
    raise ValueError(
        f"no layout is known for {type(model).__name__}"
        + (f" (model type {kind!r})" if kind else " (not a transformers model)")
        + ". Say where its text-image attention is and which positions are text: "
        "attach(model, layout=cacr.attention.joint(name, path, masks)); see docs/attach.md"
    )


__all__ = ["LAYOUTS", "REFUSED", "Layout", "Place", "Run", "joint", "layout_for"]
