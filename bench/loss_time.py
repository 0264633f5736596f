"""Time of the loss: against the release, against Algorithm 1, and by streaming against by blocks."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from bench import peers
from bench.cases import WARMUPS, Case, Timed, here, inputs, job, timed
from bench.measuring import Row, Setting, rounds, row

DIRECTIONS = ("language", "vision", "both")
PEERS = {
    "release": "the release's algorithm, re-stated",
    "loop": "a leaner loop over examples",
    "release's own": "the release's own code",
}
OWN_IAIS = "release's own IAIS"
WORDS = 6
"""Words of the example on which Algorithm 1 is timed."""


def region_models(setting: Setting) -> Iterator[Row | str]:
    """The loss of a region model: 36 regions.

    Forward and backward of CACR (variant "release", `method="blocks"`) from a layer's queries and keys down to their
    gradients.

    - **The release's algorithm, re-stated** in our words: four attentions over the whole sequence under a mask each,
      then a Python loop over examples; both directions are two passes, as there.
    - **The release's own code** (`--release FOLDER`): its encoder's loop, given the same queries and keys.
    - **A leaner loop** than anybody released: each example's blocks alone, and only those it needs.
    - **Algorithm 1** of the paper as loops (`soft_equivalence_loss`), forward and backward on the same blocks, one
      matrix for all heads. Its work grows with (words × regions)², example by example: it is timed on one example with
      6 words and multiplied by batch × (words / 6)².
    - **IAIS** (`iais_loss`, kind "singular"; the release's own with its folder) and **an encoder layer** of the same
      size (hidden 768, forward and backward) say what else such a loss costs.
    """
    case = Case(6, 2, 5, 2, 8) if setting.quick else Case(36)
    case = replace(case, device=setting.device, repetitions=setting.count(100))
    jobs = ["blocks", "release", "loop"]
    if setting.release:
        case = replace(case, folder=str(setting.release))
        jobs += _own(setting.release)
    for direction in DIRECTIONS:
        this = replace(case, direction=direction, jobs=tuple(jobs))
        found, warm = _runs(this, setting)
        for name in jobs[1:]:
            floor = 3.0 if name != "loop" else None
            yield _against(name, "blocks", this, found, warm, floor)
    yield _algorithm(case, setting)
    yield from _beside(case, setting)


def patch_models(setting: Setting) -> Iterator[Row | str]:
    """The loss of a patch model: 576 and 2,304 regions, streaming against blocks.

    Forward and backward as above, `method="streaming"`, which keeps no region × region matrix, against
    `method="blocks"` and against the release. Batch 4 at 576 regions; one example at 2,304, where the release's
    attentions of four would not fit beside each other. "Warm" is the same in a process whose allocator keeps freed
    memory (glibc told so by its environment; CUDA's does by itself): what is left then is arithmetic, the rest of
    the gain are pages that the system hands out and clears.
    """
    cases = [Case(12, 2, 5, 2, 8)] if setting.quick else [Case(576), Case(2_304, batch=1)]
    jobs = ["streaming", "blocks", "release", "loop"]
    if setting.release:
        cases = [replace(case, folder=str(setting.release)) for case in cases]
        jobs += _own(setting.release)
    for case in cases:
        for direction in DIRECTIONS:
            this = replace(
                case,
                direction=direction,
                device=setting.device,
                jobs=tuple(jobs),
                repetitions=setting.count(7 if case.regions < 1_000 else 4),
            )
            found, warm = _runs(this, setting)
            floors = (
                {"blocks": 1.7, "release": 6.0} if direction == "both" else {"blocks": 2.0, "release": 8.0}
            )
            floors["release's own"] = floors["release"]
            for name in jobs[1:]:
                yield _against(name, "streaming", this, found, warm, floors.get(name))


def padded_batches(setting: Setting) -> Iterator[Row | str]:
    """The loss of a patch model in a padded batch: streaming against blocks.

    As above, but examples differ in length, as pictures of any resolution do: blocks are masked, whole matrices at a
    time, and streaming leaves padding out. Where nothing is padding, blocks spare the masks: see above.
    """
    cases = (
        [Case(12, 2, 5, 2, 8, padding=2)]
        if setting.quick
        else [Case(576, padding=16), Case(2_304, 2, padding=64)]
    )
    for case in cases:
        for direction in DIRECTIONS:
            repetitions = setting.count(7 if case.regions < 1_000 else 3)
            this = replace(
                case,
                direction=direction,
                device=setting.device,
                jobs=("streaming", "blocks"),
                repetitions=repetitions,
            )
            found, warm = _runs(this, setting)
            yield _against("blocks", "streaming", this, found, warm, 1.7 if direction == "both" else 2.0)


def _own(folder: Path) -> list[str]:
    """The job of the release's own CACR loss; none where it is the release of IAIS alone."""
    return ["release's own"] if peers.has_loss(peers.open_release(folder), "soft") else []


def _runs(case: Case, setting: Setting) -> tuple[Timed, Timed | None]:
    """With the usual allocator and, on a CPU, with a warm one: each in a process of its own; a quick run stays here."""
    if setting.quick:
        return here(case), here(case) if setting.device == "cpu" else None
    warm = timed(replace(case, warmups=WARMUPS), warm=True) if setting.device == "cpu" else None
    return timed(case), warm


def _against(name: str, ours: str, case: Case, found: Timed, warm: Timed | None, floor: float | None) -> Row:
    sides = (found.seconds[name], found.seconds[ours])
    note = ""
    if warm is not None:
        pages = [f"{one.faults[name]:,.0f} / {one.faults[ours]:,.0f}" for one in (found, warm)]
        note = f"pages handed out in a call: {pages[0]}; warm {pages[1]}"
    return row(
        f"{name}, {case.regions} regions, {case.direction}",
        f"{PEERS.get(name, name)} / {ours}",
        *sides,
        size=case.size,
        device=case.device,
        floor=floor,
        warm=None if warm is None else (warm.seconds[name], warm.seconds[ours]),
        note=note,
    )


def _algorithm(case: Case, setting: Setting) -> Row:
    """Algorithm 1 / blocks, scaled from one example with few words."""
    from cacr import AttentionBlocks, soft_equivalence_loss

    words = min(WORDS if not setting.quick else 2, case.text)
    small = inputs(replace(case, batch=1, text=words, device="cpu"))
    blocks = AttentionBlocks.from_query_key(*small)
    times = case.batch * (case.text / words) ** 2

    def loops() -> None:
        torch.autograd.grad(soft_equivalence_loss(blocks, case.direction), small[:2], retain_graph=True)

    jobs = {"Algorithm 1": loops, "blocks": job("blocks", case)}
    spent = rounds(jobs, setting.count(3), case.device)
    return row(
        "Algorithm 1",
        "Algorithm 1 as loops / blocks",
        [times * one for one in spent["Algorithm 1"]],
        spent["blocks"],
        size=case.size,
        device=case.device,
        floor=25.0,
        note=f"timed on one example with {words} words, times {times:.0f}; its loops run on the CPU",
    )


def _beside(case: Case, setting: Setting) -> Iterator[Row]:
    hidden = case.heads * case.width
    layer = torch.nn.TransformerEncoderLayer(hidden, case.heads, 4 * hidden, batch_first=True).to(case.device)
    states = torch.randn(case.batch, case.text + 2 + case.regions, hidden, device=case.device)
    jobs = {
        "blocks": job("blocks", case),
        "IAIS": job("IAIS", case),
        **({OWN_IAIS: job(OWN_IAIS, case)} if case.folder else {}),
        "an encoder layer": lambda: layer(states).sum().backward(),
    }
    spent = rounds(jobs, setting.count(50), case.device)
    for name in ("IAIS", "an encoder layer"):
        sides = (spent[name], spent["blocks"])
        yield row(name, f"{name} / blocks", *sides, size=case.size, device=case.device)
    if case.folder:
        sides = (spent[OWN_IAIS], spent["IAIS"])
        yield row(OWN_IAIS, f"{OWN_IAIS} / ours", *sides, size=case.size, device=case.device)
