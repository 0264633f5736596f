"""Pairs with random attention, for pages under test."""

import math

import torch
from PIL import Image

from cacr.attention import AttentionBlocks
from cacr.attention.attended import Attended
from cacr.explore.page import Item


def random_attended(
    caption="a red square above a blue disc",
    *,
    model="one",
    layers=2,
    heads=3,
    regions=5,
    grid=None,
    queries=False,
    vl=True,
    causal=False,
    match=0.5,
    image=None,
    seed=0,
    sharp=2.0,
):
    """Attention from random scores: sharp enough that maxima stand out."""
    g = torch.Generator().manual_seed(seed)
    tokens = caption.split()
    words, regions = len(tokens), grid[0] * grid[1] if grid else regions
    support = torch.ones(words, words, dtype=torch.bool).tril()[None] if causal else None
    head = (heads,) if heads else ()

    def block(rows, columns, seen=None):
        scores = sharp * torch.randn(1, *head, rows, columns, generator=g)
        if seen is not None:
            scores = scores.masked_fill(~(seen[:, None] if heads else seen), -1e9)
        return scores.softmax(-1)

    made = {
        layer: AttentionBlocks(
            ll=block(words, words, support),
            lv=block(words, regions),
            vl=block(regions, words) if vl else None,
            vv=block(regions, regions),
            text_mask=torch.ones(1, words, dtype=torch.bool),
            region_mask=torch.ones(1, regions, dtype=torch.bool),
            ll_support=support,
        )
        for layer in range(layers)
    }
    boxes = None
    if not queries and not grid:
        corner = torch.rand(regions, 2, generator=g) * 0.6
        boxes = torch.cat([corner, corner + 0.15 + 0.25 * torch.rand(regions, 2, generator=g)], 1)
    ends = torch.tensor([len(" ".join(tokens[: k + 1])) for k in range(words)])
    spans = [(int(end) - len(token), int(end)) for end, token in zip(ends, tokens, strict=True)]
    picture = image if image is not None else soft_picture(seed)
    return Attended(
        model,
        caption,
        tokens,
        made,
        picture,
        boxes,
        grid,
        spans if " ".join(tokens) == caption else None,
        None,
        match,
    )


def soft_picture(seed=0, size=(240, 180)):
    """A picture that a JPEG holds in a few kilobytes, as photographs are smooth."""
    g = torch.Generator().manual_seed(1000 + seed)
    small = (torch.rand(6, 8, 3, generator=g) * 255).byte().numpy()
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def one_item(**options):
    """An item of one caption and one picture."""
    attended = random_attended(**options)
    return Item("one", [attended.caption], [attended.image], {attended.model: [[attended]]})


def two_by_two(match=((2.0, 1.0), (0.5, 3.0)), models=("one",), **options):
    """Two captions of the same words, two pictures, and the four matches ``match[caption][image]``."""
    captions = ["a red square above a blue disc", "a blue square above a red disc"]
    images = [soft_picture(50), soft_picture(51)]
    views = {
        model: [
            [
                random_attended(
                    captions[c],
                    model=model,
                    match=match[c][i],
                    image=images[i],
                    seed=10 * m + 2 * c + i,
                    **options,
                )
                for i in range(2)
            ]
            for c in range(2)
        ]
        for m, model in enumerate(models)
    }
    return Item("swapped", captions, images, views, note="attribute")


def to_three_digits(text, number):
    """Whether a number on the page is an array's, to three digits of what half precision keeps."""
    if text == "0":
        return abs(number) < 1e-7
    if text.startswith("<"):
        return 0 <= number < 1.001e-4
    said = float(text.replace("−", "-"))
    step = 10.0 ** (math.floor(math.log10(abs(said))) - 2) if said else 0
    return abs(said - number) <= 0.501 * step + abs(number) / 2048


def maps_by_loops(own, other, cross):
    """Own, soft and hard map with their divergences, written as loops: what the page should show."""
    own, other, cross = (x.double() for x in (own, other, cross))
    words, regions = cross.shape
    soft, hard = torch.zeros(words, words).double(), torch.zeros(words, words).double()
    for i in range(words):
        for j in range(words):
            hard[i, j] = other[int(cross[i].argmax()), int(cross[j].argmax())]
            for k in range(regions):
                soft[i, j] += float(cross[i, k] * (other[k] * cross[j]).sum())
    own, soft, hard = (x / x.sum(1, keepdim=True) for x in (own, soft, hard))

    def apart(p, q):
        return ((p - q) * (p.log() - q.log())).sum(1)

    return {
        "own": own,
        "soft": soft,
        "hard": hard,
        "soft apart": apart(own, soft),
        "hard apart": apart(own, hard),
    }
