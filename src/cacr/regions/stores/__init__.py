"""Files and folders that hold region features, as mappings from image id to `Regions`."""

from cacr.regions.stores.file import FeatureStore
from cacr.regions.stores.joining import join_parts
from cacr.regions.stores.opening import open_features
from cacr.regions.stores.parts import PartWriter
from cacr.regions.stores.store import Store
from cacr.regions.stores.writing import write_features

__all__ = ["FeatureStore", "PartWriter", "Store", "join_parts", "open_features", "write_features"]
