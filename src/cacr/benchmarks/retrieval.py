"""Retrieval: does each caption find its picture among all, and each picture one of its captions?

Recall@k. A tie counts against the model: a constant scorer finds nothing. For a picture with several captions the
best of its own counts (the protocol of Flickr30k and COCO, Karpathy & Fei-Fei 2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np
import torch

from cacr.benchmarks.benchmark import Benchmark, Options, Record
from cacr.data import CaptionSet, Scorer, open_captions
from cacr.data.pairs import captions_of_images
from cacr.data.ranks import ranks
from cacr.data.scenes import SEEDS, SceneCaptions

SCENES = 100
PAIRS = 4_096
"""Pairs per request to the scorer."""
KS = (1, 5, 10)


def measure(scorer: Scorer, pairs: CaptionSet) -> list[Record]:
    """One record per query of both directions: all captions against a few pictures at a time."""
    captions, columns = list(pairs.captions), []
    for some in torch.arange(len(pairs.image_ids)).split(max(1, PAIRS // len(captions))):
        pictures = [pairs.picture(image) for image in some.tolist()]
        match = scorer.match(captions * len(pictures), [picture for picture in pictures for _ in captions])
        columns.append(match.view(len(pictures), len(captions)))
    found = ranks(torch.cat(columns).T, pairs.image_of_caption)
    by_caption = [
        {"example": f"caption {c}", "cluster": pairs.image_ids[i], "pool": len(pairs.image_ids), "own": 1}
        for c, i in enumerate(pairs.image_of_caption)
    ]
    by_image = [
        {"example": image_id, "cluster": image_id, "pool": len(captions), "own": len(own)}
        for image_id, own in zip(pairs.image_ids, captions_of_images(pairs), strict=True)
    ]
    return [
        query | {"direction": direction, "rank": rank}
        for direction, queries in (("caption to image", by_caption), ("image to caption", by_image))
        for query, rank in zip(queries, found[direction].tolist(), strict=True)
    ]


def measure_scenes(scorer: Scorer, options: Options) -> list[Record]:
    """Unrelated scenes of the test album."""
    seed = SEEDS["test"] if options.seed is None else options.seed
    return measure(scorer, SceneCaptions(seed, options.n or SCENES))


def measure_folder(scorer: Scorer, options: Options) -> list[Record]:
    """Captioned pictures of one's own or of a published set."""
    if options.data is None:
        raise ValueError(
            "the benchmark retrieval needs a folder of captioned pictures: --data FOLDER, or a file of captions "
            "(docs/data.md)"
        )
    if options.n is not None:
        raise ValueError(
            "n counts scenes of the embedded world; for pictures of your own give a split: --split NAME"
        )
    return measure(scorer, open_captions(options.data, options.split, options.features))


def right(records: Sequence[Record]) -> dict[str, np.ndarray]:
    """Recall@k of every query."""
    rank = np.array([record["rank"] for record in records])
    return {f"R@{k}": rank <= k for k in KS}


def chance(record: Record) -> dict[str, float]:
    """Chance that one of the ``own`` true answers is among the first k of a random order of ``pool``."""
    pool, own = record["pool"], record.get("own", 1)
    return {f"R@{k}": 1 - comb(pool - own, k) / comb(pool, k) if k <= pool else 1.0 for k in KS}


def groups(record: Record) -> list[str]:
    """By direction, and both together."""
    return [record["direction"], "both directions"]


def _benchmark(name: str, size: str, licence: str, version: str, measure: object) -> Benchmark:
    return Benchmark(
        name=name,
        asks="Which picture belongs to this caption, and which caption to this picture?",
        paper="recall@k, as in arXiv:1412.2306",
        licence=licence,
        size=size,
        ties="against the model",
        version=version,
        chance=chance,
        measure=measure,  # type: ignore[arg-type]
        right=right,
        groups=groups,
    )


SCENES_RETRIEVAL = _benchmark(
    "scenes-retrieval",
    f"{SCENES} scenes, a caption each",
    "MIT, embedded",
    "scenes-1, album 3",
    measure_scenes,
)
RETRIEVAL = _benchmark("retrieval", "the folder's", "the pictures' own", "the folder's", measure_folder)
