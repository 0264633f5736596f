"""A folder of picture files, found by name.

A name comes from a file of captions or of a benchmark, often a stranger's, and never leads out of the folder: not by
``..``, not from the root of the disk, not by a drive. Links in the folder are the folder's owner's: they are followed,
since pictures are often kept once and linked to (a hub's cache and a cluster's data disks are links throughout). What a
link leads to is opened as a picture only, and only if it is a regular file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

from PIL import Image

from cacr._messages import shortly
from cacr.data.entries import inside
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
        self._inner = sorted({name.rpartition("/")[0] for name in names if inside(name)} | {""})

    @cached_property
    def files(self) -> NameIndex:
        """The picture files: one look at each folder, none at the pictures."""
        found = []
        for inner in self._inner:
            folder = self.folder / inner
            if there(folder.is_dir):
                before = f"{inner}/" if inner else ""
                found += [before + file.name for file in folder.iterdir() if file.suffix.lower() in ENDINGS]
        return NameIndex(found)

    def image(self, name: str) -> Image.Image:
        """A picture's pixels, RGB.

        Raises:
            FileNotFoundError: No such picture.
            ValueError: The name leads out of the folder, or the file is no picture.
        """
        if not inside(name):
            raise ValueError(
                f"the picture {shortly(name)} lies outside of {self.folder}; give a path inside it"
            )
        path = self.folder / name
        if not there(path.is_file):
            found = self.files.find(name)
            if found is None:
                raise FileNotFoundError(
                    f"no picture {name} in {self.folder}; give the folder that holds the pictures"
                )
            path = self.folder / found
        return open_image(path)


def there(check: Callable[[], bool]) -> bool:
    """Whether there is a file or folder; a name that no file system takes is the name of nothing."""
    try:
        return check()
    except (OSError, ValueError):
        return False
