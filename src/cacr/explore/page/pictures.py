"""Pictures inside the page, as data URIs: each once, however many pairs show it."""

from __future__ import annotations

import io

from PIL import Image

from cacr.explore.page.arrays import text

LONGEST = 640
"""Pixels of the longer side."""
TINY = 200
"""A picture whose longer side is below this is kept pixel by pixel."""
QUALITY = 80


class Pictures:
    """Pictures of a page by number; equal ones share a number."""

    def __init__(self) -> None:
        self.sources: list[str] = []
        self._known: dict[str, int] = {}

    def number(self, image: Image.Image | None) -> int | None:
        """The number of a picture; None for none."""
        if image is None:
            return None
        source = data_uri(image)
        if source not in self._known:
            self._known[source] = len(self.sources)
            self.sources.append(source)
        return self._known[source]


def data_uri(image: Image.Image) -> str:
    """JPEG of at most `LONGEST` pixels, or PNG for a tiny picture."""
    image = image.convert("RGB")
    file = io.BytesIO()
    if max(image.size) < TINY:
        image.save(file, "PNG", optimize=True)
        return "data:image/png;base64," + text(file.getvalue())
    image = image.copy()
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    image.save(file, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + text(file.getvalue())
