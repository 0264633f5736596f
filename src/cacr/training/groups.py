"""Groups of a true pair and candidates for negatives, a function of (seed, item) alone.

One item holds one image-anchored group (a picture, its caption, other captions) and one text-anchored group (a
caption, its picture, other pictures). Since an item depends on nothing that happened before, a resumed run skips
items without making them, and any number of workers gives the same run.

Source: github.com/ChenRocks/UNITER, data/itm.py (ItmRankDatasetHardNeg…), which alternates the two kinds instead.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from cacr._messages import shortly
from cacr.data.pairs import CaptionSet, captions_of_images
from cacr.models.pairs import EncodedPairs, Lengths
from cacr.models.processing import RegionProcessor


@dataclass(frozen=True)
class Groups:
    """Caption and picture indices of two groups; the first pair of each is the true one."""

    image: int
    captions: Sequence[int]
    caption: int
    images: Sequence[int]


class GroupDataset(Dataset[Groups]):
    """Groups of ``1 + candidates`` pairs.

    Args:
        pairs: Pictures and captions.
        items: Length of the whole run in items.
        candidates: Negatives per group; where fewer exist they repeat.
        seed: Of the order and the candidates.

    Raises:
        ValueError: Fewer than two pictures: there is no negative.
    """

    def __init__(self, pairs: CaptionSet, items: int, candidates: int, seed: int = 0):
        if len(pairs.image_ids) < 2:
            raise ValueError(
                f"{len(pairs.image_ids)} picture with captions; expected two at least, to tell one from another"
            )
        self.pairs, self.items, self.candidates, self.seed = pairs, items, candidates, seed
        self._captions_of = captions_of_images(pairs)
        self._orders: dict[int, list[int]] = {}

    def __len__(self) -> int:
        """Items of the whole run."""
        return self.items

    def __getitem__(self, item: int) -> Groups:
        if not 0 <= item < self.items:
            raise IndexError(f"item {item} of {self.items}")
        rng = random.Random(f"cacr item {self.seed}/{item}")
        image = self._anchor(item)
        caption = rng.choice(self._captions_of[image])
        alike = self.pairs.alike(image)
        wrong_captions = _negatives(
            rng,
            len(self.pairs.captions),
            self.candidates,
            [c for i in alike for c in self._captions_of[i]],
            lambda c: self.pairs.describes(c, image),
        )
        wrong_images = _negatives(
            rng,
            len(self.pairs.image_ids),
            self.candidates,
            alike,
            lambda i: self.pairs.describes(caption, i),
        )
        return Groups(image, [caption, *wrong_captions], caption, [image, *wrong_images])

    def of_step(self, items: int) -> Callable[[int], list[dict[str, Any]]]:
        """The pictures and captions of a step of so many items, by their names: for people who look for a cause."""
        return lambda step: [self._named(item) for item in range(step * items, (step + 1) * items)]

    def _named(self, item: int) -> dict[str, Any]:
        group, ids, captions = self[item], self.pairs.image_ids, self.pairs.captions
        return {
            "picture": ids[group.image],
            "its captions": [captions[c] for c in group.captions],
            "caption": captions[group.caption],
            "its pictures": [ids[i] for i in group.images],
        }

    def _anchor(self, item: int) -> int:
        """Each picture once an epoch, in an order of the epoch's own."""
        epoch, position = divmod(item, len(self.pairs.image_ids))
        if epoch not in self._orders:
            order = list(range(len(self.pairs.image_ids)))
            random.Random(f"cacr order {self.seed}/{epoch}").shuffle(order)
            self._orders = {epoch: order}
        return self._orders[epoch][position]


def _negatives(
    rng: random.Random, total: int, wanted: int, first: Sequence[int], is_true: Callable[[int], bool]
) -> list[int]:
    """``wanted`` distinct indices below ``total`` that are not true, those of ``first`` before others."""
    found = [index for index in first if not is_true(index)][:wanted]
    seen = set(found)
    for _ in range(4 * wanted):
        if len(found) == wanted:
            return found
        index = rng.randrange(total)
        if index not in seen and not is_true(index):
            found.append(index)
            seen.add(index)
    rest = [index for index in range(total) if index not in seen and not is_true(index)]
    rng.shuffle(rest)
    found += rest[: wanted - len(found)]
    if not found:
        raise ValueError("every caption is true of every picture, so there are no negatives to learn from")
    return [found[i % len(found)] for i in range(wanted)]


class GroupCollator:
    """Encode each caption and picture of a batch once, with indices that make the groups.

    Args:
        pairs: Pictures and captions.
        processor: Encodes them.
    """

    def __init__(self, pairs: CaptionSet, processor: RegionProcessor):
        self.pairs, self.processor = pairs, processor

    def __call__(self, items: Sequence[Groups]) -> dict[str, Any]:
        """``text`` and ``regions``: encoded once each; ``captions`` and ``images``: [2 · item, 1 + candidates].

        The first half of the groups is image-anchored, the second text-anchored. ``pairs`` [2, pair] are the captions
        and pictures of the different pairs, and ``pair_of`` [2 · item, 1 + candidates] says which each is: mining
        scores a pair once. ``pairs``, an array, and ``lengths`` stay on the host, where batches are planned.

        Raises:
            ValueError: A caption without a word, which no region can be attended from.
        """
        captions = [list(item.captions) for item in items]
        captions += [[item.caption] * len(item.images) for item in items]
        images = [[item.image] * len(item.captions) for item in items] + [list(item.images) for item in items]
        caption_ids, caption_index = _unique(captions)
        image_ids, image_index = _unique(images)
        encoded = EncodedPairs(
            self.processor,
            [self.pairs.captions[c] for c in caption_ids],
            [self.pairs.picture(i).regions for i in image_ids],
        )
        words = self.processor.text_mask(encoded.text["input_ids"], encoded.text["attention_mask"])
        if not words.any(1).all():
            empty = caption_ids[int((~words.any(1)).nonzero()[0])]
            raise ValueError(
                f"caption {empty}, {shortly(self.pairs.captions[empty])} of picture "
                f"{self.pairs.image_ids[self.pairs.image_of_caption[empty]]}, has no word that the model reads; "
                "correct it or take it out"
            )
        both = torch.stack([caption_index, image_index], -1)
        pairs, place = both.flatten(0, 1).unique(dim=0, return_inverse=True)
        return {
            "text": encoded.text,
            "regions": encoded.regions,
            "captions": caption_index,
            "images": image_index,
            "pairs": pairs.T.contiguous().numpy(),
            "pair_of": place.view(caption_index.shape),
            "lengths": Lengths.of(encoded.text, encoded.regions),
        }


def _unique(groups: list[list[int]]) -> tuple[list[int], Tensor]:
    ids, index = torch.tensor(groups).unique(return_inverse=True)
    return ids.tolist(), index
