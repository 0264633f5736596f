"""Parts into one features file, tensor by tensor and part by part: memory does not grow with the pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from cacr._disk import writing
from cacr._files import beside, publish, remove_leftovers
from cacr.regions.stores.file import FeatureStore
from cacr.regions.stores.layout import COLUMNS, NAME_IDS, Stream, write_tensors
from cacr.regions.stores.rows import index_streams, metadata_of
from cacr.regions.stores.shards import ShardedStore

PIECE = 16 * 2**20
"""Bytes copied at once."""


def join_parts(parts: Sequence[Path], out: Path, order: Sequence[str] | None = None) -> None:
    """Join features files into one, under its final name only when it is whole and opens.

    Args:
        parts: Features files, such as ``PartWriter(folder).parts``.
        out: The new file.
        order: Ids in the order wanted, all or some of those in the parts; the order of the parts if None.

    Raises:
        FileExistsError: The file exists.
        NotWritten: The disk refused it: there is nothing of it then.
        ValueError: No parts, a picture in two parts or not in any, parts of different widths, types or fields, or more
            pictures than one file can name.
    """
    out = Path(out)
    if out.exists():
        raise FileExistsError(f"{out} exists and is not overwritten; give another name or remove it first")
    if not parts:
        raise ValueError(f"no parts to join into {out}; collect some first")
    shards = ShardedStore(out, [Path(part) for part in parts])
    ids = list(shards if order is None else order)
    _check_ids(ids, shards)
    names, kinds = _common(shards)
    counts, sizes = [], []
    for image_id in ids:
        store = shards.file(shards.place(image_id))
        rows = store.rows(image_id)
        counts.append(rows.stop - rows.start)
        sizes.append(store.size(image_id))
    total = sum(counts)
    streams = index_streams(counts, sizes)
    for name, dtype in kinds.items():
        row = (shards.width,) if name == "features" else COLUMNS[name]
        pieces = _whole_parts(shards, name, names) if order is None else _pictures(shards, name, ids, names)
        streams[name] = Stream(dtype, (total, *row), pieces)
    size = sum(torch.Size(one.shape).numel() * one.dtype.itemsize for one in streams.values())
    written = beside(out)
    try:
        with writing(out, size):
            out.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(out.parent, out.name)
            write_tensors(written, streams, metadata_of(ids, names if NAME_IDS in kinds else None))
        FeatureStore(written)  # what does not open is not published
        publish(written, out)
    finally:
        written.unlink(missing_ok=True)


def _check_ids(ids: Sequence[str], shards: ShardedStore) -> None:
    places = set(shards)
    lost = [image_id for image_id in ids if image_id not in places]
    if lost:
        raise ValueError(
            f"{len(lost)} pictures of the order are in no part, e.g. {lost[0]}; collect them first"
        )
    twice = [image_id for image_id, n in Counter(ids).items() if n > 1]
    if twice:
        raise ValueError(f"the order names {twice[0]} twice; expected each picture once")
    if not ids:
        raise ValueError("the order names no picture; expected one at least")


def _common(shards: ShardedStore) -> tuple[dict[str, int], dict[str, torch.dtype]]:
    """Names of classes over all parts, and the types of the tensors with a row per region, which all parts share."""
    names: dict[str, int] = {}
    kinds: dict[str, torch.dtype] = {}
    for i, file in enumerate(shards.files):
        store = shards.file(i)
        for name in store.object_names:
            names.setdefault(name, len(names))
        own = {name: store.tensors[name].dtype for name in ("features", *COLUMNS) if name in store.tensors}
        if not kinds:
            kinds = own
        if own != kinds:
            other = sorted(name for name in own.keys() | kinds.keys() if own.get(name) != kinds.get(name))
            raise ValueError(
                f"{file} and {shards.files[0]} differ in {', '.join(other)}; join parts with the same tensors and types"
            )
    return names, kinds


def _whole_parts(shards: ShardedStore, name: str, names: dict[str, int]) -> Iterator[Tensor]:
    for i in range(len(shards.files)):
        store = shards.file(i)
        tensor = store.tensors[name]
        rows = max(1, PIECE // max(1, tensor[:1].nbytes))
        for piece in tensor.split(rows):
            yield _renamed(piece, store, names) if name == NAME_IDS else piece


def _pictures(shards: ShardedStore, name: str, ids: Sequence[str], names: dict[str, int]) -> Iterator[Tensor]:
    for image_id in ids:
        store = shards.file(shards.place(image_id))
        piece = store.tensors[name][store.rows(image_id)]
        yield _renamed(piece, store, names) if name == NAME_IDS else piece


def _renamed(name_ids: Tensor, store: FeatureStore, names: dict[str, int]) -> Tensor:
    """Indices in a part's list of names as indices in the list of all parts."""
    if name_ids.min() < 0 or name_ids.max() >= len(store.object_names):
        raise ValueError(
            f"{store.path}: a name has an index outside of its object_names; make the part again"
        )
    return torch.tensor([names[name] for name in store.object_names])[name_ids]
