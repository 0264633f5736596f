"""The symmetric KL of the paper's equation 4 between rows: of log probabilities, and of logits that are nearly flat."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cacr.attention.refusing import refuse_empty

Divergence = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""How far rows are apart: (own, projected, pairs) -> [..., row] in nats.

``pairs`` is True where a column counts; None: everywhere."""


def symmetric_kl(
    log_p: Float[Tensor, "*batch row column"],
    log_q: Float[Tensor, "*batch row column"],
    mask: Bool[Tensor, "*#batch row"],
    rows: str = "mean",
    support: Bool[Tensor, "*#batch row row"] | None = None,
) -> Float[Tensor, "*batch"]:
    """KL(p‖q) + KL(q‖p) in nats, row by row, pooled over the real rows of each example.

    Args:
        log_p: Log probabilities; rows sum to one over their real columns.
        log_q: The same, to compare with.
        mask: True where a row (and the column of the same index) counts.
        rows: "mean" or "sum" over an example's real rows.
        support: True where a row's distribution is defined (causal models: a triangle); None: every real column.

    Examples:
        >>> half, sure = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.9, 0.1]]).log()
        >>> symmetric_kl(half.expand(2, 2), sure.expand(2, 2), torch.ones(2, dtype=torch.bool))
        tensor(0.8789)

    Source: arXiv:2212.10549, equation 4.
    """
    refuse_empty(mask, "row", "mask")
    return pool_rows(kl_rows(log_p, log_q, pairs(mask, support)), mask, rows)


def kl_rows(
    log_p: Float[Tensor, "*batch row column"],
    log_q: Float[Tensor, "*batch row column"],
    pairs: Bool[Tensor, "*#batch #row column"] | None,
) -> Float[Tensor, "*batch row"]:
    """KL(p‖q) + KL(q‖p) of each row over the columns that count; 0 for a row without any."""
    return counted((log_p.exp() - log_q.exp()) * (log_p - log_q), pairs).sum(-1)


def counted(terms: Tensor, pairs: Tensor | None) -> Tensor:
    """Terms of columns that do not count as 0."""
    return terms if pairs is None else terms.masked_fill(~pairs, 0.0)


def pool_rows(
    values: Float[Tensor, "*batch row"], mask: Bool[Tensor, "*#batch row"], rows: str = "mean"
) -> Float[Tensor, "*batch"]:
    """Mean or sum over the real rows of each example; what padding holds must be 0."""
    return values.sum(-1) if rows == "sum" else values.sum(-1) / mask.sum(-1)


def pairs(mask: Bool[Tensor, "*#batch own"], support: Bool[Tensor, "*#batch own own"] | None) -> Tensor:
    """True where both ends are real and the model lets the one see the other."""
    both = mask[..., :, None] & mask[..., None, :]
    return both if support is None else both & support


def log_softmax(
    scores: Float[Tensor, "*batch own own"],
    mask: Bool[Tensor, "*#batch own"],
    support: Bool[Tensor, "*#batch own own"] | None = None,
) -> Tensor:
    """Log softmax over the columns of each row that count."""
    return log_softmax_over(scores, mask[..., None, :] if support is None else pairs(mask, support))


def log_softmax_over(
    scores: Float[Tensor, "*batch row column"], pairs: Bool[Tensor, "*#batch #row column"] | None
) -> Tensor:
    """Log softmax over the columns that count."""
    return _hidden(scores, pairs).log_softmax(-1)


def log_rows(probabilities: Float[Tensor, "*batch row column"]) -> Tensor:
    """Log of probabilities, with zeros (padding) kept finite."""
    return probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log()


