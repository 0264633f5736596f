"""Benchmarks of examples: a few captions, a few pictures, and the match of each with each.

    read the files  ->  [Example]  ->  `examples_work`  ->  records {example, tags, cluster, captions, pictures, match}

``match[c][i]`` is the model's score of caption c with picture i. Which caption is true of which picture follows from
the order that the benchmark gives them; outcomes are computed from ``match`` alone (`cacr.benchmarks.outcomes`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cacr._messages import shortly, unknown
from cacr.benchmarks.benchmark import Options, Record
from cacr.benchmarks.records import check_record, strict_json
from cacr.data import NamedPictures, Picture, Scorer
from cacr.data.entries import inside

PART = 64
"""Examples in a part: what a kill costs at most."""

TEXT = {".json", ".jsonl", ".csv", ".tsv", ".txt"}
"""Endings of files that are hashed as text, whatever their line ends."""


@dataclass(frozen=True)
class Example:
    """What one example asks, and what its record keeps."""

    example: str
    """Its id, as the benchmark names it; unique."""
    captions: Sequence[str]
    pictures: Sequence[str]
    """Names of its pictures."""
    tags: Sequence[str] = ()
    """The groups that it counts for, beside all."""
    cluster: str = ""
    """What it shares with other examples; the name of its first picture if not given."""
    keeps: Mapping[str, Any] = field(default_factory=dict)
    """What else its outcome depends on, such as a label. JSON."""


@dataclass
class ExamplesWork:
    """Examples in parts of `PART`, those of the same picture together, so that it is read and encoded once."""

    examples: Sequence[Example]
    picture: Callable[[str], Picture]
    version: str
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        order = sorted(range(len(self.examples)), key=lambda i: (list(self.examples[i].pictures), i))
        self._parts = [order[start : start + PART] for start in range(0, len(order), PART)]

    @property
    def parts(self) -> int:
        """How many parts."""
        return len(self._parts)

    def ask(self, scorer: Scorer, part: int) -> bytes:
        """A line of JSON per example: its index, its matches, and the model's own threshold where it has one."""
        some = [self.examples[i] for i in self._parts[part]]
        pictures = {name: self.picture(name) for one in some for name in one.pictures}
        pairs = [
            (caption, pictures[name]) for one in some for caption in one.captions for name in one.pictures
        ]
        match = scorer.match([caption for caption, _ in pairs], [picture for _, picture in pairs])
        if len(match) != len(pairs):
            raise ValueError(
                f"{scorer.name} gave {len(match)} matches for {len(pairs)} pairs; expected one a pair"
            )
        threshold = getattr(scorer, "threshold", None)
        lines, start = [], 0
        for index, one in zip(self._parts[part], some, strict=True):
            count = len(one.captions) * len(one.pictures)
            square = match[start : start + count].view(len(one.captions), -1).tolist()
            answer = {"index": index, "match": square}
            if threshold is not None:
                answer["threshold"] = threshold
            lines.append(strict_json(answer) + "\n")
            start += count
        return "".join(lines).encode()

    def whole(self, part: int, answer: bytes) -> bool:
        """Whether these are the answers to a part: its examples in their order, with matches of their shapes."""
        try:
            found = _read_answers(answer)
        except (ValueError, RecursionError):
            return False
        shapes = [(len(self.examples[i].captions), len(self.examples[i].pictures)) for i in self._parts[part]]
        return [i for i, _ in found] == self._parts[part] and shapes == [
            (len(one["match"]), len(one["match"][0])) for _, one in found
        ]

    def records(self, answers: Sequence[bytes]) -> list[Record]:
        """One record per example, in the benchmark's order; a match that is null in the answers is nan."""
        found = dict(one for answer in answers for one in _read_answers(answer))
        return [_record(example, found[index]) for index, example in enumerate(self.examples)]


def _read_answers(answer: bytes) -> list[tuple[int, dict[str, Any]]]:
    """Index and answer, line by line. Raises ValueError if a line is none."""
    found = []
    for line in answer.splitlines():
        one = json.loads(line)
        if not isinstance(one, dict) or type(index := one.pop("index", None)) is not int:
            raise ValueError(f"{line[:80]!r} is no answer; expected its index")
        check_record(record := {"example": index, "match": None, **one})
        del record["example"]
        found.append((index, record))
    return found


def _record(example: Example, answer: dict[str, Any]) -> Record:
    return {
        "example": example.example,
        "tags": list(example.tags),
        "cluster": example.cluster or example.pictures[0],
        "captions": [str(caption) for caption in example.captions],
        "pictures": list(example.pictures),
        **example.keeps,
        **answer,
    }


