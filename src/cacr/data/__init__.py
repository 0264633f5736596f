"""Captions and pictures: what a set of pairs offers, the embedded world, and folders of one's own."""

from cacr.data.folder import PhotoFolder
from cacr.data.pairs import CaptionSet, Picture
from cacr.data.scorer import Scorer

__all__ = ["CaptionSet", "PhotoFolder", "Picture", "Scorer"]