class _SoftmaxRows(torch.autograd.Function):
    """See `softmax_rows`. The gradient is made going forward: both need the same softmaxes."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, projected: Tensor, pairs: Tensor | None, bounded: bool) -> Tensor:
        rows, *made = softmax_rows_and_gradients(own, projected, pairs, bounded, ctx.needs_input_grad[:2])
        ctx.save_for_backward(*made)
        return rows

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        made = ctx.saved_tensors
        return *(None if one is None else one * upstream[..., None] for one in made), None, None


def softmax_rows(
    own: Float[Tensor, "*batch row column"],
    projected: Float[Tensor, "*batch row column"],
    pairs: Bool[Tensor, "*#batch #row column"] | None,
    bounded: bool = False,
) -> Float[Tensor, "*batch row"]:
    """KL(p‖q) + KL(q‖p), in nats, of p = softmax(own) and q = softmax(projected) over the columns that count.

    Args:
        own: Logits.
        projected: Logits to compare with.
        pairs: True where a column counts.
        bounded: Logits are within [-1, 1], as attention probabilities are. Then no maximum is subtracted, and p − q is
            worked out from exp(x) − 1, since both are nearly uniform: taken apart it would cancel.

    The sum is Σ (p − q)(own − projected): constants of a row drop out, since p − q sums to 0.
    """
    return _SoftmaxRows.apply(own, projected, pairs, bounded)


def softmax_rows_and_gradients(
    own: Tensor, projected: Tensor, pairs: Tensor | None, bounded: bool, needs: Sequence[bool] = (True, True)
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """`softmax_rows`, and of each value the gradients with respect to its row of ``own`` and of ``projected``."""
    apart, p, q, gap = (_bounded if bounded else _unbounded)(own, projected, pairs)
    made: list[Tensor | None] = [None, None]
    for i, share in enumerate((p, q)):
        if needs[i]:
            center = (share * apart).sum(-1, keepdim=True)
            made[i] = share.mul_(apart - center).add_(gap)
    if made[1] is not None:
        made[1].neg_()
    return gap.mul_(apart).sum(-1), made[0], made[1]


@dataclass(frozen=True)
class SoftmaxRows:
    """`softmax_rows` as a divergence, which can also be asked for its gradients at once."""

    bounded: bool = False
    """As in `softmax_rows`."""

    def __call__(self, own: Tensor, projected: Tensor, pairs: Tensor | None) -> Tensor:
        """One value a row."""
        return softmax_rows(own, projected, pairs, self.bounded)


def rows_and_gradients(
    divergence: Divergence, own: Tensor, projected: Tensor, pairs: Tensor | None, needs: Sequence[bool]
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """One value a row, and the gradients of each with respect to its row of ``own`` and of ``projected``, if needed."""
    if isinstance(divergence, SoftmaxRows):
        return softmax_rows_and_gradients(own, projected, pairs, divergence.bounded, needs)
    with torch.set_grad_enabled(any(needs)):
        given = [one.detach().requires_grad_(yes) for one, yes in zip((own, projected), needs, strict=True)]
        rows = divergence(given[0], given[1], pairs)
        total = rows.sum()
    wanted = [one for one in given if one.requires_grad]
    made = iter(torch.autograd.grad(total, wanted) if wanted else ())
    own_made, projected_made = (next(made) if yes else None for yes in needs)
    return rows.detach(), own_made, projected_made


def _bounded(own: Tensor, projected: Tensor, pairs: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Own − projected, p, q and p − q, where exp(x) − 1 is small: nothing large is subtracted from anything large."""
    count: Any = own.shape[-1] if pairs is None else pairs.sum(-1, keepdim=True).to(own.dtype).clamp_min(1)
    x = own - 1 / count  # rows of probabilities have this mean
    u, v = x.expm1(), projected.expm1()
    if pairs is not None:
        u.mul_(pairs), v.mul_(pairs)
    sum_u, sum_v = u.sum(-1, keepdim=True), v.sum(-1, keepdim=True)
    each_u, each_v = 1 / (count + sum_u), 1 / (count + sum_v)
    u.mul_(each_u), v.mul_(each_v)
    gap = (u - v).add_((sum_v - sum_u) * each_u * each_v)
    p, q = u.add_(each_u), v.add_(each_v)
    if pairs is not None:
        gap.mul_(pairs), p.mul_(pairs), q.mul_(pairs)
    return x.sub_(projected), p, q, gap


def _unbounded(own: Tensor, projected: Tensor, pairs: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Own − projected, p, q and p − q, of logits of any size: each less its largest."""
    x, y = _hidden(own, pairs), _hidden(projected, pairs)
    p, q = x.softmax(-1), y.softmax(-1)
    apart = (own - x.amax(-1, keepdim=True)) - (projected - y.amax(-1, keepdim=True))
    if pairs is not None:
        p, q, apart = (one.masked_fill(~pairs, 0.0) for one in (p, q, apart))
    return apart, p, q, p - q


def _hidden(x: Tensor, pairs: Tensor | None) -> Tensor:
    return x if pairs is None else x.masked_fill(~pairs, torch.finfo(x.dtype).min)


def unit_rows(x: Tensor, pairs: Tensor | None) -> Tensor:
    """Each row divided by its sum over the columns that count; a row of zeros stays."""
    x = counted(x, pairs)
    total = x.sum(-1, keepdim=True)
    return x / total.masked_fill(total == 0, 1.0)
