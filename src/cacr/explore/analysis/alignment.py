"""Where words look, and whether that is what they mean: entropy of argmax indices, argmax and soft accuracy.

Every function takes the cross attention of several heads at once, [head, row, column]: words over regions (S_LV) or
regions over words (S_VL, with the truth transposed). Accuracies are over the rows that have a true column.

Paper: arXiv:2212.10549, section 5.2, which measures the entropy and names the accuracy as what is missing.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def argmax_entropy(cross: Tensor) -> Tensor:
    """Shannon entropy, in bits, of how often each column is some row's argmax: [head].

    0 where all rows look at one column; log2(rows) where each has its own. Of equal values the first counts.

    Examples:
        >>> argmax_entropy(torch.tensor([[[0.9, 0.1], [0.2, 0.8]], [[0.9, 0.1], [0.8, 0.2]]]).double())
        tensor([1., 0.], dtype=torch.float64)
    """
    share = torch.nn.functional.one_hot(cross.argmax(-1), cross.shape[-1]).double().mean(-2)
    share = share.sort(-1).values  # in another order the last bit of the sum differs, which ranks would tell
    return -torch.special.xlogy(share, share).sum(-1) / math.log(2) + 0.0


def alignment(cross: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """How well rows find their true columns, beside what needs no understanding of the row.

    Args:
        cross: [head, row, column], each row a distribution.
        truth: bool [row, column].

    Returns:
        name -> [head], shares of 0-1 over the rows with a true column; nan where no row has one:

        - "argmax": the highest column is a true one; a tie with a false one is wrong.
        - "soft": attention on true columns.
        - "chance": share of columns that are true: what a random argmax, and uniform attention, get.
        - "favorite": accuracy of one and the same column for all rows: the argmax of the mean over all rows.
        - "favorite_soft": attention of that mean on true columns.
        - "constant": the most that one and the same column can get, told by the truth.
    """
    rows = truth.any(-1)
    heads, names = len(cross), ("argmax", "soft", "chance", "favorite", "favorite_soft", "constant")
    if not rows.any():
        return {name: torch.full((heads,), math.nan, dtype=torch.float64) for name in names}
    true, here, mean = truth[rows], cross[:, rows].double(), cross.double().mean(-2, keepdim=True)
    of_all = lambda value: torch.full((heads,), float(value), dtype=torch.float64)
    return {
        "argmax": _hits(here, true),
        "soft": (here * true).sum(-1).mean(-1),
        "chance": of_all(true.double().mean()),
        "favorite": _hits(mean.expand_as(here), true),
        "favorite_soft": (mean * true).sum(-1).mean(-1),
        "constant": of_all(true.double().mean(0).max()),
    }


def _hits(here: Tensor, true: Tensor) -> Tensor:
    best = here.masked_fill(~true, -math.inf).amax(-1)
    other = here.masked_fill(true, -math.inf).amax(-1)
    return (best > other).double().mean(-1)
