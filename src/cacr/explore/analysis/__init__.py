"""Is attention aligned, and what do the regularizers ask of it? Measures of pairs, and what follows over pairs."""

from cacr.explore.analysis.alignment import alignment, argmax_entropy
from cacr.explore.analysis.correlations import soft_score
from cacr.explore.analysis.intervals import Interval
from cacr.explore.analysis.measures import MEASURES, Measure
from cacr.explore.analysis.pairs import Measured, measure
from cacr.explore.analysis.summary import Subject, summarize
from cacr.explore.analysis.writing import check_new, write_analysis

__all__ = [
    "MEASURES",
    "Interval",
    "Measure",
    "Measured",
    "Subject",
    "alignment",
    "argmax_entropy",
    "check_new",
    "measure",
    "soft_score",
    "summarize",
    "write_analysis",
]
