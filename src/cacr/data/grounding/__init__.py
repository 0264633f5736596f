"""Which words of a caption mean which regions of a picture, where people or the embedded world have said so."""

from cacr.data.grounding.entities import open_entities
from cacr.data.grounding.grounded import RULES, Grounded, Phrase, overlap, truth
from cacr.data.grounding.scenes import grounded_scenes

__all__ = ["RULES", "Grounded", "Phrase", "grounded_scenes", "open_entities", "overlap", "truth"]
