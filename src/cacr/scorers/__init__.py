"""Match scores of captions with pictures, of any family of models behind one protocol."""

from cacr.data import Scorer
from cacr.scorers.encoded import EncodedScorer, UniqueScorer
from cacr.scorers.regions import RegionScorer

__all__ = ["EncodedScorer", "RegionScorer", "Scorer", "UniqueScorer"]
