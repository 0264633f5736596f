"""What `attach` finds on each architecture, and what it costs there: the table of `cacr models`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from cacr import __version__
from cacr._measure import paired, saved_bytes
from cacr.attention.layouts import LAYOUTS
from cacr.regularizer import attach
from cacr.tiny_models import DUAL_ENCODERS, TINY
from cacr.tiny_models.widening import task_loss, widen

FACTOR, COPIES, TRUE = 16, 8, slice(0, 2)
COSTS = """\
Time and memory: a training step (forward and backward, {pairs} pairs, of which the 2 true ones count) with `attach` /
the same step without: median [quartiles] of {repetitions} pairs of steps, and the bytes that autograd saves. The models
have 3 layers and are {width} wide; real ones have more and wider layers, so their ratios lie closer to 1.
torch {torch}, {threads} thread(s)."""
OTHERS = """\
Any other transformers model whose config names an image token, and whose decoder is where most keep it, is attached to
as well: glm4v above is in no table of ours. Its own masks decide which blocks exist."""


@dataclass(frozen=True)
class Finding:
    """One row of the table."""

    architecture: str
    model: str
    """Name of the transformers class."""
    layout: str
    """Name of its layout, or why there is none."""
    backends: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    absent: str = ""
    """Why a block is missing."""
    time: tuple[float, float, float] | None = None
    """Quartiles of a training step's time with `attach`, as a ratio to the step without, pair by pair."""
    memory: float | None = None
    """Bytes that autograd saves with `attach`, as a ratio to the step without."""


def survey(repetitions: int = 0, names: tuple[str, ...] = ()) -> Iterator[Finding]:
    """A row for every architecture, those that are refused at the end.

    Args:
        repetitions: Pairs of steps to measure the cost with; 0: costs are not measured.
        names: Architectures; all if empty.
    """
    for name in names or TINY:
        tiny = TINY[name]()
        with attach(tiny.model) as reg:
            layout = reg.layout
            used = tuple(sorted({one.backend for one in reg.taps.values()}))
        time = memory = None
        if repetitions:
            time, memory = cost(name, repetitions)
        blocks = tuple(f"S_{block.upper()}" for block in ("ll", "lv", "vl", "vv") if block in layout.blocks)
        absent = "; ".join(f"no S_{block.upper()}: {why}" for block, why in layout.absent.items())
        label = (
            layout.name if layout in (one for family in LAYOUTS.values() for one in family) else "any decoder"
        )
        yield Finding(name, type(tiny.model).__name__, label, used, blocks, absent, time, memory)
    for name in () if names else DUAL_ENCODERS:
        model = DUAL_ENCODERS[name]().model
        try:
            attach(model)
        except ValueError:
            yield Finding(name, type(model).__name__, "refused", absent="a dual encoder: no S_LV, no S_VL")


def cost(name: str, repetitions: int) -> tuple[tuple[float, float, float], float]:
    """Time (quartiles) and saved memory of a step with `attach` on true pairs, as ratios to the step without."""
    wide = widen(TINY[name](), FACTOR, COPIES)
    model = wide.model.train()

    def stock() -> None:
        task_loss(model(**wide.inputs)).backward()

    reg = attach(model, select=TRUE)

    def ours() -> None:
        out = model(**wide.inputs)
        (task_loss(out) + out.cacr_loss).backward()

    def paused() -> None:
        with reg.paused():
            stock()

    time = paired(ours, paused, repetitions)
    memory = saved_bytes(ours) / saved_bytes(paused)
    reg.detach()
    return time, memory


def as_markdown(findings: list[Finding], repetitions: int) -> str:
    """The page docs/models.md."""
    head = ["architecture", "class", "back end", "blocks", *(["time", "memory"] if repetitions else [])]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for one in findings:
        cells = [
            one.architecture,
            one.model,
            " + ".join(one.backends) or "refused",
            " ".join(one.blocks) or "-",
        ]
        if repetitions:
            cells += [_interval(one.time), "-" if one.memory is None else f"{one.memory:.3f}"]
        lines.append(f"| {' | '.join(cells)} |")
    reasons: dict[str, list[str]] = {}
    for one in findings:
        if one.absent:
            reasons.setdefault(one.absent, []).append(one.architecture)
    why = [f"- {reason} ({', '.join(names)})" for reason, names in reasons.items()]
    measured = COSTS.format(
        pairs=2 * COPIES,
        repetitions=repetitions,
        width=32 * FACTOR,
        torch=torch.__version__,
        threads=torch.get_num_threads(),
    )
    table, reasons_list = "\n".join(lines), "\n".join(why)
    intro = f"# Models\n\nWhat `cacr.attach` finds. Written by `cacr models`, cacr {__version__}."
    parts = [
        intro,
        *([measured] if repetitions else []),
        table,
        OTHERS,
        "What is missing, and why:",
        reasons_list,
    ]
    return "\n\n".join(parts) + "\n"


def _interval(quartiles: tuple[float, float, float] | None) -> str:
    if quartiles is None:
        return "-"
    low, middle, high = quartiles
    return f"{middle:.3f} [{low:.3f}, {high:.3f}]"
