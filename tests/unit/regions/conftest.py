"""Tiny stores of every layout, written here, so that each test can break one."""

import base64
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cacr.regions import Regions

WIDTH = 8


def boxes01(n, generator):
    corners = generator.random((n, 4), dtype=np.float32)
    return np.concatenate(
        [np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(corners[:, :2], corners[:, 2:])], 1
    )


def uniter_arrays(n=12, seed=0):
    """Arrays of a picture as UNITER's extraction writes them: half of the regions above 0.2."""
    g = np.random.default_rng(seed)
    boxes = boxes01(n, g)
    return {
        "norm_bb": np.concatenate([boxes, boxes[:, 2:] - boxes[:, :2]], 1).astype(np.float16),
        "features": g.random((n, WIDTH)).astype(np.float16),
        "conf": np.linspace(0.9, 0.0, n).astype(np.float16)[:, None],
        "soft_labels": g.random((n, 5)).astype(np.float16),
    }


def packed(arrays):
    """A value of a plain database, as msgpack-numpy packs it."""
    msgpack = pytest.importorskip("msgpack")
    return msgpack.packb(
        {
            name: {
                b"nd": True,
                b"type": a.dtype.str,
                b"kind": b"",
                b"shape": list(a.shape),
                b"data": a.tobytes(),
            }
            for name, a in arrays.items()
        },
        use_bin_type=True,
    )


def npz_bytes(arrays):
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def write_lmdb(folder, values):
    """A database of values by picture, with UNITER's list of keys."""
    lmdb = pytest.importorskip("lmdb")
    folder.mkdir(parents=True)
    with (
        lmdb.open(str(folder), map_size=1 << 22, lock=False) as environment,
        environment.begin(write=True) as t,
    ):
        for name, value in values.items():
            t.put(name.encode(), value)
        t.put(b"__keys__", json.dumps(list(values)).encode())
    return folder


def b64(array, dtype="<f4"):
    return base64.b64encode(np.asarray(array).astype(dtype).tobytes()).decode()


def bottom_up_line(image_id, n=3, **changes):
    g = np.random.default_rng(len(image_id))
    line = {
        "image_id": image_id,
        "image_w": 40,
        "image_h": 30,
        "num_boxes": n,
        "boxes": b64(boxes01(n, g) * [40, 30, 40, 30]),
        "features": b64(g.random((n, WIDTH))),
    } | changes
    return "\t".join(str(value) for value in line.values())


def vinvl_line(image_id, n=3, captioning=False):
    g = np.random.default_rng(0)
    boxes = boxes01(n, g)
    rows = b64(np.concatenate([g.random((n, WIDTH)), boxes, boxes[:, 2:] - boxes[:, :2]], 1))
    return f"{image_id}\t" + (
        json.dumps({"num_boxes": n, "features": rows}) if captioning else f"{n}\t{rows}"
    )


def some(n=3, seed=0, full=False, size=(40, 30)):
    """Regions of a picture; with every field that there is, if full."""
    g = torch.Generator().manual_seed(seed)
    corners = torch.rand(n, 2, 2, generator=g).sort(1).values.reshape(n, 4)
    more = {}
    if full:
        more = {
            "extents01": corners[:, 2:] - corners[:, :2],
            "object_ids": torch.randint(0, 9, (n,), generator=g),
            "object_confidence": torch.rand(n, generator=g),
            "attribute_ids": torch.randint(0, 9, (n,), generator=g),
            "attribute_confidence": torch.rand(n, generator=g),
            "object_names": tuple(f"name {seed + i}" for i in range(n)),
        }
    scaled = None if size is None else corners * torch.tensor([*size, *size])
    return Regions(torch.rand(n, WIDTH, generator=g), corners, scaled, size, **more)


def same(a, b):
    """Whether regions agree in every field, bit for bit."""
    for name in Regions.__dataclass_fields__:
        one, other = getattr(a, name), getattr(b, name)
        if torch.is_tensor(one) and torch.is_tensor(other):
            if one.dtype != other.dtype or not torch.equal(one, other):
                return False
        elif one is not other and one != other:
            return False
    return True


@pytest.fixture
def make():
    """Functions that write tiny stores."""
    return SimpleNamespace(
        width=WIDTH,
        uniter_arrays=uniter_arrays,
        packed=packed,
        npz_bytes=npz_bytes,
        lmdb=write_lmdb,
        bottom_up_line=bottom_up_line,
        vinvl_line=vinvl_line,
        b64=b64,
        some=some,
        same=same,
    )
