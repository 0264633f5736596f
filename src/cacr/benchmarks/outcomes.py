"""Which examples are right, from their matches: the rules that benchmarks share. Ties and nan are wrong everywhere.

A constant scorer gets 0 by every rule; a random one lands on the chance level stated beside the rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cacr.benchmarks.benchmark import Outcomes, Record

CHANCE = {"text": 1 / 4, "image": 1 / 4, "group": 1 / 6, "group match": 1 / 2}
"""What a random scorer gets, ties being wrong."""


def score(match: Float[Tensor, "example caption image"]) -> dict[str, Bool[Tensor, " example"]]:
    """Which examples are right, per metric. Ties are wrong. Higher match means a better fit.

    Args:
        match: ``match[n, c, i]`` is the model's score for caption c with image i; c == i is the true pair.

    Returns:
        "text": each image finds its caption; "image": each caption finds its image; "group": both.

    Raises:
        ValueError: Not [example, 2, 2].

    Examples:
        >>> score(torch.tensor([[[2.0, 1.0], [0.0, 3.0]], [[1.0, 1.0], [1.0, 1.0]]]))["group"]
        tensor([ True, False])

    Source: Thrush et al. 2022, arXiv:2204.03162, section 4.
    """
    match = _square(match, size=2)
    text = (match[:, 0, 0] > match[:, 1, 0]) & (match[:, 1, 1] > match[:, 0, 1])
    image = (match[:, 0, 0] > match[:, 0, 1]) & (match[:, 1, 1] > match[:, 1, 0])
    return {"text": text, "image": image, "group": text & image}


def group_match(match: Float[Tensor, "example caption image"]) -> Bool[Tensor, " example"]:
    """Whether the true matching has the largest sum among all k! matchings. Ties are wrong.

    Another metric than the group score, with another chance level (1/2 for k = 2): never in the same column.

    Args:
        match: [example, k, k]; the diagonal holds the true pairs.

    Source: arXiv:2510.07632, GroupMatch.
    """
    match = _square(match)
    k = match.shape[1]
    own = match.diagonal(dim1=1, dim2=2).sum(-1)
    rows = torch.arange(k)
    others = [
        match[:, rows, torch.tensor(order)].sum(-1)
        for order in permutations(range(k))
        if order != tuple(range(k))
    ]
    return (own[:, None] > torch.stack(others, 1)).all(1)


def first_caption(records: Sequence[Record]) -> Outcomes:
    """Accuracy: caption 0 is true of picture 0 and matches it better than every other caption."""
    right = []
    for record in records:
        column = [row[0] for row in record["match"]]
        right.append(all(column[0] > other for other in column[1:]))
    return {"accuracy": np.array(right, dtype=bool)}


def first_caption_chance(record: Record) -> dict[str, float]:
    """One of as many captions as there are."""
    return {"accuracy": 1 / len(record["match"])}


def two_by_two(records: Sequence[Record]) -> Outcomes:
    """Winoground's text, image and group, and beside them the other metric, group match (arXiv:2510.07632)."""
    match = torch.tensor([record["match"] for record in records], dtype=torch.float64)
    outcomes = score(match) | {"group match": group_match(match)}
    return {metric: values.numpy() for metric, values in outcomes.items()}


def two_by_two_chance(record: Record) -> dict[str, float]:
    """1/4, 1/4, 1/6 and 1/2."""
    return CHANCE


def _square(match: Tensor, size: int | None = None) -> Tensor:
    match = torch.as_tensor(match)
    k = size or (match.shape[-1] if match.ndim == 3 else 2)
    if match.ndim != 3 or match.shape[1:] != (k, k) or k < 2:
        raise ValueError(f"match has shape {tuple(match.shape)}; expected [example, caption={k}, image={k}]")
    return match
