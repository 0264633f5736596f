"""Captions and pictures: what a set of pairs offers, the published caption sets, tables of one's own, scenes."""

from cacr.data.captioned import CaptionedPictures
from cacr.data.named_pictures import NamedPictures
from cacr.data.opening import open_captions
from cacr.data.pairs import Answered, CaptionSet, Picture
from cacr.data.scorer import Scorer, match_grid

__all__ = [
    "Answered",
    "CaptionSet",
    "CaptionedPictures",
    "NamedPictures",
    "Picture",
    "Scorer",
    "match_grid",
    "open_captions",
]
