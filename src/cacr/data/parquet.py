"""Parquet files from anywhere, read in batches whose size is known before anything is unpacked.

A file of some kilobytes may say of itself that it holds gigabytes: a page that is all one letter, a word that a million
rows repeat, a list of a billion times the same. So the heads of the pages are read first (`cacr.data.parquet_pages`),
and the longest of the words that rows repeat: together they may unpack to `ALLOWED` bytes and `TIMES` the file at most.
Needs pyarrow, the extra "data".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cacr.data.parquet_pages import Chunk, Page, chunks, pages

ALLOWED, TIMES = 64 << 20, 64
"""Bytes that a file may unpack to, whatever its size; and how many times its size beside them."""
ROWS = 1024
"""Rows of a batch, at most."""
A_VALUE = 16
"""Bytes that a value counts for, however little is in it."""


@contextmanager
def open_parquet(file: Path, cure: str = "copy it again") -> Iterator[Any]:
    """A Parquet file, opened; what pyarrow raises of it is said in a sentence.

    Args:
        file: The file.
        cure: What to do where it is broken, for the message.

    Raises:
        ImportError: pyarrow is not installed.
        ValueError: It is no Parquet file, or a broken one.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise ImportError(f'{file} needs pyarrow: pip install "cacr[data]"') from error
    try:
        with ParquetFile(file) as opened:
            yield opened
    except (ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        raise ValueError(f"{file} is not a readable Parquet file ({error}); {cure}") from error


def batches(
    opened: Any,
    file: Path,
    columns: Sequence[str],
    group: int | None = None,
    held: Sequence[Sequence[Chunk]] | None = None,
) -> Iterator[tuple[int, Any]]:
    """The rows of some columns, as Arrow's record batches of `ROWS` at most, each with the number of its row group.

    Args:
        opened: By `open_parquet`.
        file: The same file.
        columns: Their names; ``image.path`` is a part of one.
        group: Only this row group; all if None.
        held: The file's `chunks`, if they are known: to read them takes as long as there are row groups.

    Raises:
        ValueError: They unpack to more than a file of this size may.
    """
    from pyarrow.parquet import ParquetFile

    told = opened.metadata
    paths = [told.schema.column(index).path for index in range(told.num_columns)]
    leaves = [i for i, path in enumerate(paths) if any(f"{path}.".startswith(f"{name}.") for name in columns)]
    unpacked, held = 0, chunks(file) if held is None else held
    if [len(own) for own in held] != [told.num_columns] * told.num_row_groups:
        raise ValueError(f"{file} has row groups without all columns; copy it again")
    groups = range(told.num_row_groups) if group is None else [group]
    rows = {}
    with ParquetFile(file, metadata=told, read_dictionary=[paths[index] for index in leaves]) as sparing:
        for one in groups:
            own = [held[one][index] for index in leaves]
            heads = [list(pages(file, chunk)) for chunk in own]
            rows[one] = _rows(heads)
            unpacked += sum(page.unpacked + A_VALUE * page.values for head in heads for page in head)
            _refuse(unpacked, file)
            for index, chunk, head in zip(leaves, own, heads, strict=True):
                repeated = sum(page.values for page in head if page.repeats)
                if repeated and not chunk.bytes_of_any_length:
                    unpacked += repeated * (head[0].unpacked // max(1, head[0].values))
                elif repeated:
                    unpacked += repeated * _longest(sparing, one, paths[index], head)
            _refuse(unpacked, file)
    grown = 0
    for one in groups:
        for batch in opened.iter_batches(rows[one], [one], columns=list(columns)):
            grown += batch.nbytes
            _refuse(grown, file)
            yield one, batch


def _refuse(unpacked: int, file: Path) -> None:
    allowed = ALLOWED + TIMES * file.stat().st_size
    if unpacked > allowed:
        raise ValueError(
            f"{file} unpacks to {unpacked} bytes or more; expected {allowed} at most of a file of its size. Write it "
            "again without compression if that is right"
        )


def _longest(sparing: Any, group: int, path: str, head: Sequence[Page]) -> int:
    """Bytes of the longest value of a column that its rows repeat; `sparing` reads such values once."""
    words, first = head[0], head[1]
    if not first.repeats:
        return words.unpacked
    found = next(sparing.iter_batches(1, [group], columns=[path]), None)
    longest = [_longest_word(array) for array in found.columns] if found is not None else []
    return max(longest, default=0) or words.unpacked


def _longest_word(array: Any) -> int:
    from pyarrow import compute, types

    kind = array.type
    if types.is_dictionary(kind):
        return compute.max(compute.binary_length(array.dictionary)).as_py() or 1
    if types.is_struct(kind):
        return max((_longest_word(array.field(index)) for index in range(kind.num_fields)), default=0)
    return _longest_word(array.values) if hasattr(array, "values") else 0


def _rows(heads: Iterable[Sequence[Page]]) -> int:
    """Rows of a batch: few where a page is large and each of its values may begin with all of the one before."""
    own = (ALLOWED // max(1, page.unpacked) for head in heads for page in head if page.builds_on_the_last)
    return max(1, min([ROWS, *own]))
