"""Models that write: VQAScore, the likelihood of a caption, and what a language model says without the picture."""

from cacr.scorers.generative.likelihood import LikelihoodScorer
from cacr.scorers.generative.text_only import TextOnlyScorer
from cacr.scorers.generative.vqascore import VQAScorer

__all__ = ["LikelihoodScorer", "TextOnlyScorer", "VQAScorer"]
