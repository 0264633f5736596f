"""A folder of one's own photographs: pictures, captions and one features file. The layout is in docs/data.md.

my-photos/captions.jsonl            {"image": "a.jpg", "captions": ["a dog runs", "a brown dog"]}   a line each
my-photos/features.safetensors      region features by image id ("a.jpg" or "a")
my-photos/a.jpg …                   the pictures; needed for figures only
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cacr.data.pairs import Picture, open_image
from cacr.regions import open_features

CAPTIONS, FEATURES = "captions.jsonl", "features.safetensors"


class PhotoFolder:
    """Photographs with captions and region features, as a `CaptionSet`.

    Args:
        folder: The folder.
        features: The features file or folder of npz; ``features.safetensors`` in the folder if None.
        split: Only lines whose ``split`` is this one; all if None.

    Raises:
        FileNotFoundError: The folder, the captions or the features are missing, or pictures lack features.
        ValueError: A line of the captions is broken; it is named by file and line.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        features: str | os.PathLike[str] | None = None,
        split: str | None = None,
    ):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise FileNotFoundError(
                f"no folder {self.folder}; expected one with {CAPTIONS} in it (see docs/data.md)"
            )
        lines = read_captions(self.folder / CAPTIONS)
        if split is not None:
            splits = sorted({str(line.get("split")) for line in lines})
            lines = [line for line in lines if line.get("split") == split]
            if not lines:
                raise ValueError(
                    f"{self.folder / CAPTIONS} has no line with split {split!r}; its splits are: {', '.join(splits)}"
                )
        names: dict[str, list[str]] = {}
        for line in lines:
            names.setdefault(line["image"], []).extend(line["captions"])
        self.image_ids: Sequence[str] = list(names)
        self.captions: Sequence[str] = [caption for captions in names.values() for caption in captions]
        self.image_of_caption: Sequence[int] = [
            i for i, captions in enumerate(names.values()) for _ in captions
        ]
        self._own = [set(captions) for captions in names.values()]
        self.store = open_features(features or self.folder / FEATURES)
        self._keys = [_key(self.store, image_id) for image_id in self.image_ids]
        owners: dict[str | None, str] = {}
        for image_id, key in zip(self.image_ids, self._keys, strict=True):
            if key is not None and owners.setdefault(key, image_id) != image_id:
                raise ValueError(
                    f"the pictures {owners[key]} and {image_id} both mean the features named {key!r} in "
                    f"{self.store.path}; name the features by the pictures' whole paths"
                )
        lost = [image_id for image_id, key in zip(self.image_ids, self._keys, strict=True) if key is None]
        if lost:
            raise FileNotFoundError(
                f"no region features for {len(lost)} of {len(self.image_ids)} pictures of {self.folder}. First "
                f"missing: {lost[0]}. {self.store.path} knows {len(self.store)} pictures, e.g. {next(iter(self.store))}"
            )

    @property
    def region_dim(self) -> int:
        """Numbers per region."""
        return self.store.width

    def picture(self, image: int) -> Picture:
        """The picture at an index."""
        name, key = self.image_ids[image], self._keys[image]
        return Picture(name, lambda: self.store[key], lambda: open_image(self.folder / name))  # type: ignore[index]

    def describes(self, caption: int, image: int) -> bool:
        """Whether the caption was written for the picture; the same sentence elsewhere counts too."""
        return self.captions[caption] in self._own[image]

    def alike(self, image: int) -> Sequence[int]:
        """Nothing is known of likeness between photographs."""
        return ()


def read_captions(path: Path) -> list[dict[str, Any]]:
    """Lines of a captions file, checked; a broken one is named by its number."""
    if not path.is_file():
        raise FileNotFoundError(
            f"no captions at {path}; expected a line of JSON per picture: "
            '{"image": "a.jpg", "captions": ["a dog runs"]}'
        )
    lines = []
    for number, text in enumerate(path.read_bytes().splitlines(), start=1):
        if not text.strip():
            continue
        where = f"{path}, line {number}"
        try:
            line = json.loads(text)
        except ValueError as error:
            raise ValueError(
                f'{where} is not JSON ({error}); expected {{"image": …, "captions": […]}}'
            ) from error
        lines.append(_checked(line, where))
    if not lines:
        raise ValueError(f"{path} is empty; expected a line of JSON per picture")
    return lines


def _checked(line: Any, where: str) -> dict[str, Any]:
    if not isinstance(line, dict) or not isinstance(line.get("image"), str):
        raise ValueError(f'{where} names no picture; expected {{"image": "a.jpg", "captions": ["…"]}}')
    captions = line.get("captions", line.get("caption"))
    captions = [captions] if isinstance(captions, str) else captions
    if (
        not isinstance(captions, list)
        or not captions
        or not all(isinstance(c, str) and c.strip() for c in captions)
    ):
        raise ValueError(
            f'{where} has no captions for {line["image"]}; expected "captions": a list of sentences'
        )
    name = Path(line["image"])
    if name.is_absolute() or ".." in name.parts:
        raise ValueError(
            f"{where}: the picture {line['image']!r} lies outside of the folder; give a path inside it"
        )
    return line | {"captions": captions}


def _key(store: Any, image_id: str) -> str | None:
    for key in (image_id, Path(image_id).stem, Path(image_id).name):
        if key in store:
            return key
    return None
