"""Attention of a pair with known parts."""

import numpy as np
import pytest
import torch

from cacr.attention import AttentionBlocks
from cacr.attention.attended import Attended
from cacr.explore.analysis import Subject, measure


def rows(*shape, seed):
    return (
        torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        .mul(3)
        .softmax(-1)
    )


@pytest.fixture
def attended_of():
    """Attention of words and regions, random, or with the parts given; ``heads`` 0: none kept apart."""

    def make(words=5, regions=4, heads=3, layers=(0, 1), seed=0, causal=False, model="m", **parts):
        axis = (heads,) if heads else ()
        blocks = {}
        for layer in layers:
            key = 10 * layer + 100 * seed
            given = {
                "ll": rows(1, *axis, words, words, seed=key),
                "lv": rows(1, *axis, words, regions, seed=key + 1),
                "vl": None if causal else rows(1, *axis, regions, words, seed=key + 2),
                "vv": rows(1, *axis, regions, regions, seed=key + 3),
            } | parts
            support = None
            if causal:
                support = torch.ones(1, words, words, dtype=torch.bool).tril()
                seen = support[:, None] if heads else support
                given["ll"] = given["ll"] * seen
                given["ll"] = given["ll"] / given["ll"].sum(-1, keepdim=True)
            blocks[layer] = AttentionBlocks(
                **given,
                text_mask=torch.ones(1, words, dtype=torch.bool),
                region_mask=torch.ones(1, regions, dtype=torch.bool),
                ll_support=support,
            )
        return Attended(model, "a caption", [f"w{i}" for i in range(words)], blocks)

    return make


@pytest.fixture
def subject_of(attended_of):
    """A model's measures of 6 examples of a pair each, of random attention, with random scores or those given."""
    truth = torch.zeros(5, 4, dtype=torch.bool)
    truth[1, 2] = truth[3, 0] = True
    names = [f"e{i}" for i in range(6)]

    def make(name, seed, match=None, **parts):
        seen = [attended_of(seed=10 * seed + i, **parts) for i in range(len(names))]
        pairs = [measure(one, truth, f"p{name}", name) for one, name in zip(seen, names, strict=True)]
        drawn = np.random.default_rng(seed).normal(size=(len(names), 2, 2))
        return Subject(name, pairs, drawn if match is None else match, names, names)

    return make
