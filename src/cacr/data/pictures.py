"""A folder of picture files, found by name; nothing outside of the folder is ever opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

from PIL import Image

from cacr.data.matching import NameIndex
from cacr.regions.picture_files import ENDINGS, open_image


class PictureFolder:
    """Pictures of a folder by the names that a file of captions gives them.

    Args:
        folder: The folder.
        names: The pictures' names; folders in them are looked into too.

    Raises:
        FileNotFoundError: No such folder.
    """

    def __init__(self, folder: Path, names: Iterable[str]):
        if not folder.is_dir():
            raise FileNotFoundError(f"no folder of pictures {folder}; give the folder that holds them")
        self.folder = folder
        self._inner = sorted({name.rpartition("/")[0] for name in names} | {""})

    @cached_property
    def files(self) -> NameIndex:
        """The picture files: one look at each folder, none at the pictures."""
        found = []
        for inner in self._inner:
            folder = self.folder / inner
            if _there(folder.is_dir):
                before = f"{inner}/" if inner else ""
                found += [before + file.name for file in folder.iterdir() if file.suffix.lower() in ENDINGS]
        return NameIndex(found)

    def image(self, name: str) -> Image.Image:
        """A picture's pixels, RGB.

        Raises:
            FileNotFoundError: No such picture.
            ValueError: A link leads out of the folder, or the file is no picture.
        """
        path = self.folder / name
        if not _there(path.is_file):
            found = self.files.find(name)
            if found is None:
                raise FileNotFoundError(
                    f"no picture {name} in {self.folder}; give the folder that holds the pictures"
                )
            path = self.folder / found
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise ValueError(
                f"the picture {path} is a link that leads out of {self.folder}; copy the picture into the folder"
            )
        return open_image(path)


def _there(check: Callable[[], bool]) -> bool:
    """A name that is too long for the file system is the name of nothing."""
    try:
        return check()
    except OSError:
        return False
