"""What every store of region features is: a mapping from image id to `Regions` that knows its path and width."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cacr.regions.regions import Regions

NPZ = ".npz"


class UnknownPicture(KeyError):
    """A picture that a store does not hold. A `KeyError`, so that mappings behave, that prints as a sentence."""

    def __str__(self) -> str:
        return str(self.args[0])


class Store(Mapping[str, Regions]):
    """Regions by image id, read when asked for.

    An id is found with and without the ending ``.npz``, since databases name pictures after the files they came from.
    A kind of store keeps its ids in ``_places`` (id -> where its regions lie) and reads one picture in ``_read``.
    """

    kind: str
    """What the store is, in words."""
    path: Path
    """The file or folder."""
    _places: Mapping[str, Any]

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers per region."""

    @abstractmethod
    def _read(self, image_id: str) -> Regions:
        """Regions of a picture that is there; a ValueError says what is wrong with them, not where they are."""

    def describe(self) -> str:
        """Kind, number of pictures and width, in one line."""
        return f"{self.kind}: {len(self)} pictures, {self.width} numbers per region"

    def __getitem__(self, image_id: str) -> Regions:
        own = self._own_id(image_id)
        if own is None:
            example = next(iter(self), None)
            raise UnknownPicture(
                f"{self.path} has no picture {image_id!r}; it holds {len(self)}, e.g. {example!r}"
            )
        try:
            return self._read(own)
        except (ValueError, OSError) as error:
            raise ValueError(f"{self.path}, picture {own}: {error}") from error

    def __contains__(self, image_id: object) -> bool:
        return self._own_id(image_id) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def _own_id(self, image_id: object) -> str | None:
        if not isinstance(image_id, str):
            return None
        if image_id in self._places:
            return image_id
        other = image_id.removesuffix(NPZ) if image_id.endswith(NPZ) else image_id + NPZ
        return other if other in self._places else None
