"""The attention figures of the paper for one caption and one picture.

    token_figure      a panel per word: the box it attends to most in green, other high ones in red (Figures 4a-b, 5)
    regions_figure    each box labelled with the words that attend to it most (Figure 4, bottom)

Paper: arXiv:2212.10549, Figures 4 (S_LV) and 5 (S_VL).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

from cacr._messages import unknown
from cacr.attention import AttentionBlocks

CROSSES = ("lv", "vl")
HIGH = 0.5
"""A box is drawn in red from this fraction of the highest attention on."""
MOST_RED = 4
GREEN, RED, BLUE = "#12a150", "#e5484d", "#3e63dd"


@dataclass(frozen=True, eq=False)
class PairAttention:
    """Attention between the words of a caption and the boxes of a picture.

    Args:
        words: The caption's words.
        attention: [word, region]; each word's row is a distribution over regions for ``lv`` (words look at regions),
            each column one over words for ``vl`` (regions look at words).
        boxes: [region, 4], xyxy in pixels of ``image``.
        image: The picture.
        cross: "lv" or "vl".
    """

    words: Sequence[str]
    attention: Tensor
    boxes: Tensor
    image: Image.Image
    cross: str = "lv"

    def __post_init__(self) -> None:
        wanted = (len(self.words), len(self.boxes))
        if tuple(self.attention.shape) != wanted:
            raise ValueError(
                f"attention has shape {tuple(self.attention.shape)}; expected [word={wanted[0]}, region={wanted[1]}]"
            )
        if self.cross not in CROSSES:
            raise ValueError(unknown("cross", self.cross, CROSSES))

    @classmethod
    def from_blocks(
        cls,
        blocks: AttentionBlocks,
        tokens: Sequence[str],
        boxes01: Tensor,
        image: Image.Image,
        example: int = 0,
        cross: str = "lv",
    ) -> PairAttention:
        """Of one example of blocks; word pieces (``##ing``) are averaged into words.

        Args:
            blocks: Attention, mean over heads.
            tokens: The tokens of the example's text axis.
            boxes01: [region, 4] as fractions of the picture.
            image: The picture.
            example: Which of the blocks.
            cross: "lv": where words look; "vl": which regions look at a word.

        Raises:
            ValueError: Blocks per head, or without S_VL where that is asked for.
        """
        if blocks.per_head:
            raise ValueError('the blocks keep their heads apart; make them with heads="mean" to draw them')
        if cross == "vl" and blocks.vl is None:
            raise ValueError("these blocks have no attention from regions to words (vl=None: a causal model)")
        full = blocks.lv if cross == "lv" else blocks.vl.transpose(-1, -2)  # type: ignore[union-attr]
        part = full[example][blocks.text_mask[example]][:, blocks.region_mask[example]].detach().float().cpu()
        words, pieces = words_of_tokens(tokens)
        attention = torch.stack([part[ids].mean(0) for ids in pieces])
        scale = torch.tensor([*image.size, *image.size])
        return cls(words, attention, boxes01[: part.shape[1]].cpu() * scale, image, cross)


def words_of_tokens(tokens: Sequence[str]) -> tuple[list[str], list[list[int]]]:
    """Words and the tokens that each is made of.

    Example:
        >>> words_of_tokens(["a", "wind", "##mill"])
        (['a', 'windmill'], [[0], [1, 2]])
    """
    words: list[str] = []
    pieces: list[list[int]] = []
    for index, token in enumerate(tokens):
        if token.startswith("##") and words:
            words[-1] += token[2:]
            pieces[-1].append(index)
        else:
            words.append(token)
            pieces.append([index])
    return words, pieces


def high_regions(attention: Tensor) -> tuple[int, list[int]]:
    """The region of highest attention, and others within ``HIGH`` of it that lie above the mean, at most four.

    Example:
        >>> high_regions(torch.tensor([0.1, 0.5, 0.3, 0.1]))
        (1, [2])
    """
    best = int(attention.argmax())
    order = attention.argsort(descending=True).tolist()
    floor = max(HIGH * float(attention[best]), float(attention.mean()))
    return best, [region for region in order if region != best and attention[region] > floor][:MOST_RED]


def token_figure(pair: PairAttention, words: Sequence[str] | None = None, columns: int = 4) -> Figure:
    """One panel per word: its highest box in green with its attention, other high ones in red.

    Args:
        pair: What to draw.
        words: Only these, in this order; all if None.
        columns: Panels a row.

    Raises:
        ValueError: A word that the caption does not have.
    """
    for word in words or ():
        if word not in pair.words:
            raise ValueError(unknown("word", word, pair.words))
    chosen = [list(pair.words).index(word) for word in words] if words else list(range(len(pair.words)))
    rows = -(-len(chosen) // columns)
    used = min(columns, len(chosen))
    figure = Figure(
        figsize=(2.4 * used, rows * (2.4 * _aspect(pair.image) + 0.3) + 0.35), layout="constrained"
    )
    panels = figure.subplots(rows, used, squeeze=False)
    for panel in panels.flat:
        panel.set_axis_off()
    for index, panel in zip(chosen, panels.flat, strict=False):
        _show(panel, pair.image)
        best, others = high_regions(pair.attention[index])
        for region in reversed([best, *others]):
            _box(
                panel,
                pair.boxes[region],
                GREEN if region == best else RED,
                float(pair.attention[index, region]),
            )
        panel.set_title(pair.words[index], fontsize=10, fontweight="bold")
    looks = "the boxes each word attends to" if pair.cross == "lv" else "the boxes that attend to each word"
    figure.suptitle(f"S_{pair.cross.upper()}: {looks} (highest green, other high ones red)", fontsize=9)
    return figure


def regions_figure(pair: PairAttention) -> Figure:
    """The picture with each box labelled by the words whose highest attention it holds, beside all boxes."""
    labels: dict[int, list[str]] = {}
    for word, row in zip(pair.words, pair.attention, strict=True):
        labels.setdefault(int(row.argmax()), []).append(word)
    height = 4.6 * _aspect(pair.image)
    figure = Figure(figsize=(5.4, height + 0.7), layout="constrained")
    panel = figure.subplots()
    _show(panel, pair.image)
    for box in pair.boxes:
        x1, y1, x2, y2 = box.tolist()
        panel.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color="0.55", lw=0.6, alpha=0.7))
    placed: list[tuple[float, float]] = []
    line = pair.image.height / 22
    for region, names in labels.items():
        _box(panel, pair.boxes[region], BLUE)
        x1, y, x2, _ = pair.boxes[region].tolist()
        right = x1 > 0.6 * pair.image.width  # a label from the left edge would leave the picture
        x = x2 if right else x1
        while any(
            abs(x - other_x) < pair.image.width / 4 and abs(y - other_y) < line for other_x, other_y in placed
        ):
            y += line
        placed.append((x, y))
        _label(panel, x, y, ", ".join(names), BLUE, size=8, right=right)
    figure.suptitle(" ".join(pair.words), fontsize=10)
    panel.set_title("boxes labelled with the words that attend to them most", fontsize=8, color="0.3")
    return figure


def _aspect(image: Image.Image) -> float:
    return image.height / image.width


def _show(panel: Axes, image: Image.Image) -> None:
    small = image.width < 200
    panel.imshow(image, interpolation="nearest" if small else "antialiased")
    panel.set_xlim(-0.5, image.width - 0.5)
    panel.set_ylim(image.height - 0.5, -0.5)
    panel.set_axis_off()


def _box(panel: Axes, box: Tensor, color: str, value: float | None = None) -> None:
    x1, y1, x2, y2 = box.tolist()
    panel.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=color, lw=1.8, clip_on=False))
    if value is not None:
        _label(panel, x1, y1, f"{value:.2f}", color, size=6)


def _label(panel: Axes, x: float, y: float, text: str, color: str, size: int, right: bool = False) -> None:
    panel.text(
        x,
        y,
        text,
        fontsize=size,
        color="white",
        va="top",
        ha="right" if right else "left",
        bbox={"facecolor": color, "edgecolor": "none", "pad": 1.2, "alpha": 0.9},
        clip_on=True,
    )
