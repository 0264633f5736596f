"""Settings of the bottom-up-attention detector; its widths and depths are read off the weights."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from cacr._messages import shortly

_FIELDS = {
    "short_side": ("INPUT", "MIN_SIZE_TEST"),
    "long_side": ("INPUT", "MAX_SIZE_TEST"),
    "mean_bgr": ("MODEL", "PIXEL_MEAN"),
    "std_bgr": ("MODEL", "PIXEL_STD"),
    "anchor_offset": ("ANCHOR_GENERATOR", "OFFSET"),
    "proposal_weights": ("RPN", "BBOX_REG_WEIGHTS"),
    "proposal_nms": ("RPN", "NMS_THRESH"),
    "candidates": ("RPN", "PRE_NMS_TOPK_TEST"),
    "proposals": ("RPN", "POST_NMS_TOPK_TEST"),
    "smallest_side": ("PROPOSAL_GENERATOR", "MIN_SIZE"),
    "box_weights": ("ROI_BOX_HEAD", "BBOX_REG_WEIGHTS"),
    "pooled": ("ROI_BOX_HEAD", "POOLER_RESOLUTION"),
    "thresholds": ("ROI_HEADS", "NMS_THRESH_TEST"),
    "min_regions": ("MIN_DETECTIONS",),
    "max_regions": ("MAX_DETECTIONS",),
}
_FIXED = {
    ("INPUT", "FORMAT"): "BGR",
    ("MODEL", "MAX_POOL"): True,
    ("RESNETS", "STRIDE_IN_1X1"): True,
    ("RESNETS", "NUM_GROUPS"): 1,
    ("ROI_BOX_HEAD", "RES5HALVE"): False,
    ("ROI_BOX_HEAD", "CLS_AGNOSTIC_BBOX_REG"): False,
}
"""What the network is built for; a configuration that says otherwise belongs to another one."""
_LARGEST = {
    "short_side": 10_000,
    "long_side": 10_000,
    "candidates": 1_000_000,
    "proposals": 100_000,
    "pooled": 100,
    "min_regions": 10_000,
    "max_regions": 10_000,
}
"""Bounds of whole numbers: what is larger costs memory and is no detector's."""
_COUNTS = {"mean_bgr": (1, 3), "std_bgr": (1, 3), "proposal_weights": (4,), "box_weights": (4,)}
"""How many numbers there may be."""
_MAX_BYTES, _MAX_BRACKETS = 1 << 15, 300
"""Bytes and brackets of a configuration file; the public one has 5,000. What is nested deeply takes YAML very long."""


