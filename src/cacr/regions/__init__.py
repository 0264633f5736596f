"""Regions of a picture: features and boxes, and the files that hold them."""

from cacr.regions.regions import Regions
from cacr.regions.store import FeatureStore, open_features, write_features

__all__ = ["FeatureStore", "Regions", "open_features", "write_features"]
