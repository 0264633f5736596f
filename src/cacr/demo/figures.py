"""Attention figures of a pair, written to files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cacr.data.pairs import Picture
from cacr.explore import PairAttention, regions_figure, token_figure
from cacr.scorers import RegionScorer


def pair_attention(
    scorer: RegionScorer, caption: str, picture: Picture, layer: int = -1, cross: str = "lv"
) -> PairAttention:
    """The attention of a model between a caption and a picture."""
    blocks, tokens = scorer.attention([caption], [picture], layer)
    return PairAttention.from_blocks(blocks, tokens[0], picture.regions.boxes01, picture.image, cross=cross)


def draw_pair(
    scorer: RegionScorer,
    caption: str,
    picture: Picture,
    out: Path,
    layer: int = -1,
    cross: str = "lv",
    words: Sequence[str] | None = None,
) -> list[Path]:
    """Write tokens.png and regions.png (the paper's Figures 4 and 5) into a folder."""
    pair = pair_attention(scorer, caption, picture, layer, cross)
    figures = {"tokens.png": token_figure(pair, words), "regions.png": regions_figure(pair)}
    out.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(out / name, dpi=150)
    return [out / name for name in figures]
