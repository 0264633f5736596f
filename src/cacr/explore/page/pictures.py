"""Pictures inside the page, as data URIs: each once, however many pairs show it."""

from __future__ import annotations

import io

from PIL import Image

from cacr.explore.page.arrays import text

LONGEST = 640
"""Pixels of the longer side."""
QUALITY = 80
"""Of JPEG, of 100."""
SMALLER = (448, 70)
"""The same where pictures take more than their share of a page."""
SHARE = 0.5
"""Of a page's budget, that pictures may take before they are made smaller."""
TINY = 200
"""A picture whose longer side is below this is kept pixel by pixel."""


class Pictures:
    """Pictures of a page by number; equal ones share a number.

    Args:
        longest: Pixels of the longer side, at most.
        quality: Of JPEG.
    """

    def __init__(self, longest: int = LONGEST, quality: int = QUALITY) -> None:
        self.longest, self.quality = longest, quality
        self.sources: list[str] = []
        self._known: dict[str, int] = {}
        self._seen: dict[int, tuple[Image.Image, int]] = {}  # kept, so that no other picture gets its id

    def number(self, image: Image.Image | None) -> int | None:
        """The number of a picture; None for none."""
        if image is None:
            return None
        if id(image) not in self._seen:
            source = data_uri(image, self.longest, self.quality)
            if source not in self._known:
                self._known[source] = len(self.sources)
                self.sources.append(source)
            self._seen[id(image)] = image, self._known[source]
        return self._seen[id(image)][1]

    @property
    def bytes(self) -> int:
        """What the pictures take in a page."""
        return sum(map(len, self.sources))


def data_uri(image: Image.Image, longest: int = LONGEST, quality: int = QUALITY) -> str:
    """JPEG whose longer side has at most ``longest`` pixels, or PNG for a tiny picture."""
    image = image.convert("RGB")
    file = io.BytesIO()
    if max(image.size) < TINY:
        image.save(file, "PNG", optimize=True)
        return "data:image/png;base64," + text(file.getvalue())
    image = image.copy()
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    image.save(file, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + text(file.getvalue())
