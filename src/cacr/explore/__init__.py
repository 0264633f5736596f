"""See attention: the paper's figures for any pair, relation maps, and plots of scores and training."""

from cacr.explore.curves import curves_plot
from cacr.explore.figures import token_figure
from cacr.explore.matrices import relations_figure
from cacr.explore.of_pair import pair_figures
from cacr.explore.plots import estimates_plot, scores_plot
from cacr.explore.region_labels import regions_figure
from cacr.explore.saving import save_figure, save_figures

__all__ = [
    "curves_plot",
    "estimates_plot",
    "pair_figures",
    "regions_figure",
    "relations_figure",
    "save_figure",
    "save_figures",
    "scores_plot",
    "token_figure",
]
