"""Pairs of the embedded world with the whole truth: a color and a shape mean the regions of their thing."""

from __future__ import annotations

import torch

from cacr.data.grounding.grounded import Grounded, Phrase
from cacr.data.scenes import Claim, Scene, winoground_like
from cacr.data.scenes.sets import as_picture
from cacr.data.scenes.world import SIDE, Kind


def grounded_scenes(album: int, n: int) -> list[Grounded]:
    """The true pairs of ``n`` Winoground-like examples: caption 0 with picture 0, caption 1 with picture 1.

    Args:
        album: See `cacr.data.scenes.SEEDS`.
        n: Examples; there are twice as many pairs. The two of an example are made of the same things: one cluster.

    Raises:
        ValueError: n below 1.

    Examples:
        >>> one = grounded_scenes(2, 1)[0]
        >>> one.caption, [one.caption[p.start:p.end] for p in one.phrases]
        ('a red triangle is left of a purple star', ['red triangle', 'purple star'])
    """
    if n < 1:
        raise ValueError(f"n is {n}; expected 1 example or more")
    return [
        Grounded(
            one.captions[i],
            as_picture(f"{one.example_id}-{i}", one.scenes[i]),
            phrases_of(one.scenes[i], one.claims[i]),
            f"{one.example_id}-{i}",
            one.example_id,
        )
        for one in winoground_like(album, n)
        for i in (0, 1)
    ]


def phrases_of(scene: Scene, claim: Claim) -> list[Phrase]:
    """The words of a claim that name a thing, with its box and its regions; the article is no part of them."""
    words, exact = claim.words(), scene.alignment(claim)
    starts = [sum(len(word) + 1 for word, _ in words[:i]) for i in range(len(words))]
    found: list[Phrase] = []
    for index, (word, kind) in enumerate(words):
        if kind is None:
            continue
        end = starts[index] + len(word)
        if index and words[index - 1][1] == kind:
            before = found.pop()
            found.append(Phrase(before.start, end, before.boxes01, before.name, before.regions))
        else:
            name = f"{kind[1]} {kind[0]}"
            found.append(Phrase(starts[index], end, _boxes(scene, kind), name, exact[index]))
    return found


def _boxes(scene: Scene, kind: Kind) -> torch.Tensor:
    edges = [
        (t.x - t.radius, t.y - t.radius, t.x + t.radius, t.y + t.radius)
        for t in scene.things
        if t.kind == kind
    ]
    return (torch.tensor(edges, dtype=torch.float64).view(-1, 4) / SIDE).clamp(0, 1)
