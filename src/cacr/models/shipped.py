"""The model in the package: the start of the embedded world, rebuilt by `cacr pretrain`."""

from contextlib import AbstractContextManager
from importlib.resources import as_file, files
from pathlib import Path

SHIPPED = "scenes-start"
"""What people call it."""


def shipped_model() -> AbstractContextManager[Path]:
    """Its folder, while the context lasts."""
    return as_file(files("cacr.models") / "scenes_start")
