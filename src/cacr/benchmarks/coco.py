"""COCO retrieval: the 5,000 pictures of Karpathy's test split, five captions each, at once (5K) or in five folds (1K).

1K is the mean over five folds of 1,000 pictures in the order of the file: a query is answered among its fold. Since the
folds are of one size, it is the mean over all queries.

Paper: Chen et al. 2015, arXiv:1504.00325; the split and 1K: Karpathy & Fei-Fei 2015, arXiv:1412.2306.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cacr.benchmarks.benchmark import Benchmark, Options, Record, Work
from cacr.benchmarks.flickr30k import CAUTIONS, FirstCaptions, open_karpathy
from cacr.benchmarks.retrieval import NEEDS, RetrievalWork, chance, groups, right, version_of
from cacr.data import CaptionSet, Scorer

FOLD = 1000
"""Pictures of a fold."""
FILE = "dataset_coco.json"
OBTAIN = (
    f"{FILE} is in Karpathy's caption_datasets.zip (cs.stanford.edu/people/karpathy/deepimagesent). The pictures are "
    "COCO's val2014 (cocodataset.org): beside the file in val2014, or in a folder of your own: --images FOLDER."
)
MORE = "a few pictures have six or seven captions; the first five are asked, as is usual"


@dataclass
class FoldsWork:
    """Retrieval in folds of `FOLD` pictures, each by itself."""

    pairs: CaptionSet
    version: str
    notes: Sequence[str] = ()
    _folds: list[RetrievalWork] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        images = range(len(self.pairs.image_ids))
        self._folds = [
            RetrievalWork(FirstCaptions(self.pairs, images[start : start + FOLD]), self.version)
            for start in range(0, len(images), FOLD)
        ]

    @property
    def parts(self) -> int:
        """How many parts: those of all folds."""
        return sum(fold.parts for fold in self._folds)

    def ask(self, scorer: Scorer, part: int) -> bytes:
        """The answers to a part of its fold."""
        fold, part = self._place(part)
        return fold.ask(scorer, part)

    def whole(self, part: int, answer: bytes) -> bool:
        """Whether an answer on disk is all of a part of its fold."""
        fold, part = self._place(part)
        return fold.whole(part, answer)

    def _place(self, part: int) -> tuple[RetrievalWork, int]:
        """The fold of a part, and its number there."""
        for fold in self._folds:
            if part < fold.parts:
                return fold, part
            part -= fold.parts
        raise ValueError(f"there are {self.parts} parts, numbered from 0")

    def records(self, answers: Sequence[bytes]) -> list[Record]:
        """One record per query, fold by fold; captions are numbered through all folds."""
        found: list[Record] = []
        part = captions = 0
        for number, fold in enumerate(self._folds):
            for record in fold.records(answers[part : part + fold.parts]):
                if record["direction"] == "caption to image":
                    place = int(record["example"].removeprefix("caption "))
                    record["example"] = f"caption {captions + place}"
                found.append(record | {"fold": number})
            part += fold.parts
            captions += len(fold.pairs.captions)
        return found


def open_5k(options: Options) -> RetrievalWork:
    """All pictures at once."""
    pairs, notes = _open(options, "coco-5k")
    return RetrievalWork(pairs, version_of(pairs), notes)


def open_1k(options: Options) -> FoldsWork:
    """Folds of 1,000 pictures."""
    pairs, notes = _open(options, "coco-1k")
    rest = len(pairs.image_ids) % FOLD
    if rest:
        notes.append(f"the last fold has {rest} pictures, not {FOLD}: its queries are easier")
    return FoldsWork(pairs, version_of(pairs), notes)


def _open(options: Options, name: str) -> tuple[FirstCaptions, list[str]]:
    return open_karpathy(options, name, FILE, OBTAIN, ("val2014", "images"))


def _benchmark(name: str, asks: str, size: str, open: Callable[[Options], Work], *cautions: str) -> Benchmark:
    return Benchmark(
        name=name,
        asks=asks,
        paper="arXiv:1504.00325; split and recall@k: arXiv:1412.2306",
        licence="captions CC BY 4.0; each picture under its photographer's licence",
        size=size,
        ties="against the model",
        chance_is="k of the pictures for R@k of a caption; about 5 k of the captions for a picture",
        obtain=OBTAIN,
        open=open,
        right=right,
        chance=chance,
        groups=groups,
        needs=NEEDS,
        cautions=(*CAUTIONS, MORE, *cautions),
    )


COCO_5K = _benchmark(
    "coco-5k",
    "Which of 5,000 pictures belongs to this caption, and which of 25,000 captions to this picture?",
    "5,000 pictures, 25,000 captions",
    open_5k,
)
COCO_1K = _benchmark(
    "coco-1k",
    "Which of 1,000 pictures belongs to this caption, and which of 5,000 captions to this picture, in five folds?",
    "5 folds of 1,000 pictures and 5,000 captions",
    open_1k,
    "some papers give the first fold alone as 1K; this is the mean of five",
)
