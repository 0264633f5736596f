"""The four blocks of a self-attention over text and regions: what losses and figures are computed from.

    S = Q Kᵀ / √d = [ S_LL  S_LV ]      first letter: the queries (rows), second: the keys (columns)
                    [ S_VL  S_VV ]      L = text, V = regions

Paper: Pandey et al., ACL 2023, arXiv:2212.10549, equations 1-2. Notation: docs/notation.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from cacr._messages import unknown
from cacr.attention.cut import BLOCKS, Captured, Cutter, cut
from cacr.attention.precision import at_least_float32
from cacr.attention.refusing import check_block, check_mask, refuse_broken, refuse_empty

SPACES = ("probabilities", "scores")
HEADS = ("mean", "each")


@dataclass(frozen=True, eq=False)
class AttentionBlocks:
    """Attention of words to words, words to regions, regions to words and regions to regions.

    Checked once, here: whoever holds blocks may trust their shapes and masks. Half precision becomes float32, and
    padding becomes 0, whatever it held.

    Args:
        ll: Text to text, [batch, (head,) text, text]; rows are queries.
        lv: Text to regions, [batch, (head,) text, region].
        vl: Regions to text, [batch, (head,) region, text]; None where the model has no such attention (causal
            models), and then only the language direction exists.
        vv: Regions to regions, [batch, (head,) region, region].
        text_mask: [batch, text], True where a token counts.
        region_mask: [batch, region], True where a region counts.
        space: What the blocks hold, "probabilities" or "scores"; losses defined on one refuse the other.
        ll_support: [batch, text, text], True where a word may see a word; None: every real pair. Causal models
            have a triangle here, and losses compare on it alone.
        vv_support: [batch, region, region], the same among regions.

    Raises:
        ValueError: A shape does not fit the masks, an example has no real token or no real region, or a block holds
            NaN or infinite values where it counts.
        TypeError: A mask is not boolean, or a block is not a floating-point tensor.

    Examples:
        >>> words, regions = torch.full((1, 2, 2), 1 / 2), torch.full((1, 3, 3), 1 / 3)
        >>> blocks = AttentionBlocks(words, torch.full((1, 2, 3), 1 / 3), torch.full((1, 3, 2), 1 / 2), regions,
        ...                          torch.ones(1, 2, dtype=torch.bool), torch.ones(1, 3, dtype=torch.bool))
        >>> blocks.lv.shape
        torch.Size([1, 2, 3])
    """

    ll: Tensor
    lv: Tensor
    vl: Tensor | None
    vv: Tensor
    text_mask: Tensor
    region_mask: Tensor
    space: str = "probabilities"
    ll_support: Tensor | None = None
    vv_support: Tensor | None = None

    def __post_init__(self) -> None:
        if self.space not in SPACES:
            raise ValueError(unknown("space", self.space, SPACES))
        for name, mask in (("text_mask", self.text_mask), ("region_mask", self.region_mask)):
            check_mask(name, mask)
        batch, text = self.text_mask.shape
        region = self.region_mask.shape[1]
        sides = {"l": ("text", text), "v": ("region", region)}
        for name in ("ll", "lv", "vl", "vv"):
            block = getattr(self, name)
            if block is None and name == "vl":
                continue
            rows, columns = sides[name[0]], sides[name[1]]
            check_block(name, block, batch, rows, columns)
            object.__setattr__(self, name, at_least_float32(block))
        for name, support, size in (("ll", self.ll_support, text), ("vv", self.vv_support, region)):
            if support is not None and (support.dtype != torch.bool or support.shape != (batch, size, size)):
                raise ValueError(
                    f"{name}_support is {support.dtype} of shape {tuple(support.shape)}; expected bool of "
                    f"{(batch, size, size)}, True where a query may see a key"
                )
        given = [block for block in (self.ll, self.lv, self.vl, self.vv) if block is not None]
        kinds = {f"{block.dtype} on {block.device}" for block in given}
        places = {str(tensor.device) for tensor in (*given, self.text_mask, self.region_mask)}
        if len(kinds) > 1 or len(places) > 1:
            raise ValueError(
                f"the blocks and masks are {', '.join(sorted(kinds | places))}; expected one kind on one device"
            )
        heads = {block.shape[1:-2] for block in given}
        if len(heads) > 1:
            raise ValueError(
                f"the blocks differ in their head axes: {sorted(map(tuple, heads))}; give all or none"
            )
        refuse_empty(self.text_mask, "token", "text_mask")
        refuse_empty(self.region_mask, "region", "region_mask")
        self._clear_padding()

    def _clear_padding(self) -> None:
        """Padding as 0, as losses take it to be; what counts must be finite."""
        masks = {"l": self.text_mask, "v": self.region_mask}
        for name in BLOCKS:
            block, support = getattr(self, name), getattr(self, f"{name}_support", None)
            if block is None:
                continue
            real = masks[name[0]][:, :, None] & masks[name[1]][:, None, :]
            real = real if support is None else real & support
            if torch.compiler.is_compiling() or not real.all():
                block = block.masked_fill(~(real[:, None] if block.ndim == 4 else real), 0.0)
                object.__setattr__(self, name, block)
            refuse_broken(name, block)

    @classmethod
    def trusted(cls, **fields: Any) -> AttentionBlocks:
        """Blocks of fields that are right by the way they were made: each check would ask the device a question."""
        made = object.__new__(cls)
        made.__dict__.update({"ll_support": None, "vv_support": None, "space": SPACES[0]} | fields)
        return made

    def __len__(self) -> int:
        """The number of examples."""
        return self.text_mask.shape[0]

    def __getitem__(self, rows: slice | Tensor) -> AttentionBlocks:
        """The blocks of some examples: ``blocks[:4]``, ``blocks[mask]``."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        some: dict[str, Any] = {k: v[rows] if isinstance(v, Tensor) else v for k, v in values.items()}
        check_mask("text_mask", some["text_mask"])  # one example at least; the rest was asked of all
        return AttentionBlocks.trusted(**some)

    @property
    def per_head(self) -> bool:
        """Whether the blocks keep an axis of heads."""
        return self.ll.ndim == 4

    @classmethod
    def from_query_key(
        cls,
        query: Tensor,
        key: Tensor,
        text_mask: Tensor,
        region_mask: Tensor,
        scale: float | None = None,
        space: str = "probabilities",
        heads: str = "mean",
    ) -> AttentionBlocks:
        """Blocks from the queries and keys of one attention layer over a sequence that holds both modalities.

        Args:
            query: [batch, head, sequence, width].
            key: [batch, head, sequence, width], or fewer heads that each serve as many queries' heads in a row (GQA).
            text_mask: [batch, sequence], True where a position counts as text. Leave out [CLS] and [SEP] to
                read the paper as its authors' release does.
            region_mask: [batch, sequence], True where a position counts as a region.
            scale: Factor of query · key; 1/√width if None.
            space: "probabilities": a softmax over the columns of each block alone, as the release has it;
                "scores": the scaled scores themselves, as the paper writes them. Padding is 0 in both.
            heads: "mean": the mean over heads; "each": one matrix a head.

        Returns:
            Blocks whose text and region axes hold the real positions in order, padded to the longest example.

        Raises:
            ValueError: Shapes that do not fit, an unknown option, an example without text or without regions,
                a position that counts as both, or values that are not finite or too large to be multiplied.

        Source: github.com/KhoomeiK/CACR, model/attention.py (the space "probabilities").
        """
        call = check_query_key(query, key, text_mask, region_mask, scale, space, heads)
        made = cls.trusted(**cut(dict.fromkeys(BLOCKS, call), text_mask, region_mask, space, heads))
        made.refuse_overflow()
        return made

    def refuse_overflow(self) -> None:
        """Raises ValueError where a block is not finite: products of finite queries and keys can be too large."""
        for name in BLOCKS:
            if (block := getattr(self, name)) is not None:
                refuse_broken(f"{name} (queries times keys, in {block.dtype})", block)

    @classmethod
    def from_attentions(
        cls, attention: Tensor, text_mask: Tensor, region_mask: Tensor, heads: str = "mean"
    ) -> AttentionBlocks:
        """Blocks from one layer's attention probabilities over the joint sequence, as ``output_attentions`` gives.

        Each block is divided by its row sums: softmax over all columns, renormalized over some, equals the
        softmax over those alone, so the result is the same as `from_query_key` in the space "probabilities".
        Probabilities after dropout do not sum to one: capture queries and keys instead while training.

        Args:
            attention: [batch, head, sequence, sequence]; rows are queries and sum to 1.
            text_mask: [batch, sequence], True where a position counts as text.
            region_mask: [batch, sequence], True where a position counts as a region.
            heads: "mean" or "each".

        Raises:
            ValueError: Shapes that do not fit, or an example without text or without regions.
        """
        if heads not in HEADS:
            raise ValueError(unknown("heads", heads, HEADS))
        if attention.ndim != 4 or attention.shape[-1] != attention.shape[-2]:
            raise ValueError(
                f"attention has shape {tuple(attention.shape)}; expected [batch, head, sequence, sequence]: "
                "one layer of outputs.attentions"
            )
        _check_sequence_masks(attention.shape[0], attention.shape[-1], text_mask, region_mask)
        cutter, call = Cutter(text_mask, region_mask), Captured(logits=attention)

        def block(rows: str, columns: str) -> Tensor:
            part = cutter.scores(call, rows, columns)
            both = cutter.real(rows)[:, None, :, None] & cutter.real(columns)[:, None, None, :]
            part = part.masked_fill(~both, 0.0)
            part = part / part.sum(-1, keepdim=True).clamp_min(torch.finfo(part.dtype).tiny)
            return part.mean(1) if heads == "mean" else part

        cross = block("l", "v"), block("v", "l")
        return cls(block("l", "l"), *cross, block("v", "v"), cutter.real("l"), cutter.real("v"))


