"""Captioned pictures from any file of captions, with features, pixels or both."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cacr.data.entries import Entry
from cacr.data.named_pictures import Folders, Missing, NamedPictures
from cacr.data.pairs import Picture
from cacr.regions import Regions


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
        images: Folders | None = None,
        missing: Missing = "refuse",
        check_images: bool = True,
    ):
        self.source = Path(source)
        own: dict[str, list[str]] = {}
        for image, captions, _ in entries:
            own.setdefault(image, []).extend(captions)
        if not own:
            raise ValueError(f"{self.source} is empty; expected pictures with captions")
        self.named = NamedPictures(own, self.source, features, images, missing, check_images)
        own = {name: own[name] for name in self.named.names}
        self.image_ids: Sequence[str] = list(own)
        """Names of the pictures, in the order of the file."""
        self.captions: Sequence[str] = [caption for captions in own.values() for caption in captions]
        """All sentences, picture by picture."""
        self.image_of_caption: Sequence[int] = [
            i for i, captions in enumerate(own.values()) for _ in captions
        ]
        """For each caption the index of its picture in ``image_ids``."""
        self._own = list(own.values())

    @property
    def region_dim(self) -> int:
        """Numbers per region. Raises ValueError where there are no region features."""
        return self.named.region_dim

    def picture(self, image: int) -> Picture:
        """The picture at an index."""
        return self.named.picture(self.image_ids[image])

    def describes(self, caption: int, image: int) -> bool:
        """Whether the caption was written for the picture; the same sentence elsewhere counts too."""
        return self.captions[caption] in self._own[image]

    def alike(self, image: int) -> Sequence[int]:
        """Nothing is known of likeness between photographs."""
        return ()
