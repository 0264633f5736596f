"""Retrieval: does each caption find its picture among all, and each picture one of its captions?

Recall@k. A tie counts against the model: a constant scorer finds nothing. For a picture with several captions the
best of its own counts (the protocol of Flickr30k and COCO, Karpathy & Fei-Fei 2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
import torch

from cacr.benchmarks.benchmark import OF_EMBEDDED, Benchmark, Options, Outcomes, Record
from cacr.benchmarks.examples import hash_of_text
from cacr.benchmarks.scenes import album
from cacr.data import CaptionSet, Scorer, match_grid, open_captions
from cacr.data.pairs import captions_of_images
from cacr.data.ranks import ranks
from cacr.data.scenes import SceneCaptions

SCENES = 100
PICTURES = 16
"""Pictures in a part, each with all captions."""
KS = (1, 5, 10)
NEEDS = frozenset({"direction", "rank", "pool"})
"""What a record of a ranking must have."""


@dataclass
class RetrievalWork:
    """All captions with a few pictures at a time: the matches as float32, picture by picture."""

    pairs: CaptionSet
    version: str
    notes: Sequence[str] = ()

    @property
    def parts(self) -> int:
        """How many parts."""
        return -(-len(self.pairs.image_ids) // PICTURES)

    def ask(self, scorer: Scorer, part: int) -> bytes:
        """Matches [picture, caption], little-endian float32."""
        match = match_grid(
            scorer, self.pairs.captions, [self.pairs.picture(image) for image in self._images(part)]
        )
        return match.T.contiguous().numpy().astype("<f4").tobytes()

    def whole(self, part: int, answer: bytes) -> bool:
        """Whether an answer on disk has a match for every caption and picture of the part."""
        return len(answer) == 4 * len(self._images(part)) * len(self.pairs.captions)

    def _images(self, part: int) -> range:
        return range(len(self.pairs.image_ids))[part * PICTURES : (part + 1) * PICTURES]

    def records(self, answers: Sequence[bytes]) -> list[Record]:
        """One record per query of both directions."""
        pairs = self.pairs
        match = np.frombuffer(b"".join(answers), dtype="<f4").reshape(-1, len(pairs.captions))
        found = ranks(torch.from_numpy(match.T.copy()), pairs.image_of_caption)
        by_caption = [
            {"example": f"caption {c}", "cluster": pairs.image_ids[i], "pool": len(pairs.image_ids), "own": 1}
            for c, i in enumerate(pairs.image_of_caption)
        ]
        by_image = [
            {"example": image_id, "cluster": image_id, "pool": len(pairs.captions), "own": len(own)}
            for image_id, own in zip(pairs.image_ids, captions_of_images(pairs), strict=True)
        ]
        return [
            query | {"direction": direction, "rank": rank}
            for direction, queries in (("caption to image", by_caption), ("image to caption", by_image))
            for query, rank in zip(queries, found[direction].tolist(), strict=True)
        ]


def open_scenes(options: Options) -> RetrievalWork:
    """Unrelated scenes of the test album."""
    seed, version = album(options)
    return RetrievalWork(SceneCaptions(seed, SCENES if options.n is None else options.n), version)


def open_folder(options: Options) -> RetrievalWork:
    """Captioned pictures of one's own or of a published set."""
    if options.data is None:
        raise ValueError(
            "the benchmark retrieval needs a folder of captioned pictures: --data FOLDER, or a file of captions "
            "(docs/data.md)"
        )
    if options.n is not None:
        raise ValueError(
            "--n is not for retrieval: recall depends on how many pictures there are. Give a part: --split NAME, or a "
            "file of picture names"
        )
    inner = options.data / "retrieval"
    data, images = inner if inner.is_dir() else options.data, options.images or None
    pairs = open_captions(data, options.split, options.features, images, options.missing)
    pairs.named.detect = options.detect
    return RetrievalWork(pairs, version_of(pairs))


def version_of(pairs: CaptionSet) -> str:
    """Hash of names and captions, in their order."""
    lines = zip(pairs.image_of_caption, pairs.captions, strict=True)
    return hash_of_text("\n".join(f"{pairs.image_ids[image]}\t{caption}" for image, caption in lines))


def right(records: Sequence[Record]) -> Outcomes:
    """Recall@k of every query; without the k for which every order of a pool would be right.

    Raises:
        ValueError: No k is left: nothing is ranked.
    """
    rank = np.array([record["rank"] for record in records])
    wrong = min(record["pool"] - record.get("own", 1) for record in records)
    ks = [k for k in KS if k <= wrong]
    if not ks:
        raise ValueError("a query has no wrong answer to tell from its own; give two pictures or more")
    return {f"R@{k}": rank <= k for k in ks}


def chance(record: Record) -> dict[str, float]:
    """Chance that one of the ``own`` true answers is among the first k of a random order of ``pool``."""
    pool, own = record["pool"], record.get("own", 1)
    return {f"R@{k}": 1 - comb(pool - own, k) / comb(pool, k) if k <= pool else 1.0 for k in KS}


def groups(record: Record) -> list[str]:
    """By direction, and both together."""
    return [record["direction"], "both directions"]


SCENES_RETRIEVAL = Benchmark(
    name="scenes-retrieval",
    asks="Which picture belongs to this caption, and which caption to this picture?",
    paper="recall@k, as in arXiv:1412.2306",
    licence="MIT, embedded",
    size=f"{SCENES} scenes, a caption each",
    ties="against the model",
    chance_is="R@1 1/100, R@5 1/20, R@10 1/10",
    obtain="It is part of the package.",
    takes=OF_EMBEDDED,
    open=open_scenes,
    right=right,
    chance=chance,
    groups=groups,
    needs=NEEDS,
)
RETRIEVAL = Benchmark(
    name="retrieval",
    asks="Which picture belongs to this caption, and which caption to this picture?",
    paper="recall@k, as in arXiv:1412.2306",
    licence="the pictures' own",
    size="the folder's",
    ties="against the model",
    chance_is="k of the pictures for R@k of a caption; a picture's: that one of its captions is among k",
    obtain="Pictures of your own with captions, or Flickr30k or COCO: docs/data.md.",
    open=open_folder,
    right=right,
    chance=chance,
    groups=groups,
    needs=NEEDS,
)