def examples_work(
    examples: Sequence[Example],
    options: Options,
    files: Iterable[Path],
    images: Sequence[Path] = (),
    notes: Sequence[str] = (),
    picture: Callable[[str], Picture] | None = None,
) -> ExamplesWork:
    """The work of examples that were read from files.

    Args:
        examples: All examples that were asked for; ``options.n`` takes the first.
        options: Where pictures and features are.
        files: The annotation files, for the hash and for messages.
        images: Where the benchmark's own pictures may lie, if ``options`` names no folder.
        notes: What a reader of the numbers must know.
        picture: Pictures that come with the annotations, where they do: name -> picture.

    Raises:
        FileNotFoundError: Pictures or features are missing.
        ValueError: No examples, or an id that comes twice.
    """
    files = list(files)
    chosen = list(examples)[: options.n]
    if not chosen:
        raise ValueError(f"no examples in {', '.join(map(str, files))}; expected some")
    twice, count = Counter(one.example for one in chosen).most_common(1)[0]
    if count > 1:
        raise ValueError(
            f"the example {twice} comes twice in {', '.join(map(str, files))}; copy the files again"
        )
    notes = [*notes]
    if options.n is not None and options.n < len(examples):
        notes.append(f"only the first {options.n} of {len(examples)} examples")
    if picture is None or options.features is not None:
        names = list(dict.fromkeys(name for one in chosen for name in one.pictures))
        source = files[0].parent if len(files) > 1 else files[0]
        own = tuple(folder for folder in images if folder.is_dir())
        folders = () if options.blind else options.images or own
        named = NamedPictures(
            names,
            source,
            options.features,
            folders,
            options.missing,
            check_images=options.features is None,
            detect=options.detect,
        )
        there = set(named.names)
        left = [one for one in chosen if all(name in there for name in one.pictures)]
        if not left:
            raise FileNotFoundError(
                f"no example of {source} has all its pictures; give the folder that holds them"
            )
        if len(left) < len(chosen):
            notes.append(
                f"{len(chosen) - len(left)} of {len(chosen)} examples left out: their pictures are not there"
            )
        chosen = left
        picture = named.picture
    return ExamplesWork(chosen, picture, hash_of(files), notes)


def hash_of(files: Iterable[Path]) -> str:
    """The version of annotation files: a hash of names and contents; of text, whatever its line ends are."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.name):
        digest.update(file.name.encode() + b"\0")
        if file.suffix in TEXT:
            digest.update(file.read_bytes().replace(b"\r\n", b"\n"))
        else:
            with file.open("rb") as stream:
                while some := stream.read(2**20):
                    digest.update(some)
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def hash_of_text(text: str) -> str:
    """The version of what was read, where the files themselves are too many or too large."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def data_folder(options: Options, name: str, obtain: str) -> Path:
    """The folder of a benchmark's files: what was given, or the folder of that name inside it.

    Raises:
        ValueError: None was given.
        FileNotFoundError: There is no such folder.
    """
    if options.data is None:
        raise ValueError(f"the benchmark {name} needs its files: --data FOLDER. {obtain}")
    inner = options.data / name
    folder = inner if inner.is_dir() else options.data
    if not folder.exists():
        raise FileNotFoundError(f"no folder {folder}. {obtain}")
    return folder


def find_files(
    folder: Path, names: Mapping[str, str], name: str, obtain: str, split: str | None
) -> dict[str, Path]:
    """Part -> its file, of the parts that are there, or of the one that is asked for.

    Args:
        folder: Of the benchmark's files; one file may be given in its place.
        names: Part -> the name of its file.
        name: The benchmark's.
        obtain: How to get the files, for messages.
        split: The part that is asked for; all if None.

    Raises:
        FileNotFoundError: No such file.
        ValueError: No such part.
    """
    if split is not None and split not in names:
        raise ValueError(unknown(f"part of {name}", split, names))
    wanted = dict(names) if split is None else {split: names[split]}
    if folder.is_file():
        found = {part: folder for part, file in wanted.items() if file == folder.name}
    else:
        found = {part: folder / file for part, file in wanted.items() if (folder / file).is_file()}
    if not found:
        raise FileNotFoundError(
            f"{folder} has none of the files of {name}: {', '.join(wanted.values())}. {obtain}"
        )
    return found


def lost_parts(found: Mapping[str, Path], names: Mapping[str, str], split: str | None) -> list[str]:
    """A note of the parts that are not there, if any."""
    lost = [] if split is not None else [part for part in names if part not in found]
    return (
        [f"without the parts {', '.join(lost)}: {', '.join(names[part] for part in lost)} not there"]
        if lost
        else []
    )


def sentence(value: Any, where: str) -> str:
    """A caption as read from a file. Raises ValueError, naming the place, if it is no text."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where} is {shortly(value)}; expected a sentence. Copy the file again")
    return value


def picture_name(value: Any, where: str) -> str:
    """A picture's name as read from a file. Raises ValueError, naming the place, if it is none or leads elsewhere."""
    name = sentence(value, where)
    if not inside(name):
        raise ValueError(
            f"{where}: the picture {shortly(name)} lies outside of the folder; give a path inside it"
        )
    return name


def as_array(records: Sequence[Record]) -> np.ndarray:
    """``match`` of records of one shape: [example, caption, picture], float64."""
    return np.array([record["match"] for record in records], dtype=np.float64)
