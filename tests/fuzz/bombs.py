"""Pickles that make a folder when they are unpickled, in every wrapping that a reader may open."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

NAMES = ("x", "features", "boxes", "bbox", "image_w", "image_h", "norm_bb", "conf", "arr_0")


class Bomb:
    """An object that makes a folder when it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = str(mark)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.mark,)


def bombs(mark: Path) -> dict[str, bytes]:
    """Files by what they are; whoever executes one leaves a folder at ``mark``."""
    bomb = Bomb(mark)
    objects = np.array([bomb], dtype=object)
    return {
        "pickle": pickle.dumps(bomb),
        "old pickle": pickle.dumps(bomb, protocol=0),
        "torch file": _torch(bomb),
        "torch file of names": _torch({"model": bomb, "a": torch.zeros(2)}),
        "old torch file": _torch({"state_dict": bomb}, _use_new_zipfile_serialization=False),
        "npy": _saved(np.save, objects),
        "npz": _saved(lambda stream, a: np.savez(stream, **dict.fromkeys(NAMES, a)), objects),
        "yaml": f'!!python/object/apply:os.mkdir ["{mark}"]\n'.encode(),
        "yaml of names": f'MODEL: !!python/object/apply:os.mkdir ["{mark}"]\n'.encode(),
    }


def _torch(value: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, **options)
    return stream.getvalue()


def _saved(save: Any, array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    save(stream, array)
    return stream.getvalue()
