"""Winoground in the embedded world: two scenes of the same things, two captions of the same words.

Even examples swap who stands where (or who is bigger), odd ones exchange the colors of two things. A model that sees
a bag of objects gets the second kind right and is at chance on the first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from cacr.benchmarks.benchmark import Benchmark, Options, Record
from cacr.benchmarks.winoground import CHANCE, group_match, score
from cacr.data import Scorer
from cacr.data.scenes import SEEDS, winoground_like

EXAMPLES = 800


def measure(scorer: Scorer, options: Options) -> list[Record]:
    """Four matches per example: two captions x two pictures."""
    seed = SEEDS["test"] if options.seed is None else options.seed
    examples = winoground_like(seed, options.n or EXAMPLES)
    pairs = [(example, c, i) for example in examples for c in (0, 1) for i in (0, 1)]
    match = scorer.match(
        [example.captions[c] for example, c, _ in pairs], [example.picture(i) for example, _, i in pairs]
    )
    return [
        {
            "example": example.example_id,
            "tag": example.tag,
            "captions": list(example.captions),
            "match": four.tolist(),
        }
        for example, four in zip(examples, match.view(-1, 2, 2), strict=True)
    ]


def right(records: Sequence[Record]) -> dict[str, np.ndarray]:
    """Outcomes of text, image and group, and of the other metric, group match."""
    match = torch.tensor([record["match"] for record in records], dtype=torch.float64)
    outcomes = score(match) | {"group match": group_match(match)}
    return {metric: values.numpy() for metric, values in outcomes.items()}


def groups(record: Record) -> list[str]:
    """Relation or attribute, and the relation itself."""
    return ["attribute"] if record["tag"] == "attribute" else ["relation", record["tag"]]


SCENES = Benchmark(
    name="scenes",
    asks="Which caption, made of the same words, goes with which scene of the same things?",
    paper="after Winoground, arXiv:2204.03162",
    licence="MIT, embedded",
    size=f"{EXAMPLES}: half relation swaps, half attribute swaps",
    ties="wrong",
    version="scenes-1, album 3",
    chance=lambda record: CHANCE,
    measure=measure,
    right=right,
    groups=groups,
)
