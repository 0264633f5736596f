"""Pictures by name: their regions from a store or a detector, their pixels from folders."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from cacr._hub import here
from cacr._messages import shortly, unknown
from cacr.data.entries import inside
from cacr.data.matching import NameIndex, same_photograph
from cacr.data.pairs import Picture
from cacr.data.pictures import PictureFolder
from cacr.regions import Regions, open_features

logger = logging.getLogger(__name__)
Missing = Literal["refuse", "skip"]
Folders = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class NamedPictures:
    """The pictures that a file of captions or a benchmark names. Opening reads names only.

    Args:
        names: The pictures' names.
        source: The file or folder that names them, for messages.
        features: Region features: a path for `open_features`, an open store, or None.
        images: The folder of the pictures, several of them, or None. The first that has a picture gives it.
        missing: What to do where pictures have no features or no file: "refuse", or "skip": leave them out of
            ``names`` and log how many.
        check_images: Whether a picture without a file is missing, or only without pixels.
        detect: Regions of pixels, where there is no store: what a detector finds, when a picture is asked for.

    Raises:
        FileNotFoundError: Pictures or features are missing; how many and which is said once.
        ValueError: Two pictures that mean the same features or file.
    """

    def __init__(
        self,
        names: Iterable[str],
        source: str | os.PathLike[str],
        features: str | os.PathLike[str] | Mapping[str, Regions] | None = None,
        images: Folders | None = None,
        missing: Missing = "refuse",
        check_images: bool = True,
        detect: Callable[[Image.Image], Regions] | None = None,
    ):
        if missing not in ("refuse", "skip"):
            raise ValueError(unknown("choice for missing pictures", missing, ["refuse", "skip"]))
        self.source, self.detect, self._missing = Path(source), detect, missing
        self.names = list(dict.fromkeys(names))
        out = next((name for name in self.names if not inside(name)), None)
        if out is not None:
            raise ValueError(
                f"{self.source} names the picture {shortly(out)}, which lies outside of every folder; give a path "
                "inside the folder of pictures"
            )
        self.store: Any = features
        if features is not None and not isinstance(features, Mapping):
            self.store = open_features(features)
        given = [images] if isinstance(images, str | os.PathLike) else images or []
        self._folders = [PictureFolder(here(folder), self.names) for folder in given]
        self._folder_of: dict[str, PictureFolder] = {}
        if self._folders and check_images:
            self._find_images()
        self._keys: Mapping[str, str] = {}
        if self.store is not None:
            self._find_features()

    def _find_images(self) -> None:
        for folder in self._folders:
            left = [name for name in self.names if name not in self._folder_of]
            found = self._found(left, folder.files, "picture file", folder.folder)
            self._folder_of |= dict.fromkeys(found, folder)
        where = ", ".join(str(folder.folder) for folder in self._folders)
        cure = "Give the folder that holds them: --images FOLDER (images=)"
        self._without(self._folder_of, f"no picture files in {where}", cure)

    def _find_features(self) -> None:
        self._keys = self._found(self.names, NameIndex(self.store), "features", self.store.path)
        cure = (
            f"{self.store.path} knows {len(self.store)} pictures, e.g. {next(iter(self.store), 'none')}. Make "
            "them with `cacr features FOLDER -o features.safetensors`"
        )
        self._without(self._keys, "no region features", cure)

    def _found(self, names: Iterable[str], index: NameIndex, what: str, where: Path) -> Mapping[str, str]:
        """Picture -> what it means in a store. Raises ValueError where two pictures mean the same."""
        owners: dict[str, str] = {}
        found: dict[str, str] = {}
        for name in names:
            key = index.find(name)
            if key is None:
                continue
            found[name] = key
            if owners.setdefault(key, name) != name and not same_photograph(owners[key], name):
                raise ValueError(
                    f"the pictures {owners[key]} and {name} both mean the {what} named {key!r} in {where}; name "
                    f"the {what} by the pictures' whole paths"
                )
        return found

    def _without(self, found: Mapping[str, object], what: str, cure: str) -> None:
        """Refuse, or take out of ``names``, the pictures that were not found."""
        lost = [name for name in self.names if name not in found]
        if not lost:
            return
        count = f"{len(lost)} of {len(self.names)}"
        said = f"{what} for {count} pictures of {self.source}. First missing: {lost[0]}. {cure}"
        if self._missing == "refuse":
            raise FileNotFoundError(f'{said}, or leave such pictures out: --missing skip (missing="skip")')
        if len(lost) == len(self.names):
            raise FileNotFoundError(f"{said}. With them left out, nothing is left")
        logger.warning(
            "left out %d of %d pictures of %s: %s (first: %s)",
            len(lost),
            len(self.names),
            self.source,
            what,
            lost[0],
        )
        self.names = [name for name in self.names if name in found]

    @property
    def region_dim(self) -> int:
        """Numbers per region. Raises ValueError where there are no region features."""
        if self.store is None:
            raise ValueError(
                f"no region features for the pictures of {self.source}, and this model needs them; make them with "
                "`cacr features FOLDER -o features.safetensors`, and give that file (features)"
            )
        return int(self.store.width)

    def picture(self, name: str) -> Picture:
        """The picture of a name; regions and pixels are read when they are asked for."""
        read_image: Callable[[], Image.Image] | None = None
        read_regions: Callable[[], Regions] | None = None
        if self._folders:
            folder = self._folder_of.get(name, self._folders[0])
            read_image = lambda: folder.image(name)
        if self.store is not None:
            read_regions = lambda: self.store[self._keys[name]]
        elif self.detect is not None and read_image is not None:
            detect, read = self.detect, read_image
            read_regions = lambda: detect(read())
        return Picture(name, read_regions, read_image)
