"""What the loss costs a training step at UNITER-base size, and what `attach` adds to it."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from bench.cases import Case, job
from bench.measuring import Row, Setting, rounds, row
from cacr import attach
from cacr._measure import saved_bytes
from cacr.models.uniter import UniterConfig, UniterForImageTextRetrieval

BATCH, TEXT, REGIONS = 8, 40, 60
POSITIVES = slice(0, 1)  # a group: one true pair and seven negatives
GROUP, CAPTION, BOXES = 32, 14, 36
CALLS = 20
"""Calls of the loss in a round: one is too short for the clock beside a step."""
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def model_and_batch(
    batch: int, text: int, regions: int, device: str = "cpu", **sizes: Any
) -> tuple[UniterForImageTextRetrieval, dict[str, torch.Tensor]]:
    """UNITER-base (or other sizes) in train mode, and a batch of one group: a true pair and negatives."""
    torch.manual_seed(0)
    model = UniterForImageTextRetrieval(UniterConfig(**sizes)).train()
    given = {
        "input_ids": torch.randint(200, 20_000, (batch, text)),
        "region_features": torch.randn(batch, regions, 2048),
        "region_positions": torch.rand(batch, regions, 7),
        "labels": torch.tensor([1] + [0] * (batch - 1)),
    }
    return model.to(device), {name: values.to(device) for name, values in given.items()}


def share(setting: Setting) -> Iterator[Row | str]:
    """The loss in a training step of UNITER-base.

    Time of the loss by itself / time of the step, in the same rounds. The loss: the blocks cut from the layer's
    queries and keys, both directions, and back to the gradients of queries and keys, for the one true pair of a group
    (20 calls a round). The step: forward and backward of that group, the true pair and its 31 negatives, 14 words and
    36 regions. Mining, clipping and the optimizer are left out, and the recipe has one direction a group, so the share
    of a whole step is smaller still.
    """
    group, text, regions = (4, 6, 8) if setting.quick else (GROUP, CAPTION, BOXES)
    sizes = SMALL if setting.quick else {}
    model, given = model_and_batch(group, text + 2, regions, setting.device, **sizes)
    heads = model.config.num_attention_heads
    width = model.config.hidden_size // heads
    case = Case(regions, batch=1, text=text, heads=heads, width=width, device=setting.device)
    jobs = {
        "loss": _repeated(job("auto", case)),
        "step": lambda: model(**given).loss.backward(),
    }
    spent = rounds(jobs, setting.count(7), setting.device)
    yield row(
        "loss",
        "the loss of a true pair / a step of its group",
        [one / CALLS for one in spent["loss"]],
        spent["step"],
        size=f"{group} pairs, {text} words, {regions} regions",
        device=setting.device,
        ceiling=0.001,
    )


def attaching(setting: Setting) -> Iterator[Row | str]:
    """A training step with `attach` against the step without.

    UNITER-base, 8 pairs of length 100 (40 tokens, 60 regions), one layer, forward and backward; only the true pair
    counts (`select`), or all. What `attach` adds is less than two long steps differ by; what the loss itself takes is
    told above. Memory: bytes of the distinct storages that autograd saves.
    """
    sizes = SMALL if setting.quick else {}
    batch, text, regions = (4, 6, 8) if setting.quick else (BATCH, TEXT, REGIONS)
    model, given = model_and_batch(batch, text, regions, setting.device, **sizes)
    size = f"{batch} pairs, {text} tokens, {regions} regions"

    def stock() -> None:
        model(**given).loss.backward()

    def ours(select: slice | None = POSITIVES) -> None:
        with attach(model, select=select):
            out = model(**given)
            (out.loss + out.cacr_loss).backward()

    spent = rounds({"ours": ours, "stock": stock}, setting.count(5), setting.device)
    sides = "step with attach / step without"
    yield row("time", sides, spent["ours"], spent["stock"], size=size, device=setting.device)
    saved = [float(saved_bytes(stock))]
    for name, step in (("true pairs only", ours), ("all pairs", lambda: ours(None))):
        found = [float(saved_bytes(step))]
        sides = "bytes saved with attach / without"
        yield row(f"memory, {name}", sides, found, saved, size=f"{size}, {name}", device=setting.device)


def _repeated(run: Callable[[], object]) -> Callable[[], object]:
    def repeated() -> None:
        for _ in range(CALLS):
            run()

    return repeated
