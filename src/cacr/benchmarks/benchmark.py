"""What a benchmark is: a question, records of a model's answers, and outcomes that follow from the records alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from PIL import Image

from cacr._hub import here, recorded
from cacr.data import Scorer
from cacr.data.named_pictures import Missing
from cacr.regions import Regions
from cacr.statistics import Estimate, proportion

Record = dict[str, Any]
"""One example: its id, its tags, its cluster, and the match scores or ranks. JSON."""
Kind = Literal["first caption", "two by two", "labelled"]
"""Caption 0 is true of picture 0; caption c is true of picture c; one caption, one picture and a label."""
Outcomes = dict[str, np.ndarray]
"""Metric -> whether each record is right."""


@dataclass(frozen=True)
class Options:
    """What a benchmark may be told. Files and folders may lie on the hub: `hf://datasets/OWNER/NAME[@REVISION][/PATH]`."""

    data: Path | None = None
    """Folder of the benchmark's files, or a folder that has one under the benchmark's name; where not embedded."""
    features: Path | None = None
    """Region features for the pictures."""
    images: tuple[Path, ...] = ()
    """Folders of the pictures; the benchmark's own folder if it lies beside its files."""
    detector: Any = None
    """Finds the regions of pictures that have pixels alone: an object with ``detect([picture])``."""
    missing: Missing = "refuse"
    """What to do with examples whose pictures are not there: "refuse", or "skip" and say so in the record."""
    split: str | None = None
    """Only this part of the benchmark."""
    n: int | None = None
    """Only the first examples."""
    seed: int | None = None
    """Album of the embedded world; the test album if None."""
    errata: bool = True
    """Whether known errors of the published annotations are corrected, where a benchmark lists them."""
    blind: bool = False
    """Whether the scorer looks at no picture, so that none is looked for."""

    def __post_init__(self) -> None:
        if self.n is not None and self.n < 1:
            raise ValueError(f"n is {self.n}; expected 1 example or more")
        for name in ("data", "features"):
            if isinstance(given := getattr(self, name), str | os.PathLike):
                object.__setattr__(self, name, here(given))
        object.__setattr__(self, "images", tuple(here(folder) for folder in self.images))

    @property
    def detect(self) -> Callable[[Image.Image], Regions] | None:
        """Finds the regions of a picture; None without a detector."""
        return None if self.detector is None else lambda image: self.detector.detect([image])[0]

    def given(self) -> list[str]:
        """Names of the options that differ from their defaults."""
        return [f.name for f in fields(self) if getattr(self, f.name) != f.default]

    def of(self, names: Iterable[str]) -> Options:
        """These options alone, the others as by default."""
        return Options(**{name: getattr(self, name) for name in names})

    def to_json(self) -> dict[str, Any]:
        """What was asked for beside the defaults, for a record: of a copy of the hub its address with the commit."""
        named = {name: getattr(self, name) for name in self.given()}
        if self.detector is not None:
            named["detector"] = self.detector.describe()
        if self.images:
            named["images"] = [recorded(folder) for folder in self.images]
        return {name: recorded(value) if isinstance(value, Path) else value for name, value in named.items()}


OF_FILES = frozenset({"data", "features", "images", "detector", "missing", "split", "n", "blind"})
"""Options of a benchmark whose files are given."""
OF_EMBEDDED = frozenset({"n", "seed", "blind"})
"""Options of one that is part of the package."""


class Work(Protocol):
    """A benchmark that was opened: its questions in parts, so that a stopped evaluation goes on.

    A part is a file's worth of answers. Which questions are in a part depends on the data alone, so that the answers
    are the same bytes however often the work was stopped and by how many processes it was shared. A work may have
    ``whole(part, answer)``, which tells whether an answer on disk is all of a part; without it, all but empty ones are.
    """

    @property
    def version(self) -> str:
        """Hash of the data, or the version of what is embedded."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of the numbers must know: examples left out, parts that are not there."""
        ...

    @property
    def parts(self) -> int:
        """How many parts."""
        ...

    def ask(self, scorer: Scorer, part: int) -> bytes:
        """The answers to a part."""
        ...

    def records(self, answers: Sequence[bytes]) -> list[Record]:
        """One record per example, from the answers to all parts."""
        ...


def tags_of(record: Record) -> list[str]:
    """The rows of the table that a record counts for: all, and each of its tags."""
    return ["all", *record.get("tags", ())]


@dataclass(frozen=True)
class Benchmark:
    """A benchmark, stated so that a number can be trusted."""

    name: str
    """As `cacr eval` takes it; of its files, too."""
    asks: str
    """Its question, in a sentence."""
    paper: str
    """Where it was published, and where a rule of it was, if elsewhere."""
    licence: str
    """Of its annotations and pictures."""
    size: str
    """How many examples, and of what."""
    ties: str
    """What two equal matches count as."""
    chance_is: str
    """What a random scorer gets on each metric, in words."""
    obtain: str
    """How a person gets its files, and what they are called."""
    open: Callable[[Options], Work]
    """Read its files; nothing of a picture is read yet."""
    right: Callable[[Sequence[Record]], Outcomes]
    """Outcome per record, from the records alone."""
    chance: Callable[[Record], dict[str, float]]
    """Metric -> how often a random scorer gets this example right."""
    groups: Callable[[Record], list[str]] = tags_of
    """The rows of the table that a record counts for."""
    takes: frozenset[str] = OF_FILES
    """Which `Options` mean something for it."""
    kind: Kind | None = None
    """What kind of answers its records hold, for calibration; None where they are none of these."""
    needs: frozenset[str] = frozenset({"match"})
    """What a record must have besides its example."""
    cautions: tuple[str, ...] = ()
    """Known errors and weaknesses, for the reader of a number."""
    versions: dict[str, str] = field(default_factory=dict)
    """Known hashes of the data -> what they are."""

    def measure(self, scorer: Scorer, options: Options | None = None) -> list[Record]:
        """Ask the model everything, in memory: one record per example."""
        return ask_all(self.open(options or Options()), scorer)


def ask_all(work: Work, scorer: Scorer) -> list[Record]:
    """Ask a model everything of a work that is open, in memory: one record per example."""
    return work.records([work.ask(scorer, part) for part in range(work.parts)])


@dataclass(frozen=True)
class Row:
    """A line of a table."""

    group: str
    """Which examples: all, or those of a tag."""
    metric: str
    """Which outcome of theirs."""
    estimate: Estimate
    """The share that is right."""
    chance: float
    """What a random scorer gets on these examples, 0-1."""

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"group": self.group, "metric": self.metric, "chance": self.chance} | self.estimate.to_json()


def clusters_of(records: Sequence[Record]) -> np.ndarray:
    """What each example shares with others: its picture, or nothing."""
    return np.array([record.get("cluster", record["example"]) for record in records])


def chance_of(benchmark: Benchmark, records: Sequence[Record], metric: str) -> float:
    """What a random scorer gets on these examples."""
    return float(np.mean([benchmark.chance(record)[metric] for record in records]))


def table(benchmark: Benchmark, records: Sequence[Record]) -> list[Row]:
    """Every group and metric with its interval."""
    outcomes = benchmark.right(records)
    members: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        for group in benchmark.groups(record):
            members.setdefault(group, []).append(index)
    rows = []
    for group, indices in members.items():
        clusters = clusters_of([records[i] for i in indices])
        for metric, right in outcomes.items():
            rows.append(
                Row(
                    group,
                    metric,
                    proportion(right[indices], clusters),
                    chance_of(benchmark, [records[i] for i in indices], metric),
                )
            )
    return rows
