"""Match scores of captions with pictures, of any family of models behind one protocol."""

from cacr.data import Scorer
from cacr.scorers.controls import ConstantScorer, RandomScorer
from cacr.scorers.encoded import EncodedScorer, UniqueScorer
from cacr.scorers.opening import open_scorer, scores_of
from cacr.scorers.regions import RegionScorer

__all__ = [
    "ConstantScorer",
    "EncodedScorer",
    "RandomScorer",
    "RegionScorer",
    "Scorer",
    "UniqueScorer",
    "open_scorer",
    "scores_of",
]
