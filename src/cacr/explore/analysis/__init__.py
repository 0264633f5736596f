"""Is attention aligned, and what do the regularizers ask of it? Measures of pairs, and what follows over pairs."""

from cacr.explore.analysis.alignment import alignment, argmax_entropy
from cacr.explore.analysis.correlations import soft_score
from cacr.explore.analysis.measures import MEASURES, Measure
from cacr.explore.analysis.pairs import Measured, measure
from cacr.explore.analysis.subject import Subject
from cacr.explore.analysis.summary import summarize
from cacr.explore.analysis.writing import check_new, write_analysis

__all__ = [
    "MEASURES",
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
