"""What a run left, as digests that are equal exactly when the results are: weights, states, records, tables.

Times, paths and the machine's own description do not count.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

TIMED = re.compile(r"_(?:runtime|per_second)$|^total_flos$|^train_.*_time$")
RNG: list[Any] = [np.empty(0).__reduce__()[0], np.ndarray, np.dtype, type(np.dtype("uint32"))]
"""What numpy's random numbers are made of."""
UNTIMED = ("environment", "created", "time", "seconds", "machine", "command")
"""Keys of our JSON files that differ between two runs of the same."""


def results(folder: Path, wanted: tuple[str, ...]) -> dict[str, str]:
    """Name of a file below ``folder`` that matches one of the patterns -> the digest of its content.

    Of checkpoints only the last: how many earlier ones are kept depends on where a run was stopped.
    """
    files = {file for pattern in wanted for file in folder.glob(pattern) if file.is_file()}
    last = last_checkpoint(folder)
    files = {file for file in files if not file.parent.name.startswith("checkpoint-") or file.parent == last}
    return {file.relative_to(folder).as_posix(): digest(file) for file in sorted(files)}


def last_checkpoint(run: Path) -> Path | None:
    """The newest checkpoint folder of a run."""
    found = list((run / "checkpoints").glob("checkpoint-*"))
    return max(found, key=lambda folder: int(folder.name.split("-")[1]), default=None)


def digest(file: Path) -> str:
    """The digest of a file's content, by its kind."""
    read: Callable[[Path], Any] = {
        ".pt": read_tensors,
        ".pth": read_tensors,
        ".json": _json,
        ".jsonl": lambda path: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()],
    }.get(file.suffix, lambda path: path.read_bytes())
    if file.name == "training_args.bin":
        return "not compared"  # holds paths; every value of it comes from config.toml
    if file.name == "complete":
        return "not compared"  # sizes and digests of the others, which are compared
    found = hashlib.blake2b(digest_size=12)
    _into(found, read(file))
    return found.hexdigest()


def read_tensors(file: Path) -> Any:
    """What torch.save wrote: tensors, and numpy's random numbers."""
    with torch.serialization.safe_globals(RNG):
        return torch.load(file, weights_only=True)


def _json(file: Path) -> Any:
    return _untimed(json.loads(file.read_text(encoding="utf-8")))


def _untimed(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _untimed(item) for key, item in value.items() if not (TIMED.search(key) or key in UNTIMED)
        }
    return [_untimed(item) for item in value] if isinstance(value, list) else value


def _into(found: Any, value: Any) -> None:
    """Add a tree of values: types, orders, shapes and bits count."""
    found.update(f"{type(value).__name__}(".encode())
    if isinstance(value, dict):
        for key, item in value.items():
            _into(found, key)
            _into(found, item)
    elif isinstance(value, list | tuple):
        for item in value:
            _into(found, item)
    elif isinstance(value, torch.Tensor):
        found.update(f"{value.dtype}{tuple(value.shape)}".encode())
        found.update(value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    elif isinstance(value, np.ndarray):
        found.update(f"{value.dtype}{value.shape}".encode() + value.tobytes())
    else:
        found.update(value if isinstance(value, bytes) else repr(value).encode())
    found.update(b")")