@dataclass(frozen=True)
class DetectorConfig:
    """How pictures are prepared and regions chosen. Defaults: the public checkpoint's, as far as they are known.

    Args:
        short_side: Pixels that the short side of a picture is scaled to.
        long_side: Most pixels of the long side.
        mean_bgr: Subtracted from the blue, green and red of a pixel, 0-255.
        std_bgr: What is left is divided by it: 1 for the public checkpoint.
        anchor_offset: Place of an anchor's center in its cell, 0-1.
        proposal_weights: The proposals' shifts in x and y and growth in width and height are divided by these.
        proposal_nms: Proposals that overlap a better one by more (IoU) are dropped.
        candidates: Best anchors looked at per picture.
        proposals: Most proposals per picture.
        smallest_side: Proposals with a side of at most this many pixels are dropped.
        box_weights: The same of the boxes of classes.
        pooled: Cells along a side of a pooled region.
        thresholds: IoUs tried in turn, until at least ``min_regions`` are left.
        min_regions: Regions per picture wanted at least.
        max_regions: Most regions per picture, the most confident first.

    Source: transformers' research project lxmert, modeling_frcnn.py, by its names; airsplay/py-bottom-up-attention.
    """

    short_side: int = 800
    long_side: int = 1333
    mean_bgr: tuple[float, ...] = (102.9801, 115.9465, 122.7717)
    std_bgr: tuple[float, ...] = (1.0, 1.0, 1.0)
    anchor_offset: float = 0.0
    proposal_weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    proposal_nms: float = 0.7
    candidates: int = 6_000
    proposals: int = 300
    smallest_side: float = 0.0
    box_weights: tuple[float, ...] = (10.0, 10.0, 5.0, 5.0)
    pooled: int = 14
    thresholds: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9)
    min_regions: int = 36
    max_regions: int = 36

    def __post_init__(self) -> None:
        for name, largest in _LARGEST.items():
            if not 1 <= getattr(self, name) <= largest:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 1 to {largest}")
        for name, counts in _COUNTS.items():
            values = getattr(self, name)
            if len(values) not in counts or not all(map(isfinite, values)):
                raise ValueError(f"{name} is {values}; expected {counts[-1]} finite numbers")
        if 0 in self.std_bgr or not all(
            isfinite(x) for x in (self.anchor_offset, self.proposal_nms, self.smallest_side)
        ):
            raise ValueError(
                f"std_bgr is {self.std_bgr}, anchor_offset {self.anchor_offset}, proposal_nms {self.proposal_nms}, "
                f"smallest_side {self.smallest_side}; expected finite numbers, and no std_bgr of 0"
            )
        if self.min_regions > self.max_regions:
            raise ValueError(
                f"min_regions is {self.min_regions} and max_regions {self.max_regions}; expected no more at least than "
                "at most"
            )
        if not self.thresholds or not all(0 < threshold <= 1 for threshold in self.thresholds):
            raise ValueError(f"thresholds are {self.thresholds}; expected IoUs, above 0 and at most 1")

    @classmethod
    def from_original(cls, config: str | os.PathLike[str] | Mapping[str, Any]) -> DetectorConfig:
        """The settings in an original config file, .json or .yaml, or in its mapping. What it leaves out is ours.

        Raises:
            ValueError: It is unreadable, or of a network that is built otherwise (e.g. RGB input).
        """
        where = "the configuration" if isinstance(config, Mapping) else str(config)
        values = config if isinstance(config, Mapping) else _read(Path(config))
        kinds = cls.__dataclass_fields__
        try:
            for path, built in _FIXED.items():
                given = _at(values, path)
                if given is not None and given != built:
                    raise ValueError(
                        f"{where}: {'.'.join(path)} is {shortly(given)}; this detector is built for {built!r}"
                    )
            found = {name: _at(values, path) for name, path in _FIELDS.items()}
            return cls(
                **{
                    name: _as(str(kinds[name].type), value, f"{where}: {'.'.join(_FIELDS[name])}")
                    for name, value in found.items()
                    if value is not None
                }
            )
        except ValueError as error:
            raise ValueError(str(error) if where in str(error) else f"{where}: {error}") from error


def _as(kind: str, value: Any, where: str) -> Any:
    try:
        if kind.startswith("tuple"):
            return tuple(float(x) for x in (value if isinstance(value, list | tuple) else [value]))
        return int(value) if kind == "int" else float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{where} is {shortly(value)}; expected {kind}") from error


def _at(values: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def _read(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(
            f"no configuration at {path}; expected the config.yaml or config.json of the detector"
        )
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"{path} has more than {_MAX_BYTES} bytes; expected a configuration")
    try:
        text = path.read_text(encoding="utf-8")
        if text.count("[") + text.count("{") > _MAX_BRACKETS:
            raise ValueError("more lists and mappings than one has")
        values = json.loads(text) if path.suffix == ".json" else _from_yaml(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not readable as a configuration: {error}") from error
    if not isinstance(values, Mapping):
        raise ValueError(f"{path} holds {type(values).__name__}; expected names and values")
    return values


def _from_yaml(text: str) -> Any:
    """Plain values of a YAML text. Mappings that are merged into others are refused: they double at each step."""
    import yaml

    class Loader(yaml.SafeLoader):
        def flatten_mapping(self, node: Any) -> None:
            if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
                raise ValueError("mappings are merged into others (<<)")

    try:
        return yaml.load(text, Loader)
    except (yaml.YAMLError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"it is not YAML ({error})") from error
