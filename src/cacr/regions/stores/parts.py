"""Collecting regions over hours and processes: each part is a whole features file, so that a killed run goes on."""

from __future__ import annotations

import os
import re
from collections.abc import Set
from pathlib import Path
from types import TracebackType

import torch

from cacr._disk import writing
from cacr._files import beside, publish, remove_leftovers
from cacr.regions.regions import Regions
from cacr.regions.stores.file import FeatureStore
from cacr.regions.stores.layout import write_tensors
from cacr.regions.stores.rows import STORED, checked_features, fields_of, streams_of
from cacr.regions.stores.shards import files_in

PART = re.compile(r"part-(\d+)-(\d{5,})\.safetensors")


class PartWriter:
    """Writes regions to ``folder/part-WORKER-NNNNN.safetensors``, a part whenever enough pictures are there.

    Leaving the ``with`` block writes the rest, after an error too: what was added is whole.

    Args:
        folder: Made if it is not there. Several processes may write to one folder, each with its own number.
        worker: The number of the process.
        pictures: Pictures per part; so many are in memory.
        dtype: Type that features are stored in.

    Raises:
        ValueError: A part is broken; it is named.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> one = Regions(torch.zeros(1, 5), torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
        >>> with TemporaryDirectory() as folder:
        ...     with PartWriter(folder) as writer:
        ...         writer.add("a.jpg", one)
        ...     sorted(writer.done), [part.name for part in writer.parts]
        (['a.jpg'], ['part-0-00000.safetensors'])
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        worker: int = 0,
        pictures: int = 256,
        dtype: torch.dtype = torch.float32,
    ):
        if worker < 0 or pictures < 1:
            raise ValueError(
                f"worker {worker} with {pictures} pictures a part; expected 0 or more and 1 or more"
            )
        if dtype not in STORED:
            raise ValueError(f"features cannot be stored as {dtype}; expected {', '.join(map(str, STORED))}")
        self.folder, self.worker, self.pictures, self.dtype = Path(folder), worker, pictures, dtype
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.folder)
        self._waiting: dict[str, Regions] = {}
        self._done = self._ids_in_parts()
        self._width: int | None = None
        self._fields: frozenset[str] = frozenset()

    @property
    def parts(self) -> list[Path]:
        """The whole parts of all workers, by worker and number."""
        matches = ((PART.fullmatch(file.name), file) for file in files_in(self.folder))
        return [file for _, _, file in sorted((int(m[1]), int(m[2]), file) for m, file in matches if m)]

    @property
    def done(self) -> Set[str]:
        """Ids in the whole parts of all workers, as they were when this writer began, and in its own since."""
        return self._done

    def add(self, image_id: str, regions: Regions) -> None:
        """Take a picture's regions; they are on disk after `flush`, or when the part is full.

        Raises:
            ValueError: The picture is there already, its features do not fit the type, or it has other fields or
                another width than the one before.
        """
        if image_id in self._done or image_id in self._waiting:
            raise ValueError(f"picture {image_id} is in {self.folder} already; skip what is in `done`")
        width, fields = regions.features.shape[1], fields_of(regions)
        if self._width is None:
            self._width, self._fields = width, fields
        if width != self._width:
            raise ValueError(
                f"features have {sorted({width, self._width})} numbers per region ({width} in picture {image_id}); "
                "expected one width"
            )
        if fields != self._fields:
            other = ", ".join(sorted(fields ^ self._fields))
            raise ValueError(
                f"picture {image_id} differs from those before in having or lacking {other}; expected all alike"
            )
        try:
            checked_features(regions, self.dtype)
        except ValueError as error:
            raise ValueError(f"picture {image_id}: {error}") from error
        self._waiting[image_id] = regions
        if len(self._waiting) >= self.pictures:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting as a part, if anything is.

        Raises:
            NotWritten: The disk refused it; what is waiting still is.
        """
        if not self._waiting:
            return
        own = (match for match in (PART.fullmatch(part.name) for part in self.parts) if match)
        number = max((int(match[2]) for match in own if int(match[1]) == self.worker), default=-1)
        part = self.folder / f"part-{self.worker}-{number + 1:05d}.safetensors"
        written = beside(part)
        try:
            with writing(part):
                write_tensors(written, *streams_of(self._waiting, self.dtype))
            publish(written, part)
        finally:
            written.unlink(missing_ok=True)
        self._done |= self._waiting.keys()
        self._waiting = {}

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()

    def _ids_in_parts(self) -> set[str]:
        ids: set[str] = set()
        for part in self.parts:
            try:
                ids |= FeatureStore(part).keys()
            except ValueError as error:
                raise ValueError(
                    f"{error}. It is a part: remove it, and its pictures are made again"
                ) from error
        return ids
