"""What a fine-tuning run can be told. Recipes (cacr/recipes/*.toml) hold the same names; defaults are the paper's."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from cacr._files import read_toml
from cacr._hub import recorded
from cacr._messages import shortly, unknown
from cacr.losses import LOSSES, SCHEDULES

SWEEP = "sweep"
"""Table of a recipe that tells what to search; training leaves it alone."""
PRECISIONS = ("fp32", "bf16", "fp16")
MINING_PRECISIONS = ("same", "bf16")
NONFINITE = ("stop", "skip")
TRACKERS = ("tensorboard", "wandb", "trackio")


@dataclass(frozen=True)
class TrainConfig:
    """Fine-tune a UNITER on captioned pictures with mined hard negatives and an attention loss."""

    out: Path = Path("runs/train")
    """Run folder to make; an existing one is only touched with --resume."""
    data: str = "scenes"
    """"scenes" (the embedded world), or captioned pictures: Flickr30k, COCO, a folder, a table (docs/data.md), hf://…."""
    features: Path | None = None
    """Region features of the pictures; features.safetensors inside a folder of them if not given."""
    split: str | None = None
    """Only captions of this split."""
    dev_split: str | None = None
    """Split whose retrieval is measured at every checkpoint; the best checkpoint becomes the model."""
    dev_pictures: int = 100
    """Pictures of the dev split that are measured, the first ones, with all their captions."""
    patience: int = 0
    """Measurements on the dev split without a better one before the run stops; 0: it runs to its end."""
    model: str = "scenes-start"
    """Starting model: "scenes-start" (shipped), "new" (random), a folder made by `cacr convert`, a name on the hub."""
    loss: str = "cacr"
    """Attention loss: none, cacr, cacr-rows, cacr-rows-heads, cacr-sharp, cacr-paper, iais-singular, iais-distributed,
    flat or flat-heads."""
    weight: float = 1.0
    """Factor of the attention loss at the end of its schedule. The release's own is 4 (docs/paper_notes.md)."""
    schedule: str = "exp"
    """How the weight grows: exp, linear, log or constant."""
    rate: float = 5.0
    """Steepness of the schedules exp and log."""
    reproduce_release_weight: bool = False
    """Multiply the attention loss by batch x accumulate, as the releases do without saying so (docs/paper_notes.md)."""
    reproduce_release_indexing: bool = False
    """Plain UNITER only: in image-anchored groups, read regions from the wrong places, as the releases do."""
    layer: int = -1
    """Encoder layer whose attention is compared, zero-based; -1 is the last."""
    steps: int = 5_000
    """Optimizer steps."""
    batch: int = 4
    """Items per batch over all processes, each with one image-anchored and one text-anchored group."""
    accumulate: int = 1
    """Batches per optimizer step."""
    candidates: int = 399
    """Negatives scored without gradient for each group."""
    negatives: int = 31
    """The hardest of them that are learned from."""
    margin: float = 0.2
    """Of the ranking loss, 0-1."""
    lr: float = 5e-5
    """Peak learning rate, linear to 0 at the end."""
    warmup: int = 10
    """Steps of linear warm-up."""
    weight_decay: float = 0.01
    """Of AdamW; not on biases and LayerNorms."""
    beta2: float = 0.98
    """Second moment of AdamW."""
    clip: float = 2.0
    """Largest gradient norm."""
    freeze_layers: int = 0
    """Embeddings and this many first layers do not learn."""
    precision: str = "fp32"
    """fp32, bf16 or fp16 (autocast)."""
    checkpointing: bool = False
    """Recompute activations in the backward pass to save memory."""
    mining_batch: int = 1_024
    """Most pairs per forward pass while mining; a CPU takes 32 at most."""
    mining_precision: str = "same"
    """same: as ``precision`` says; bf16: with fp32, mine in bf16 where the device computes it fast."""
    nonfinite: str = "stop"
    """What a loss or gradient that is nan or infinite does: stop the run, or skip the step. Its batch is kept."""
    shard: bool = False
    """Several processes: share the model among them (FSDP2), where each holds a copy otherwise (DDP)."""
    readers: int = 0
    """Processes that read and encode batches ahead, for each process that trains."""
    track: str = "none"
    """Where else to log: none, tensorboard, wandb or trackio; several with commas."""
    seed: int = 42
    """Of the order, the candidates and the dropout."""
    save_every: int = 500
    """Steps between checkpoints to resume from, and between measurements on the dev split."""
    log_every: int = 10
    """Steps between lines of metrics.jsonl."""
    scenes: int = 2_000
    """Embedded world: scenes to train on."""
    alike: int = 4
    """Embedded world: scenes made of the same things, the hard negatives of each other."""
    places: float = 0.1
    """Embedded world: share of captions that name a place instead of a relation."""
    hidden: int = 128
    """New model: width."""
    layers: int = 2
    """New model: encoder layers."""
    heads: int = 4
    """New model: attention heads."""
    vocabulary: int = 0
    """New model: rows of its table of words; as many as the captions have word pieces if 0."""
    dropout: float = 0.1
    """New model: of hidden states and attention, 0-1."""

    def __post_init__(self) -> None:
        for what, given, known in (
            ("loss", self.loss, LOSSES),
            ("schedule", self.schedule, SCHEDULES),
            ("precision", self.precision, PRECISIONS),
            ("mining_precision", self.mining_precision, MINING_PRECISIONS),
            ("nonfinite", self.nonfinite, NONFINITE),
        ):
            if given not in known:
                raise ValueError(unknown(what, given, known))
        for name in (
            "steps",
            "batch",
            "accumulate",
            "candidates",
            "negatives",
            "mining_batch",
            "save_every",
            "log_every",
            "dev_pictures",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 1 or more")
        if self.negatives > self.candidates:
            raise ValueError(
                f"negatives is {self.negatives} and candidates {self.candidates}; the hardest are chosen among the "
                "candidates, so give at least as many candidates"
            )
        if self.patience and self.dev_split is None:
            raise ValueError(
                f"patience is {self.patience} without a dev split to measure; give dev_split as well"
            )
        if self.data != "scenes" and self.dev_split is not None and self.split in (None, self.dev_split):
            raise ValueError(
                f"split is {self.split!r} and dev_split {self.dev_split!r}; pictures that are trained on cannot tell "
                "when to stop: give two different splits"
            )
        if self.reproduce_release_indexing and self.loss != "none":
            raise ValueError(
                f"reproduce_release_indexing with loss {self.loss!r}; the releases index wrongly only without an "
                'attention loss: give loss = "none"'
            )
        trackers = [name for name in self.trackers if name not in TRACKERS]
        if trackers:
            raise ValueError(unknown("tracker", trackers[0], TRACKERS))

    @property
    def trackers(self) -> list[str]:
        """Where else to log."""
        return [name.strip() for name in self.track.split(",") if name.strip() not in ("", "none")]

    @property
    def dev(self) -> bool:
        """Whether retrieval is measured while training."""
        return self.dev_split is not None

    @classmethod
    def from_toml(cls, path: Path, **overrides: Any) -> TrainConfig:
        """The configuration of a recipe file, with some values replaced.

        Raises:
            FileNotFoundError: No such file.
            ValueError: Not TOML, an unknown key (with the closest known one), or a bad value.
        """
        values = read_recipe(path) | overrides
        try:
            return cls(**values)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def to_toml(self) -> str:
        """The resolved configuration, with what each value means."""
        lines = []
        for name, value in asdict(self).items():
            if value is not None:
                shown = str(value).lower() if isinstance(value, bool) else value
                value = recorded(value) if isinstance(value, Path) else value
                lines.append(
                    f"{name} = {json.dumps(str(value), ensure_ascii=False) if isinstance(value, str | Path) else shown}"
                )
        return "\n".join(lines) + "\n"


def read_recipe(path: Path) -> dict[str, Any]:
    """The values of a recipe file, checked for unknown names and wrong types."""
    expected = "expected a TOML file, or the name of a packaged recipe such as scenes"
    values = read_toml(path, f"no recipe at {path}; {expected}")
    values.pop(SWEEP, None)  # for `cacr sweep`
    kinds = {field.name: str(field.type) for field in fields(TrainConfig)}
    for name, value in values.items():
        if name not in kinds:
            raise ValueError(f"{path}: {unknown('option', name, kinds)}")
        values[name] = converted(value, kinds[name], f"{path}: {name}")
    return values


def converted(value: Any, kind: str, where: str) -> Any:
    """A value of a recipe as the type of its option.

    Raises:
        ValueError: It is of another type.
    """
    kind = kind.removesuffix(" | None")
    if kind == "Path" and isinstance(value, str):
        return Path(value)
    if kind == "float" and type(value) is int and abs(value) < 2**1000:
        return float(value)
    if type(value).__name__ != kind:
        raise ValueError(f"{where} is {shortly(value)}; expected a value of type {kind}")
    return value
