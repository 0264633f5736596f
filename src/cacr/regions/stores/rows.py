"""Regions of several pictures as the tensors of a features file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate

import torch
from torch import Tensor

from cacr.regions.regions import Regions
from cacr.regions.stores.layout import COLUMNS, FORMAT, NAME_IDS, WHOLE, Stream

STORED = (torch.float16, torch.bfloat16, torch.float32)
"""Types that features may be stored in."""


def fields_of(regions: Regions) -> frozenset[str]:
    """Optional fields that the regions of a picture have."""
    names = ["object_names", *(name for name in COLUMNS if name not in ("boxes01", NAME_IDS))]
    return frozenset(name for name in names if getattr(regions, name) is not None)


def checked_features(regions: Regions, dtype: torch.dtype) -> Tensor:
    """Features in the type they are stored in.

    Raises:
        ValueError: They do not fit into the type.
    """
    features = regions.features.detach().to("cpu", dtype)
    if not torch.isfinite(features).all():
        largest = float(regions.features.abs().max())
        raise ValueError(
            f"features reach {largest:.3g}, more than {dtype} holds; store them as torch.float32"
        )
    return features


def streams_of(items: Mapping[str, Regions], dtype: torch.dtype) -> tuple[dict[str, Stream], dict[str, str]]:
    """Tensors and metadata of the pictures in a mapping; all have the same fields and width."""
    pictures = list(items.values())
    total = sum(len(regions) for regions in pictures)
    fields = fields_of(pictures[0])
    width = pictures[0].features.shape[1]
    streams = {
        "features": Stream(dtype, (total, width), [r.features for r in pictures]),
        "boxes01": Stream(torch.float32, (total, 4), [r.boxes01 for r in pictures]),
    }
    for name in fields - {"object_names"}:
        number = torch.int64 if name in WHOLE else torch.float32
        streams[name] = Stream(number, (total, *COLUMNS[name]), [getattr(r, name) for r in pictures])
    names: dict[str, int] | None = None
    if "object_names" in fields:
        names = {}
        of_each = [names.setdefault(n, len(names)) for r in pictures for n in r.object_names or ()]
        streams[NAME_IDS] = Stream(torch.int64, (total,), [torch.tensor(of_each)])
    counts = [len(regions) for regions in pictures]
    sizes = [regions.size or (0, 0) for regions in pictures]
    return streams | index_streams(counts, sizes), metadata_of(list(items), names)


def index_streams(counts: Sequence[int], sizes: Sequence[Sequence[int]]) -> dict[str, Stream]:
    """The offsets and sizes of pictures with so many regions."""
    offsets = torch.tensor([0, *accumulate(counts)])
    return {
        "offsets": Stream(torch.int64, (len(counts) + 1,), [offsets]),
        "sizes": Stream(torch.int64, (len(counts), 2), [torch.tensor(sizes).reshape(-1, 2)]),
    }


def metadata_of(image_ids: Sequence[str], names: Mapping[str, int] | None) -> dict[str, str]:
    """Metadata of a features file; ``names`` are those of classes, in order."""
    metadata = {"format": FORMAT, "image_ids": json.dumps(list(image_ids), ensure_ascii=False)}
    if names is not None:
        metadata["object_names"] = json.dumps(list(names), ensure_ascii=False)
    return metadata
