"""See attention: the paper's figures for any pair, and plots of scores and training."""

from cacr.explore.figures import PairAttention, regions_figure, token_figure
from cacr.explore.plots import curves_plot, scores_plot

__all__ = ["PairAttention", "curves_plot", "regions_figure", "scores_plot", "token_figure"]
