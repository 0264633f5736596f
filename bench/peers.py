"""What our loss is measured against: the public release's own code, and our re-statements of what it computes.

    release_loop     re-statement of the release: four attentions over the whole sequence, then a loop over examples
    block_loop       the same loop given less to do: each example's blocks alone, and only those it needs
    open_release     the release itself, from a folder where the user has it

Facts from github.com/KhoomeiK/CACR (a fork of lancopku/IAIS), model/model.py and model/layer.py; none of its code.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace

from torch import Tensor, nn
from torch.nn.functional import kl_div

STAND_INS = ("apex.normalization.fused_layer_norm", "utils.heatmap")
"""What the release imports and its losses never call. The second is not in the public repository."""


def release_loop(
    query: Tensor, key: Tensor, text_mask: Tensor, region_mask: Tensor, direction: str = "both"
) -> Tensor:
    """The released loss, re-stated: each of the four attentions over the whole sequence under a mask of its own.

    Args:
        query: [batch, head, sequence, width]: one span of words and one of regions, padding at the end of each.
        key: The same.
        text_mask: [batch, sequence], True where a word counts.
        region_mask: [batch, sequence], True where a region counts.
        direction: "language", "vision", or "both": a pass of each, since the release has one direction per group.
    """
    if direction == "both":
        given = (query, key, text_mask, region_mask)
        return release_loop(*given, "language") + release_loop(*given, "vision")
    spans = {"l": (text_mask, *_span(text_mask)), "v": (region_mask, *_span(region_mask))}

    def attention(rows: str, columns: str) -> Tensor:
        (own, first, length), (other, left, width) = spans[rows], spans[columns]
        pair = (own[:, None, :, None] & other[:, None, None, :]).to(query.dtype)
        scores = query @ key.mT / query.shape[-1] ** 0.5 + (1.0 - pair) * -10_000.0
        return (scores.softmax(-1) * pair).narrow(2, first, length).narrow(3, left, width).mean(1)

    ll, vv, lv, vl = (attention(*name) for name in ("ll", "vv", "lv", "vl"))
    total = query.new_zeros(())
    for j, (n, m) in enumerate(zip(text_mask.sum(1), region_mask.sum(1), strict=True)):
        words, regions = int(n.item()), int(m.item())
        if direction == "language":
            total = total + _soft(ll[j, :words, :words], vv[j, :regions, :regions], lv[j, :words, :regions])
        else:
            total = total + _soft(vv[j, :regions, :regions], ll[j, :words, :words], vl[j, :regions, :words])
    return total / len(query)


def block_loop(
    query: Tensor, key: Tensor, text_mask: Tensor, region_mask: Tensor, direction: str = "both"
) -> Tensor:
    """The same value from a leaner loop: each example by itself, its own blocks, none that it does not need."""
    total = query.new_zeros(())
    for q, k, words, regions in zip(query, key, text_mask, region_mask, strict=True):
        sides = {"l": (q[:, words], k[:, words]), "v": (q[:, regions], k[:, regions])}

        def block(rows: str, columns: str, sides: dict[str, tuple[Tensor, Tensor]] = sides) -> Tensor:
            scores = sides[rows][0] @ sides[columns][1].mT / query.shape[-1] ** 0.5
            return scores.softmax(-1).mean(0)

        ll, vv = block("l", "l"), block("v", "v")
        if direction != "vision":
            total = total + _soft(ll, vv, block("l", "v"))
        if direction != "language":
            total = total + _soft(vv, ll, block("v", "l"))
    return total / len(query)


def _soft(own: Tensor, other: Tensor, cross: Tensor) -> Tensor:
    """Softmax over what already are probabilities, on both sides; both KLs, mean over rows."""
    cross = cross.detach()
    p, q = own.softmax(-1), (cross @ other @ cross.T).softmax(-1)
    return kl_div(p.log(), q, reduction="batchmean") + kl_div(q.log(), p, reduction="batchmean")


def _span(mask: Tensor) -> tuple[int, int]:
    """First position and length of the positions that count in some example."""
    found = mask.any(0).nonzero()[:, 0]
    return int(found[0]), int(found[-1] - found[0]) + 1


def open_release(folder: Path) -> ModuleType:
    """The released ``model/model.py`` of CACR or IAIS, with stand-ins for what its losses import and never call.

    Raises:
        FileNotFoundError: The folder holds no release.
        ImportError: It imports something else that is not installed.
    """
    if not (folder / "model" / "model.py").is_file():
        raise FileNotFoundError(
            f"no model/model.py under {folder}: expected a copy of github.com/KhoomeiK/CACR or "
            "github.com/lancopku/IAIS"
        )
    with _stand_ins(folder):
        return importlib.import_module("released.model")


def has_loss(module: ModuleType, kind: str) -> bool:
    """Whether a release has this loss: "soft" is CACR's, "singular" and "distributed" are IAIS's."""
    return hasattr(module.UniterEncoder, f"iais_{kind}")


@contextmanager
def _stand_ins(folder: Path) -> Iterator[None]:
    before = dict(sys.modules)
    package = ModuleType("released")
    package.__path__ = [str((folder / "model").resolve())]
    sys.modules["released"] = package
    for name in STAND_INS:
        for end in range(1, len(name.split(".")) + 1):
            sys.modules[".".join(name.split(".")[:end])] = ModuleType(name)
    sys.modules[STAND_INS[0]].FusedLayerNorm = nn.LayerNorm  # type: ignore[attr-defined]
    sys.modules[STAND_INS[1]].plot_attention_headmap = None  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for name in set(sys.modules) - set(before):
            if name.partition(".")[0] in ("released", "apex", "utils"):
                del sys.modules[name]
        sys.modules.update(before)


class _Given(nn.Module):
    """In place of a linear map: queries or keys that are already there, [batch, sequence, head · width]."""

    def __init__(self, values: Tensor):
        super().__init__()
        self.values = values

    def forward(self, hidden: Tensor) -> Tensor:
        return self.values


def released_loss(
    module: ModuleType, query: Tensor, key: Tensor, text_mask: Tensor, region_mask: Tensor, kind: str = "soft"
) -> tuple[Callable[[str], Tensor], tuple[Tensor, Tensor]]:
    """The released encoder's own loop over given queries and keys: a function of the direction, and its two leaves.

    Its last layer is left out, since the loss is made before it; masks are made beforehand, as its model does.

    Args:
        module: What `open_release` returned.
        query: [batch, head, sequence, width], of [CLS], words, [SEP] and regions; padding after the words.
        key: The same.
        text_mask: [batch, sequence], True where a word counts: from position 1.
        region_mask: [batch, sequence], True where a region counts.
        kind: "soft" (CACR; not in the release of IAIS), "singular" or "distributed" (IAIS).

    Raises:
        ImportError: The release does not have that loss.
    """
    if not has_loss(module, kind):
        raise ImportError(
            f"this release has no loss {kind!r}; github.com/KhoomeiK/CACR has soft, singular and distributed"
        )
    heads, width = query.shape[1], query.shape[3]
    config = SimpleNamespace(
        hidden_size=heads * width,
        num_attention_heads=heads,
        num_hidden_layers=1,
        intermediate_size=1,
        hidden_act="gelu",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    encoder = module.UniterEncoder(config).to(query)
    layer = encoder.layer[0]
    leaves = tuple(x.detach().transpose(1, 2).flatten(2).requires_grad_() for x in (query, key))
    layer.attention.self.query, layer.attention.self.key = (_Given(x) for x in leaves)
    layer.forward = lambda hidden, mask: hidden
    start, regions = _span(region_mask)
    pairs = [
        (rows[:, None, :, None] & columns[:, None, None, :]).to(query.dtype)
        for rows, columns in (
            (text_mask, text_mask),
            (region_mask, region_mask),
            (text_mask, region_mask),
            (region_mask, text_mask),
        )
    ]
    hidden = query.new_zeros(*leaves[0].shape[:2], 1)

    def one(letter: str) -> Tensor:
        return encoder(hidden, None, *pairs, start, regions, IAIS=f"{letter}-{kind}", pairs_num=1)[1][
            "self_attn_loss"
        ]

    def loss(direction: str) -> Tensor:
        letters = {"language": "L", "vision": "V", "both": "LV"}[direction]
        return sum((one(letter) for letter in letters[1:]), one(letters[0]))

    return loss, leaves  # type: ignore[return-value]
