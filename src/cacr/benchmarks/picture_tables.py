"""Hub tables with their pictures inside: Parquet files of text columns and columns of encoded pictures.

    test-00000-of-00002.parquet    caption (text), image {bytes, path}, …    as the package datasets writes them

Opening reads the text. A picture is read when it is asked for, with its row group; the two latest row groups are kept
(the package datasets writes 100 rows in each), so that pictures that are asked for in the order of the table are read
once, and never are all of them in memory. Needs pyarrow, the extra "data".
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from PIL import Image

from cacr._messages import unknown
from cacr.benchmarks.benchmark import Options
from cacr.data import Picture
from cacr.data.parquet import batches, open_parquet
from cacr.data.parquet_pages import Chunk, chunks
from cacr.regions.picture_files import rgb_of

DOWNLOAD = "download it again"
KEPT = 2
"""Row groups that are kept in memory."""
SHARD = re.compile(r"(.+?)-(\d{5})-of-(\d{5})(-[0-9a-f]+)?")
"""The name of one of several files of a part."""
DEPTHS = ("*.parquet", "data/*.parquet", "*/*.parquet", "*/*/*.parquet")
"""Where a copy of a hub repository has its tables; ``default/test/0000.parquet`` is what the hub itself converts."""


class PictureTable:
    """The rows of Parquet files: text at once, pictures when asked for.

    Args:
        files: The files, in order.
        text: Columns of text or numbers that must be there.
        pictures: Columns of pictures: structs of bytes and path, or plain bytes.
        optional: Columns of text that may be there; None in every row where they are not.

    Raises:
        ImportError: pyarrow is not installed.
        ValueError: A file is no Parquet file, or lacks a column; both are named.
    """

    def __init__(
        self,
        files: Sequence[Path],
        text: Sequence[str],
        pictures: Sequence[str],
        optional: Sequence[str] = (),
    ):
        self.files = list(files)
        self.rows: list[dict[str, Any]] = []
        """The text columns of each row."""
        self._columns = tuple(pictures)
        self._groups: list[tuple[int, Path, int]] = []  # first row, file, row group
        self._first: dict[Path, int] = {}
        self._held: dict[Path, list[list[Chunk]]] = {}
        self._stored: list[dict[str, str | None]] = []
        self._kept: OrderedDict[int, Any] = OrderedDict()
        for file in self.files:
            self._first[file] = len(self.rows)
            with open_parquet(file, DOWNLOAD) as opened:
                wanted = [*text, *(name for name in optional if name in opened.schema_arrow.names)]
                paths = _check_columns(file, opened.schema_arrow, text, pictures)
                held = self._held[file] = chunks(file)
                found = batches(opened, file, [*wanted, *paths], held=held)
                for group, some in groupby(found, itemgetter(0)):
                    self._groups.append((len(self.rows), file, group))
                    for row in (row for _, batch in some for row in batch.to_pylist()):
                        stored = {name: row.pop(name, None) or {} for name in pictures}
                        self._stored.append({name: stored[name].get("path") for name in pictures})
                        self.rows.append(dict.fromkeys(optional) | row)

    def where(self, row: int) -> str:
        """A row's file and number in it, from 1, for messages."""
        file = self._group_of(row)[1]
        return f"{file}, row {row - self._first[file] + 1}"

    def stored_name(self, row: int, column: str) -> str | None:
        """The file name that was stored with a picture, if any."""
        path = self._stored[row][column]
        return re.split(r"[/\\]", path)[-1] if path else None

    def encoded(self, row: int, column: str) -> bytes:
        """A picture as stored. Raises ValueError, naming row and file, where there is none."""
        start, file, group = self._group_of(row)
        if start not in self._kept:
            with open_parquet(file, DOWNLOAD) as opened:
                some = batches(opened, file, self._columns, group, self._held[file])
                self._kept[start] = _table(batch for _, batch in some)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(start)
        kept, place = self._kept[start], row - start
        there = kept is not None and place < kept.num_rows  # a broken group has fewer pictures than texts
        found = kept.column(column)[place].as_py() if there else None
        data = found.get("bytes") if isinstance(found, dict) else found
        if not data:
            raise ValueError(
                f"{self.where(row)} has no picture inside its column {column}; download the table from the hub again"
            )
        return data

    def image(self, row: int, column: str) -> Image.Image:
        """A picture's pixels, RGB, as stored (an orientation noted in EXIF is not applied).

        Raises:
            ValueError: It is broken, or unpacks to more pixels than Pillow's limit; row and file are named.
        """
        data = self.encoded(row, column)
        try:
            return rgb_of(BytesIO(data))
        except Exception as error:  # decoders of broken pictures raise all kinds
            raise ValueError(
                f"{self.where(row)} has no readable picture in its column {column}: {error}; download the table again"
            ) from error

    def digests(self, column: str, count: int | None = None) -> list[str]:
        """A hash of each picture as stored, of the first ``count`` rows: equal where two rows share a picture."""
        rows = range(len(self.rows))[:count]
        return [hashlib.sha256(self.encoded(row, column)).hexdigest()[:16] for row in rows]

    def pictures(
        self, places: Mapping[str, tuple[int, str]], options: Options | None = None
    ) -> Callable[[str], Picture]:
        """Pictures by name, for `cacr.benchmarks.examples.examples_work`.

        Args:
            places: A picture's name -> its row and column.
            options: Whose detector, if any, finds the regions.
        """
        detect = None if options is None else options.detect

        def picture(name: str) -> Picture:
            row, column = places[name]
            read = lambda: self.image(row, column)
            regions = None if detect is None else (lambda: detect(read()))
            return Picture(name, regions, read)

        return picture

    def _group_of(self, row: int) -> tuple[int, Path, int]:
        return self._groups[bisect_right(self._groups, row, key=lambda group: group[0]) - 1]


