"""The figures of one pair that a report or a paper shows together."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from cacr.attention import Attended
from cacr.explore.figures import token_figure
from cacr.explore.matrices import relations_figure
from cacr.explore.region_labels import regions_figure


def pair_figures(attended: Attended, words: Sequence[str] | None = None) -> dict[str, Figure]:
    """Figures of the last layer that is there, mean over heads: "tokens", "regions" and "relations".

    Args:
        attended: The pair.
        words: Only these words in the figure of tokens, in this order; all if None.

    Raises:
        ValueError: A word that the caption does not have.
    """
    return {
        "tokens": token_figure(attended, words),
        "regions": regions_figure(attended),
        "relations": relations_figure(attended),
    }
