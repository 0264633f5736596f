"""Regions of a picture: features and boxes, and the files that hold them."""

from cacr.regions.regions import Regions
from cacr.regions.stores import FeatureStore, PartWriter, Store, join_parts, open_features, write_features

__all__ = ["FeatureStore", "PartWriter", "Regions", "Store", "join_parts", "open_features", "write_features"]