def table_files(folder: Path, name: str, obtain: str, part: str) -> list[Path]:
    """The Parquet files of one part of a copy of a hub repository, in order.

    Args:
        folder: The copy; one file may be given in its place, and is taken for the part.
        name: The benchmark's.
        obtain: How to get the files, for messages.
        part: Such as "test": of ``data/test-00000-of-00002.parquet`` or ``default/test/0000.parquet``.

    Raises:
        FileNotFoundError: No table, or not all files of the part.
        ValueError: There are tables, but not of this part.
    """
    if folder.is_file():
        return [folder]
    found: dict[str, dict[Path, list[Path]]] = {}
    for file in (file for depth in DEPTHS for file in sorted(folder.glob(depth))):
        files = found.setdefault(_part_of(file), {}).setdefault(file.parent, [])
        files += [] if file in files else [file]
    if not found:
        raise FileNotFoundError(f"{folder} has none of the files of {name}. {obtain}")
    if part not in found:
        raise ValueError(f"{folder}: {unknown(f'part of {name}', part, found)} {obtain}")
    files = next(iter(found[part].values()))
    shards = [SHARD.fullmatch(file.stem) for file in files]
    told = {int(shard[3]) for shard in shards if shard}
    if told and told != {len(files)}:
        raise FileNotFoundError(
            f"{files[0].parent} has {len(files)} of {max(told)} files of the part {part} of {name}; download the rest"
        )
    return files


def images_beside(file: Path, names: Iterable[str], options: Options) -> list[Path]:
    """The folders of pictures that lie beside an annotation file; none where a scorer asks for no pictures.

    Raises:
        FileNotFoundError: There is a ``.zip`` of that name in place of the folder, and no other source of pictures.
    """
    names = [] if options.blind else list(names)
    folders = [file.parent / name for name in names if (file.parent / name).is_dir()]
    packed = [file.parent / f"{name}.zip" for name in names if (file.parent / f"{name}.zip").is_file()]
    if packed and not folders and not options.images and options.features is None:
        raise FileNotFoundError(
            f"{packed[0]} is not unpacked, so {file} has no pictures; unpack it where it is: unzip {packed[0].name}"
        )
    return folders


def _part_of(file: Path) -> str:
    shard = SHARD.fullmatch(file.stem)
    if shard:
        return shard[1]
    return file.parent.name if file.stem.isdecimal() else file.stem


def _table(found: Iterable[Any]) -> Any:
    """A row group; None where it is empty."""
    from pyarrow import Table

    batches_of_it = list(found)
    return Table.from_batches(batches_of_it) if batches_of_it else None


def _check_columns(file: Path, schema: Any, text: Sequence[str], pictures: Sequence[str]) -> list[str]:
    """What to read of the pictures beside the text: the names of their files, where these are stored."""
    from pyarrow import types

    lost = [name for name in (*text, *pictures) if name not in schema.names]
    if lost:
        raise ValueError(
            f"{file} has no column {', '.join(lost)}; it has {', '.join(schema.names) or 'none'}. Expected the table "
            "as published on the hub"
        )
    paths = []
    for name in pictures:
        kind = schema.field(name).type
        fields = [field.name for field in kind.fields] if types.is_struct(kind) else []
        if not (types.is_binary(kind) or types.is_large_binary(kind) or "bytes" in fields):
            raise ValueError(
                f"{file}: the column {name} is {kind}; expected pictures inside the table (bytes and path)"
            )
        paths += [f"{name}.path"] if "path" in fields else []
    return paths
