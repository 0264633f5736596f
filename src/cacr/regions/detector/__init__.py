"""Detectors that propose the regions of a picture: bottom-up attention in plain torch, and any of transformers'."""

from cacr.regions.detector.bottom_up import BottomUpDetector, attribute_names, object_names
from cacr.regions.detector.configuration import DetectorConfig
from cacr.regions.detector.opening import open_detector
from cacr.regions.detector.stand_in import TransformersDetector

__all__ = [
    "BottomUpDetector",
    "DetectorConfig",
    "TransformersDetector",
    "attribute_names",
    "object_names",
    "open_detector",
]
