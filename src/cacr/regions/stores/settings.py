"""How many regions of a picture count in UNITER's databases, and which folder holds them.

``feat_th0.2_max100_min10`` holds what passes a threshold, ``feat_numbb36`` a fixed number, ``all`` everything; each
may end in ``_compressed``. Numbers by picture stand beside the folders, in ``nbb_th0.2_max100_min10.json`` or in
``nbb.json``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cacr._json import read_object

DATA = "data.mdb"
NAME = re.compile(
    r"(?:feat_th(?P<threshold>[\d.]+)_max(?P<most>\d+)_min(?P<least>\d+)|feat_numbb(?P<fixed>\d+)|all)(?P<compressed>_compressed)?"
)
"""Folders of settings."""


@dataclass(frozen=True)
class Setting:
    """How many of a picture's regions count, as UNITER chooses them. The best come first.

    Args:
        threshold: Regions of a higher confidence count, 0-1; compared in float16, as confidences are stored.
        max_regions: So many at most.
        min_regions: So many at least, even below the threshold.
    """

    threshold: float = 0.2
    max_regions: int = 100
    min_regions: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1 or not 1 <= self.min_regions <= self.max_regions:
            raise ValueError(f"{self}: expected a threshold within 0-1 and 1 <= min_regions <= max_regions")

    def count(self, confidence: np.ndarray) -> int:
        """The number of regions that count."""
        above = int((confidence.astype(np.float16) > np.float16(self.threshold)).sum())
        return min(max(self.min_regions, above), self.max_regions, len(confidence))


def setting_of(folder: str) -> Setting | int | None:
    """What a folder's name says of its regions: a rule, a fixed number, or None for all."""
    match = NAME.fullmatch(folder)
    if match is None or folder.startswith("all"):
        return None
    if match["fixed"]:
        return int(match["fixed"])
    return Setting(float(match["threshold"]), int(match["most"]), int(match["least"]))


def counts_of(
    path: Path, named: Setting | int | None, setting: Setting | None
) -> tuple[dict[str, int] | Setting | int | None, str]:
    """Counts by key, one count, or the rule to count by; and the same in words."""
    if isinstance(named, int):
        return named, f"{named} a picture"
    wanted = named or setting or Setting()
    for file in sorted(path.parent.glob("nbb_th*_max*_min*.json")):
        if setting_of(file.name.removesuffix(".json").replace("nbb_", "feat_", 1)) == wanted:
            return _read_counts(file), f"counted by {file.name}"
    if named is not None:
        return None, "as stored"  # values are already cut
    file = path.parent / "nbb.json"
    if file.exists():
        return _read_counts(file), f"counted by {file.name}"
    return wanted, (
        f"with confidence > {wanted.threshold}, {wanted.min_regions} to {wanted.max_regions} a picture"
    )


def _read_counts(file: Path) -> dict[str, int]:
    counts = read_object(file, "copy it again")
    if not all(type(n) is int and n > 0 for n in counts.values()):
        raise ValueError(f'{file} holds no numbers of regions; expected {{"NAME.npz": 36, …}}')
    return counts


def choose_folder(parent: Path, setting: Setting | None, compressed: bool | None) -> Path | None:
    """The folder of a setting among those in ``parent``; None if none holds a database.

    Args:
        parent: For example ``coco_val2014/``.
        setting: The wanted setting, or None: there must be one only.
        compressed: Which of two folders of the same regions; the plain one, which is faster, if None.

    Raises:
        ValueError: Several settings fit, or none.
    """
    folders = sorted(file.parent for file in parent.glob(f"*/{DATA}"))
    if not folders:
        return None
    fit = [f for f in folders if compressed is None or f.name.endswith("_compressed") == compressed]
    if setting is not None:
        exact = [f for f in fit if setting_of(f.name) == setting]
        fit = exact or [f for f in fit if f.name.removesuffix("_compressed") == "all"]
    plain = {f.name.removesuffix("_compressed"): f for f in reversed(fit)}  # reversed: the plain one stays
    if len(plain) == 1:
        return next(iter(plain.values()))
    names = ", ".join(f.name for f in folders)
    options = "open_features(path, threshold=0.2, max_regions=100, min_regions=10)"
    found = "several databases" if plain else f"no database of {setting or 'this kind'}"
    raise ValueError(
        f"{parent} holds {found}: {names}. Name one, as in {parent / folders[0].name}, or choose: {options}"
    )
