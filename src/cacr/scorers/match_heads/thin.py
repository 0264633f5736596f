"""Long, thin pictures for the processors of ViLT and BridgeTower, which would bring their short side down to nothing.

These processors keep a picture's shape, within a longest side of 1333/800 of the size of the short one, and then round
both sides down to whole patches: transformers' models/vilt/image_processing_pil_vilt.py and the same of bridgetower.
A picture about 20 times as long as wide is left with a side of 0 patches, and no score. Rounding down stretches a side
of one patch and a bit by up to 2 already; here such a picture is stretched further, until it has one patch.
"""

from __future__ import annotations

from typing import Any

from PIL import Image

LONGEST = 1333 / 800
"""The longest side that the processors leave, as a multiple of the shortest they aim at."""
ROUNDING = 0.499
"""The processors round to the nearest pixel first; a bit less than 1/2, to be sure of those just below."""


def at_least_a_patch(image: Image.Image, processor: Any) -> Image.Image:
    """The picture as it is, or, where the processor would leave nothing of it, one patch thin and as long as can be.

    The processor then finds it at its final size, so that pixels are interpolated once.

    Args:
        image: RGB.
        processor: An image processor of transformers. One that does not round to ``size_divisor`` gets what it is
            given, and so does one that does not resize.
    """
    patch, shortest = _size_divisor(processor), dict(processor.size).get("shortest_edge")
    if not patch or not shortest:
        return image
    longest = int(LONGEST * shortest)
    if min(image.size) * longest >= (patch - ROUNDING) * max(image.size):
        return image
    whole = longest // patch * patch
    size = (whole, patch) if image.width > image.height else (patch, whole)
    return image.resize(size, resample=Image.Resampling(int(processor.resample)))


def _size_divisor(processor: Any) -> int | None:
    return getattr(processor, "size_divisor", None) if getattr(processor, "do_resize", True) else None
