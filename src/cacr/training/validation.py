"""How well a model retrieves on held-out pictures while it trains: the mean of R@1, R@5 and R@10 of both directions.

Source: github.com/ChenRocks/UNITER, train_itm_hard_negatives.py, which keeps the checkpoint with the best such mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from cacr._processes import rank, world_size
from cacr.data import CaptionSet
from cacr.data.pairs import captions_of_images
from cacr.data.ranks import ranks
from cacr.models.processing import RegionProcessor
from cacr.training.processes import gathered

KS = (1, 5, 10)
AT_ONCE = 32
"""Pictures that are encoded together; all captions are, once."""


def first_pictures(pairs: CaptionSet, most: int | None) -> tuple[list[int], list[int], list[int]]:
    """Indices of the first pictures, of all their captions, and which of the pictures each caption is of."""
    own = captions_of_images(pairs)
    images = [i for i in range(len(pairs.image_ids)) if own[i]][:most]
    captions = [c for i in images for c in own[i]]
    owners = [place for place, i in enumerate(images) for _ in own[i]]
    return images, captions, owners


def retrieval_scores(
    score: Callable[[dict[str, Tensor], dict[str, Tensor], Tensor, Tensor], Tensor],
    processor: RegionProcessor,
    pairs: CaptionSet,
    most: int | None = None,
) -> dict[str, float]:
    """Recalls among the first pictures of a set; ties count against the model. Processes share the pictures.

    Args:
        score: Gives the match of encoded captions and pictures for two index tensors: [pair].
        processor: Encodes captions and regions.
        pairs: Held-out pictures and captions.
        most: So many pictures; all if None.

    Returns:
        ``R@k caption to image`` and ``R@k image to caption``, 0-1; ``recall``, their mean, with its standard error over
        pictures, ``recall_error``; and the number of ``pictures``.
    """
    images, captions, owners = first_pictures(pairs, most)
    own = images[rank() :: world_size()]
    text = processor.encode_text([pairs.captions[c] for c in captions])
    most_of_a_share = -(-len(images) // world_size())
    columns = []
    for start in range(0, most_of_a_share, AT_ONCE):  # as often in every process: they may share the model
        some = own[start : start + AT_ONCE]
        regions = processor.encode_regions([pairs.picture(i).regions for i in some or images[:1]])
        count = len(some) or 1
        rows = torch.arange(len(captions)).repeat(count)
        places = torch.arange(count).repeat_interleave(len(captions))
        columns.append(score(text, regions, rows, places).view(count, len(captions))[: len(some)])
    match = gathered(torch.cat(columns))[_order(len(images))].T
    return recalls(match, owners)


def recalls(match: Tensor, owners: Sequence[int]) -> dict[str, float]:
    """Recalls of a full table of scores [caption, image]."""
    by_direction = ranks(match, owners)
    scores = {
        f"R@{k} {direction}": float((rank <= k).float().mean())
        for direction, rank in by_direction.items()
        for k in KS
    }
    recall = sum(scores.values()) / len(scores)
    return scores | {
        "recall": recall,
        "recall_error": _error(by_direction, owners),
        "pictures": float(match.shape[1]),
    }


def _error(by_direction: Mapping[str, Tensor], owners: Sequence[int]) -> float:
    """Standard error of the mean recall: pictures are the draws, each with all its captions."""
    hits = {
        direction: torch.stack([rank <= k for k in KS]).float().mean(0)
        for direction, rank in by_direction.items()
    }
    owner = torch.tensor(owners)
    captions = (
        torch.zeros(int(owner.max()) + 1).index_add(0, owner, hits["caption to image"]) / owner.bincount()
    )
    each = (captions + hits["image to caption"]) / 2
    return float(each.std() / len(each) ** 0.5) if len(each) > 1 else 0.0


def _order(n: int) -> Tensor:
    """Where each picture's row is after the shares of all processes were put one after the other."""
    shares = torch.cat([torch.arange(n)[r :: world_size()] for r in range(world_size())])
    return shares.argsort()