def check_query_key(
    query: Tensor,
    key: Tensor,
    text_mask: Tensor,
    region_mask: Tensor,
    scale: float | None,
    space: str,
    heads: str,
) -> Captured:
    """The attention call that these arguments of `AttentionBlocks.from_query_key` describe, once they are checked."""
    if space not in SPACES:
        raise ValueError(unknown("space", space, SPACES))
    if heads not in HEADS:
        raise ValueError(unknown("heads", heads, HEADS))
    same = query.ndim == key.ndim == 4 and (len(query), *query.shape[2:]) == (len(key), *key.shape[2:])
    if not same or key.shape[1] == 0 or query.shape[1] % key.shape[1]:
        raise ValueError(
            f"query has shape {tuple(query.shape)} and key {tuple(key.shape)}; expected [batch, head, sequence, "
            "width] for both, with equal numbers of heads or a divisor of the query's in the key"
        )
    if query.device != key.device or query.dtype != key.dtype or not query.is_floating_point():
        raise TypeError(
            f"query is {query.dtype} on {query.device} and key {key.dtype} on {key.device}; expected one "
            "floating-point type on one device"
        )
    _check_sequence_masks(query.shape[0], query.shape[2], text_mask, region_mask)
    if {text_mask.device, region_mask.device} != {query.device}:
        raise ValueError(
            f"the masks are on {text_mask.device} and {region_mask.device}, query and key on {query.device}; expected "
            "one device: mask.to(query.device)"
        )
    if scale is not None and not math.isfinite(scale):
        raise ValueError(f"scale is {scale}; expected a finite factor, or None for 1/√width")
    counted = text_mask | region_mask
    finite = refuse_broken("query", query, counted), refuse_broken("key", key, counted)
    if not all(finite):  # products of a gradient of 0 with what does not count would be NaN
        query, key = (one.masked_fill(~counted[:, None, :, None], 0.0) for one in (query, key))
    return Captured(query, key, query.shape[-1] ** -0.5 if scale is None else scale)


def _check_sequence_masks(batch: int, sequence: int, text_mask: Tensor, region_mask: Tensor) -> None:
    for name, mask in (("text_mask", text_mask), ("region_mask", region_mask)):
        check_mask(name, mask)
        if mask.shape != (batch, sequence):
            raise ValueError(
                f"{name} has shape {tuple(mask.shape)}; expected {(batch, sequence)}: one flag per position"
            )
    refuse_empty(text_mask, "token", "text_mask")
    refuse_empty(region_mask, "region", "region_mask")
    both = (text_mask & region_mask).any(1)
    if not torch.compiler.is_compiling() and both.any():
        example = int(both.nonzero()[0])
        raise ValueError(
            f"a position of example {example} counts as text and as region; the masks must not overlap"
        )
