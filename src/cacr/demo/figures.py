"""Attention figures of a pair, written to files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cacr.attention import Attended
from cacr.data import Scorer
from cacr.data.pairs import Picture
from cacr.explore import regions_figure, relations_figure, save_figures, token_figure


def draw_pair(
    scorer: Scorer,
    caption: str,
    picture: Picture,
    out: Path,
    layer: int = -1,
    cross: str = "lv",
    words: Sequence[str] | None = None,
    head: int | None = None,
    formats: Sequence[str] = ("png",),
) -> list[Path]:
    """Write tokens, regions (the paper's Figures 4 and 5) and relations of a pair into a folder.

    Args:
        scorer: Of a family whose attention can be looked into.
        caption: A sentence.
        picture: A picture with what the scorer reads.
        out: Made if need be; figures of these names are replaced.
        layer: Encoder layer, from 0; -1 is the last.
        cross: "lv": where words look; "vl": which regions look at a word.
        words: Only these words in the figure of tokens, in this order; all if None.
        head: From 0; None for the mean over heads.
        formats: Of png, pdf, svg.

    Returns:
        The files.

    Raises:
        ValueError: A layer, head, word, cross or format that is not there, or a model that cannot be looked into.
    """
    from cacr.scorers.looking import look

    attended = look(scorer, caption, picture, layers=[layer], heads="mean" if head is None else "each")
    return draw_attended(attended, out, cross=cross, words=words, head=head, formats=formats)


def draw_attended(
    attended: Attended,
    out: Path,
    layer: int = -1,
    cross: str = "lv",
    words: Sequence[str] | None = None,
    head: int | None = None,
    formats: Sequence[str] = ("png",),
) -> list[Path]:
    """The same of attention that is at hand; see `draw_pair`."""
    figures = {
        "tokens": token_figure(attended, words, layer, head, cross),
        "regions": regions_figure(attended, layer, head, cross),
        "relations": relations_figure(attended, layer, head),
    }
    return save_figures(figures, out, formats, overwrite=True)
