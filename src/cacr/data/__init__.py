"""Captions and pictures: what a set of pairs offers, the published caption sets, tables of one's own, scenes."""

from cacr.data.captioned import CaptionedPictures
from cacr.data.opening import open_captions
from cacr.data.pairs import CaptionSet, Picture
from cacr.data.scorer import Scorer

__all__ = ["CaptionSet", "CaptionedPictures", "Picture", "Scorer", "open_captions"]
