"""Captioned pictures from any file of captions, with features, pixels or both."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from cacr._messages import unknown
from cacr.data.entries import Entry
from cacr.data.matching import NameIndex
from cacr.data.pairs import Picture
from cacr.data.pictures import PictureFolder
from cacr.regions import Regions, open_features

logger = logging.getLogger(__name__)
Missing = Literal["refuse", "skip"]


class CaptionedPictures:
    """Pictures with captions, as a `CaptionSet`. Opening reads names only; a picture is read when it is asked for.

    Args:
        entries: What the file of captions says, see `open_captions`.
        source: The file or folder of the captions, for messages.
        features: Region features: a path for `open_features`, an open store, or None.
        images: The folder of the pictures, or None.
        missing: What to do where pictures have no features or no file: "refuse", or "skip": leave them out and
            log how many.
        check_images: Whether a picture without a file is missing, or only without pixels.

    Raises:
        FileNotFoundError: Pictures or features are missing; how many and which is said once.
        ValueError: No entries, or two pictures that mean the same features or file.
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        source: str | os.PathLike[str],
        features: str | os.PathLike[str] | Mapping[str, Regions] | None = None,
        images: str | os.PathLike[str] | None = None,
        missing: Missing = "refuse",
        check_images: bool = True,
    ):
        if missing not in ("refuse", "skip"):
            raise ValueError(unknown("choice for missing pictures", missing, ["refuse", "skip"]))
        self.source = Path(source)
        own: dict[str, list[str]] = {}
        for image, captions, _ in entries:
            own.setdefault(image, []).extend(captions)
        if not own:
            raise ValueError(f"{self.source} is empty; expected pictures with captions")
        self.store: Any = features
        if features is not None and not isinstance(features, Mapping):
            self.store = open_features(features)
        self.images = None if images is None else PictureFolder(Path(images), own)
        if self.images is not None and check_images:
            found = self._found(own, self.images.files, "picture file", self.images.folder)
            cure = "Give the folder that holds them (images)"
            self._without(own, found, f"no picture files in {self.images.folder}", cure, missing)
        self._keys: Mapping[str, str] = {}
        if self.store is not None:
            self._keys = self._found(own, NameIndex(self.store), "features", self.store.path)
            cure = (
                f"{self.store.path} knows {len(self.store)} pictures, e.g. {next(iter(self.store), 'none')}. Make "
                "them with `cacr features FOLDER -o features.safetensors`"
            )
            self._without(own, self._keys, "no region features", cure, missing)
        self.image_ids: Sequence[str] = list(own)
        self.captions: Sequence[str] = [caption for captions in own.values() for caption in captions]
        self.image_of_caption: Sequence[int] = [
            i for i, captions in enumerate(own.values()) for _ in captions
        ]
        self._own = list(own.values())

    def _found(self, names: Iterable[str], index: NameIndex, what: str, where: Path) -> Mapping[str, str]:
        """Picture -> what it means in a store. Raises ValueError where two pictures mean the same."""
        owners: dict[str, str] = {}
        for name in names:
            key = index.find(name)
            if key is not None and owners.setdefault(key, name) != name:
                raise ValueError(
                    f"the pictures {owners[key]} and {name} both mean the {what} named {key!r} in {where}; name "
                    f"the {what} by the pictures' whole paths"
                )
        return {name: key for key, name in owners.items()}

    def _without(
        self, own: dict[str, list[str]], found: Mapping[str, str], what: str, cure: str, missing: Missing
    ) -> None:
        """Refuse, or take out of ``own``, the pictures that were not found."""
        lost = [name for name in own if name not in found]
        if not lost:
            return
        said = f"{what} for {len(lost)} of {len(own)} pictures of {self.source}. First missing: {lost[0]}. {cure}"
        if missing == "refuse":
            raise FileNotFoundError(f'{said}, or leave such pictures out (missing="skip")')
        if len(lost) == len(own):
            raise FileNotFoundError(f"{said}. With them left out, nothing is left")
        logger.warning(
            "left out %d of %d pictures of %s: %s (first: %s)",
            len(lost),
            len(own),
            self.source,
            what,
            lost[0],
        )
        for name in lost:
            del own[name]

    @property
    def region_dim(self) -> int:
        """Numbers per region. Raises ValueError where there are no region features."""
        if self.store is None:
            raise ValueError(
                f"no region features for the pictures of {self.source}, and this model needs them; make them with "
                "`cacr features FOLDER -o features.safetensors`, and give that file (features)"
            )
        return int(self.store.width)

    def picture(self, image: int) -> Picture:
        """The picture at an index."""
        name = self.image_ids[image]
        read_regions: Callable[[], Regions] | None = None
        if self.store is not None:
            read_regions = lambda: self.store[self._keys[name]]
        images = self.images
        return Picture(name, read_regions, None if images is None else lambda: images.image(name))

    def describes(self, caption: int, image: int) -> bool:
        """Whether the caption was written for the picture; the same sentence elsewhere counts too."""
        return self.captions[caption] in self._own[image]

    def alike(self, image: int) -> Sequence[int]:
        """Nothing is known of likeness between photographs."""
        return ()
