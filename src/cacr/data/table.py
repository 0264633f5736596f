"""A table of one's own: JSON lines, JSON, CSV, TSV, Parquet, or a folder of the package datasets.

Columns: ``image`` (or ``file_name``), a path inside the folder of pictures; ``caption``, a sentence, or ``captions``, a
list of them; ``split``, optional. Several rows may speak of the same picture.

    {"image": "a.jpg", "captions": ["a dog runs", "a brown dog"], "split": "train"}      a line of captions.jsonl

In CSV and TSV ``captions`` is a JSON list. A picture column of datasets counts by its path; pixels inside the table are
not read. Licence: your own data's.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cacr._json import json_lines, parse_json, read_json
from cacr.data.entries import Entry, entry, split_names
from cacr.data.parquet import batches, open_parquet

IMAGE, CAPTIONS = ("image", "file_name"), ("captions", "caption")


def read_lines(path: Path) -> Sequence[Entry]:
    """The entries of a file of JSON lines; a broken line is named by its number."""
    return _some([_row(row, f"{path}, line {number}") for number, row in json_lines(path)], path)


def read_list(path: Path, content: Any = None) -> Sequence[Entry]:
    """The entries of a JSON list of objects."""
    content = read_json(path) if content is None else content
    return _some([_row(row, f"{path}, entry {number}") for number, row in enumerate(content, start=1)], path)


def read_separated(path: Path) -> Sequence[Entry]:
    """The entries of a CSV or TSV file with a header, UTF-8."""
    tabs = path.suffix.lower() == ".tsv"
    entries = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, dialect="excel-tab" if tabs else "excel", strict=True)
            _columns(rows.fieldnames or (), path)
            for row in rows:
                where = f"{path}, line {rows.line_num}"
                if None in row or None in row.values():
                    raise ValueError(f"{where} has more or fewer columns than the header; quote its captions")
                cell = row.get("captions")
                if cell and cell.lstrip().startswith("["):
                    row = row | {"captions": parse_json(cell, where)}
                entries.append(_row(row, where))
    except (csv.Error, UnicodeDecodeError) as error:
        kind = "tab" if tabs else "comma"
        raise ValueError(f"{path} is not a {kind}-separated UTF-8 table: {error}; write it again") from error
    return _some(entries, path)


def read_parquet(path: Path) -> Sequence[Entry]:
    """The entries of a Parquet file, or of a folder of them; there ``train-00000-of-00002`` names the split."""
    entries: list[Entry] = []
    for file in sorted(path.glob("*.parquet")) if path.is_dir() else [path]:
        part = file.stem.partition("-0")[0] if path.is_dir() else None
        with open_parquet(file) as opened:
            wanted = _columns(opened.schema_arrow.names, file)
            entries += _batches((batch.to_pylist() for _, batch in batches(opened, file, wanted)), file, part)
    return _some(entries, path)


def read_datasets(path: Path) -> Sequence[Entry]:
    """The entries of a folder that ``save_to_disk`` of the package datasets wrote; its parts are the splits."""
    try:
        import datasets
    except ImportError as error:
        raise ImportError(f'{path} needs the package datasets: pip install "cacr[data]"') from error
    try:
        opened = datasets.load_from_disk(str(path))
    except Exception as error:  # whatever datasets and pyarrow raise over a broken folder
        raise ValueError(f"{path} is not a readable folder of datasets ({error}); save it again") from error
    parts = opened if isinstance(opened, Mapping) else {None: opened}
    entries: list[Entry] = []
    for part, rows in parts.items():
        arrow = rows.select_columns(_columns(rows.column_names, path)).with_format("arrow")
        entries += _batches((batch.to_pylist() for batch in arrow.iter(1024)), path, part)
    return _some(entries, path)


def _batches(rows: Iterable[list[dict[str, Any]]], path: Path, part: str | None) -> Iterator[Entry]:
    from pyarrow import ArrowException

    number = 0
    try:
        for batch in rows:
            for row in batch:
                number += 1
                where = f"{path}{f' ({part})' if part else ''}, row {number}"
                yield _row({"split": part} | {k: v for k, v in row.items() if v is not None}, where)
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is broken after row {number} ({error}); copy it again") from error


def _columns(names: Iterable[str], path: Path) -> list[str]:
    wanted = [name for name in names if name in (*IMAGE, *CAPTIONS, "split")]
    if not set(wanted) & set(IMAGE) or not set(wanted) & set(CAPTIONS):
        raise ValueError(
            f"{path} has the columns {', '.join(map(str, names)) or 'none'}; expected image and caption (or captions)"
        )
    return wanted


def _row(row: Any, where: str) -> Entry:
    row = row if isinstance(row, dict) else {}
    image = next((row[name] for name in IMAGE if row.get(name) is not None), None)
    captions = next((row[name] for name in CAPTIONS if row.get(name) is not None), None)
    if isinstance(image, dict):
        image = image.get("path")
        if not image:
            raise ValueError(
                f"{where} holds a picture without a path; save the pictures as files and name them in the column image"
            )
    return entry(image, captions, where, split_names(row.get("split"), where))


def _some(entries: Sequence[Entry], path: Path) -> Sequence[Entry]:
    if not entries:
        raise ValueError(f"{path} is empty; expected a line or row per picture, with its captions")
    return entries
