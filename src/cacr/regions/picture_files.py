"""Picture files, opened with care."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import BinaryIO

from PIL import Image

ENDINGS = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".jp2"))
"""Of files that are taken for pictures in a folder."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000")
"""Of Pillow's, whatever a file is called: others start programs (EPS) or read what photographs never are in."""


def open_image(path: Path) -> Image.Image:
    """An RGB picture from a file.

    The pixels are as stored: an orientation noted in EXIF is not applied, since the detectors behind the published
    features did not either, and boxes are counted in stored pixels.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It is no picture of one of `FORMATS`, is broken, or unpacks to more pixels than Pillow's limit
            (``PIL.Image.MAX_IMAGE_PIXELS``).
    """
    if not path.is_file():
        raise FileNotFoundError(f"no picture at {path}; give the folder that holds the pictures")
    try:
        return rgb_of(path)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(
            f"{path} is too large a picture: {error}. Make it smaller, or raise PIL.Image.MAX_IMAGE_PIXELS if you "
            "trust it"
        ) from error
    except Exception as error:  # decoders of broken files raise all kinds
        raise ValueError(
            f"{path} is not a readable picture: {error}; copy it again, or leave it out"
        ) from error


def rgb_of(file: Path | BinaryIO) -> Image.Image:
    """The pixels of a picture of one of `FORMATS` within Pillow's limit; what it raises otherwise is of all kinds."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(file, formats=FORMATS) as image:
            return image.convert("RGB")
