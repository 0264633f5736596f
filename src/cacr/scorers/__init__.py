"""Match scores of captions with pictures, of any family of models behind one protocol."""

from cacr.data import Scorer
from cacr.scorers.uniter import UniterScorer

__all__ = ["Scorer", "UniterScorer"]
