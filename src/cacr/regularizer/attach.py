"""``reg = cacr.attach(model)``: one call on any transformers vision-language model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from cacr._messages import unknown
from cacr.attention import AttentionBlocks, Layout
from cacr.attention.choices import innermost
from cacr.attention.layouts import layout_for
from cacr.losses import SCHEDULES, attention_loss
from cacr.regularizer.regularizer import Regularizer

DIRECTIONS = ("auto", "both", "language", "vision")


def attach(
    model: nn.Module,
    layer: int | str | Sequence[int] = "last",
    loss: str | Callable[[AttentionBlocks, str], Tensor] | None = "cacr",
    weight: float = 1.0,
    schedule: str | Callable[[float], float] | None = None,
    layout: str | Layout = "auto",
    backend: str = "auto",
    select: Any = None,
    text_mask: Callable[[Mapping[str, Any]], Tensor] | None = None,
    region_mask: Callable[[Mapping[str, Any]], Tensor] | None = None,
    add_to_loss: bool = False,
    *,
    direction: str = "auto",
    special_ids: Sequence[int] = (),
    total_steps: int | None = None,
    accumulation_steps: int | None = None,
    space: str | None = None,
    heads: str | None = None,
) -> Regularizer:
    """Add an attention regularizer to a model: its output carries ``cacr_loss`` while it trains.

    The model keeps its attention kernel, its parameters and its results; the chosen layer alone is watched. In eval
    mode, without gradients and inside ``reg.paused()`` nothing is computed or kept.

    Args:
        model: A transformers model that joins text and image, or any other with a ``layout``. May be wrapped by
            DistributedDataParallel, torch.compile or PEFT, before or after.
        layer: "last": the last layer with full text-image attention; a number from 0 or from -1; several; "all".
        loss: A name in `cacr.losses.LOSSES`, a function (blocks, direction) -> scalar, or None for blocks only.
        weight: Factor in ``out.cacr_loss``.
        schedule: How the weight grows over the run: "exp" as in the papers, another kind in
            `cacr.losses.SCHEDULES`, a function of the fraction done, or None for a constant weight.
        layout: Where the attention is and which positions are text: "auto", a name, or a `cacr.attention.Layout`.
        backend: How it is watched: "auto", "interface", "projection" or "trace".
        select: Which examples count: None for all, "paired" for those with words and regions, a slice, indices, a
            boolean mask, or a function of the model's inputs that gives one (positives only, for instance).
        text_mask: Function of the model's inputs -> bool [batch, text], which tokens count; the layout's rule if None.
        region_mask: The same for the positions of the image.
        add_to_loss: Add it to ``out.loss`` too, for trainers that look at nothing else.
        direction: "both", "language", "vision", or "auto": both where the model has S_VL, else language alone.
        special_ids: Token ids that never count as text, such as ``tokenizer.all_special_ids``: the authors' release
            leaves [CLS] and [SEP] out.
        total_steps: Optimizer steps of the run, for the schedule; then call ``reg.step()`` after each.
        accumulation_steps: Forward passes an optimizer step, for ``add_to_loss`` inside a Trainer.
        space: What ``reg.blocks()`` holds, "probabilities" or "scores"; what the loss is defined on if None.
        heads: "mean" or "each"; what the loss is defined on if None.

    Returns:
        A handle with ``blocks()``, ``last``, ``loss``, ``paused()``, ``recording()``, ``step()`` and ``detach()``; also
        a context manager that detaches. Its repr says what is watched, and which blocks the model does not have.

    Raises:
        ValueError: A dual encoder, an unknown model, or an option that does not fit; it says which and what to do.
        TypeError: Not a torch module, or torch.nn.DataParallel.

    Examples:
        >>> from cacr.tiny_models import TINY
        >>> tiny = TINY["visual_bert"]()
        >>> reg = attach(tiny.model.train())
        >>> out = tiny.model(**tiny.inputs)
        >>> (out.loss + 0.1 * out.cacr_loss).backward()
        >>> reg.detach()
    """
    if not (loss is None or isinstance(loss, str) or callable(loss)):
        raise TypeError(
            f"loss is {loss!r}; expected a name in cacr.losses.LOSSES, a function (blocks, direction) -> scalar, "
            "or None"
        )
    if add_to_loss and loss in (None, "none"):
        raise ValueError("add_to_loss=True without a loss: there is nothing to add")
    if direction not in DIRECTIONS:
        raise ValueError(unknown("direction", direction, DIRECTIONS))
    if isinstance(schedule, str) and schedule not in SCHEDULES:
        raise ValueError(unknown("schedule", schedule, SCHEDULES))
    for name, steps in (("total_steps", total_steps), ("accumulation_steps", accumulation_steps)):
        if steps is not None and steps < 1:
            raise ValueError(f"{name} is {steps}; expected 1 or more")
    found = layout_for(innermost(model), layout)
    named = attention_loss(loss) if isinstance(loss, str) else None
    function = named if named is not None else (loss if callable(loss) else None)
    return Regularizer(
        model,
        function=function,
        directions=_directions(direction, found, str(loss)),
        weight=weight,
        schedule=schedule,
        total_steps=total_steps,
        add_to_loss=add_to_loss,
        accumulation_steps=accumulation_steps,
        loss_name=loss if isinstance(loss, str) else getattr(loss, "__name__", repr(loss)),
        layer=layer,
        layout=found,
        backend=backend,
        select=select,
        text_mask=text_mask,
        region_mask=region_mask,
        special_ids=special_ids,
        space=space or (named.space if named is not None else "probabilities"),
        heads=heads or (named.heads if named is not None else "mean"),
    )


def _directions(wanted: str, layout: Layout, loss: str) -> tuple[str, ...]:
    complete = "vl" in layout.blocks
    if not complete and (wanted in ("both", "vision") or loss == "iais-distributed"):
        what = f"direction={wanted!r}" if wanted in ("both", "vision") else f"loss={loss!r}"
        cure = 'direction="language"' if wanted in ("both", "vision") else 'loss="iais-singular" or "cacr"'
        raise ValueError(
            f"{what} needs attention from regions to words (S_VL), which {layout.name} does not have: "
            f"{layout.absent.get('vl', 'its layout names none')}. Use {cure}"
        )
    if wanted in ("language", "vision"):
        return (wanted,)
    return ("language", "vision") if complete else ("language",)
