"""Models that were trained to tell whether a caption fits a picture, one file a family."""

from cacr.scorers.match_heads.blip import BlipScorer
from cacr.scorers.match_heads.blip2 import Blip2Scorer
from cacr.scorers.match_heads.bridgetower import BridgeTowerScorer
from cacr.scorers.match_heads.flava import FlavaScorer
from cacr.scorers.match_heads.lxmert import LxmertScorer
from cacr.scorers.match_heads.vilt import ViltScorer
from cacr.scorers.match_heads.visual_bert import VisualBertScorer

__all__ = [
    "Blip2Scorer",
    "BlipScorer",
    "BridgeTowerScorer",
    "FlavaScorer",
    "LxmertScorer",
    "ViltScorer",
    "VisualBertScorer",
]
