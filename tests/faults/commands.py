"""The commands that are broken: the smallest runs of them in which everything happens that happens in large ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

DATA = Path(__file__).parents[1] / "data"
CHECKPOINTS = "checkpoints/checkpoint-*/*"
RUN = ("config.toml", "metrics.jsonl", "model/*", CHECKPOINTS)


def _nothing(folder: Path) -> None:
    """Inputs of a command without any."""


@dataclass(frozen=True)
class Command:
    """A command line, what it needs, and what of its results must be equal.

    Args:
        name: In the table.
        arguments: After ``cacr``; its result is ``out``.
        out: The file or folder that it makes, in the folder where it runs.
        results: Patterns below that folder, of files whose content must be equal; "*" where it is one file.
        resume: Whether it goes on with --resume; else the same command is given again.
        prepare: Makes its inputs in a folder.
        processes: How many share it, as under torchrun.
        share: Of the points of a fault: costly commands take fewer.
    """

    name: str
    arguments: tuple[str, ...]
    out: str
    results: tuple[str, ...]
    resume: bool = False
    prepare: Callable[[Path], None] = _nothing
    processes: int = 1
    share: float = 1.0

    @property
    def again(self) -> tuple[str, ...]:
        """The command line that goes on."""
        return (*self.arguments, "--resume") if self.resume else self.arguments


def _options(**values: object) -> tuple[str, ...]:
    return tuple(
        word for name, value in values.items() for word in (f"--{name.replace('_', '-')}", str(value))
    )


TINY = _options(model="new", hidden=32, heads=2, layers=2, dropout=0.1, scenes=16, candidates=5, negatives=2)
SHORT = _options(steps=7, batch=2, accumulate=2, save_every=3, log_every=2, warmup=2, lr=1e-3, weight=4.0)
HELD_OUT = _options(dev_split="dev", dev_pictures=4)
TRAIN = Command(
    "train", ("train", "scenes", "--out", "run", *TINY, *SHORT, *HELD_OUT), "run", RUN, resume=True, share=2
)

PLAN = """[sweep]
trials = 2
warm_up = 1
[sweep.space]
lr = {low = 1e-4, high = 1e-2, log = true}
layer = {low = 0, high = 1}
loss = ["cacr", "none"]
"""


def _search(folder: Path) -> None:
    (folder / "search.toml").write_text(PLAN)


def _pictures(folder: Path) -> None:
    import numpy as np
    import torch
    from PIL import Image
    from safetensors.torch import save_file

    from cacr.regions.detector import BottomUpDetector, DetectorConfig

    rng = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for index, thing in enumerate(("bus", "cat", "cup")):
        noise = rng.integers(0, 255, (4, 6, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((60 + 10 * (index % 2), 40)).save(folder / "photos" / f"{thing}.png")
    (folder / "photos" / "broken.jpg").write_bytes(b"not a picture")
    torch.manual_seed(0)
    (folder / "detector").mkdir()
    save_file(
        BottomUpDetector.new(DetectorConfig(), width=8).state_dict(), folder / "detector/model.safetensors"
    )
    (folder / "detector/config.json").write_text(json.dumps({"INPUT": {"MIN_SIZE_TEST": 32}}))


def _features(folder: Path) -> None:
    import torch

    from cacr.regions import Regions, write_features

    g = torch.Generator().manual_seed(0)
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(5, 1)
    some = {f"{i}.jpg": Regions(torch.randn(5, 12, generator=g), boxes) for i in range(600)}
    write_features(folder / "others.safetensors", some)


def _model(folder: Path) -> None:
    import torch

    from cacr.training import TrainConfig
    from cacr.training.run import open_data
    from cacr.training.start import starting_model

    torch.manual_seed(0)
    config = TrainConfig(model="new", hidden=32, layers=2, heads=2, scenes=16)
    model, processor = starting_model(config, open_data(config))
    model.save_pretrained(folder / "tiny")
    processor.save_pretrained(folder / "tiny")


def _checkpoint(folder: Path) -> None:
    shutil.copy(DATA / "uniter_tiny.pt", folder / "uniter.pt")
    shutil.copy(DATA / "uniter_tiny.json", folder / "uniter.json")


def _study(folder: Path) -> None:
    shutil.copy(DATA / "plan.toml", folder)


REPORT = ("results.json", "*.md", "figures/**/*.png", "arms/*/records/*.jsonl", "arms/*/run/model/*")
DEMO = _options(seeds=1, steps=4, examples=8, gallery=4, workers=1)

COMMANDS = {
    command.name: command
    for command in (
        TRAIN,
        replace(TRAIN, name="train, 2 processes", processes=2, share=1),
        Command(
            "sweep",
            ("sweep", "search.toml", "--out", "search", *TINY, *SHORT, *HELD_OUT),
            "search",
            ("trials.jsonl", "best.toml", "sweep.json", "*/model/*", "*/metrics.jsonl", "*/config.toml"),
            resume=True,
            prepare=_search,
        ),
        Command(
            "features",
            ("features", "photos", "-o", "found.safetensors", "--detector", "detector", "--max-regions", "4"),
            "found.safetensors",
            ("*",),
            prepare=_pictures,
        ),
        Command(
            "features --convert",
            ("features", "--convert", "others.safetensors", "-o", "made.safetensors", "--half"),
            "made.safetensors",
            ("*",),
            prepare=_features,
        ),
        Command(
            "eval",
            ("eval", "tiny", "scenes", "scenes-retrieval", "--limit", "200", "--out", "records"),
            "records",
            ("*.jsonl", "*.json"),
            resume=True,
            prepare=_model,
        ),
        Command(
            "convert",
            ("convert", "uniter.pt", "model", "--config", "uniter.json"),
            "model",
            ("*",),
            prepare=_checkpoint,
        ),
        Command("demo", ("demo", "--out", "demo", *DEMO), "demo", REPORT, resume=True, share=0.34),
        Command(
            "study",
            ("study", "plan.toml", "--out", "study", "--workers", "1"),
            "study",
            ("plan.toml", *REPORT, "starts/*/records/*.jsonl"),
            resume=True,
            prepare=_study,
            share=0.34,
        ),
        Command(
            "explore",
            ("explore", "scenes-start", "--n", "1", "--out", "page.html"),
            "page.html",
            ("*",),
            share=0.5,
        ),
        Command(
            "analyze",
            ("analyze", "scenes-start", "--n", "4", "--out", "analysis"),
            "analysis",
            ("*.md", "*.json", "*.jsonl", "figures/*", "*.png", "*.pdf"),
            share=0.5,
        ),
    )
}
"""Name -> command."""
