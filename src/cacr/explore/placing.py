"""Text in figures: how wide it is, how to make it fit, and where a label goes so that it covers no other.

Lengths are inches, y upward, as on the sheet; sizes of letters are points. Widths come from the outlines
of the font, so that a figure is laid out in the same way at every resolution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from matplotlib.textpath import text_to_path

from cacr.explore.fonts import font_of, unreadable

Rect = tuple[float, float, float, float]
"""left, bottom, right, top."""
POINT = 1 / 72
GAP = 1.0 * POINT
"""Between two labels."""
RIM = 2.5 * POINT
"""Between a label and the box that it stands beside."""


def text_width(text: str, size: float, bold: bool = False) -> float:
    """How wide a line of text is, in inches, with 2 % for the hinting of screens."""
    font = font_of(text, size, bold)
    shown = "".join("□" if one in missing else one for one in text) if (missing := unreadable(text)) else text
    return 1.02 * float(text_to_path.get_text_width_height_descent(shown, font, ismath=False)[0]) * POINT


def line_height(size: float) -> float:
    """How high a line of text is, in inches."""
    return 1.25 * size * POINT


def fitted(text: str, size: float, width: float, bold: bool = False) -> str:
    """The text, cut with an ellipsis where it is wider than a width in inches."""
    if text_width(text, size, bold) <= width:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if text_width(text[:middle] + "…", size, bold) <= width:
            fits = middle
        else:
            too_long = middle
    return text[:fits].rstrip() + "…"


def wrapped(text: str, size: float, width: float, lines: int = 3) -> list[str]:
    """The text in at most some lines of a width in inches; the last is cut where the text goes on."""
    found: list[str] = []
    for word in text.split():
        longer = f"{found[-1]} {word}" if found else word
        if found and (len(found) == lines or text_width(longer, size) <= width):
            found[-1] = longer
        else:
            found.append(word)
    return [fitted(line, size, width) for line in found]


def listed(names: Sequence[str], fits: Callable[[str], bool]) -> str:
    """Names with commas, as many as fit, and how many more there are; the first alone whatever its length.

    Example:
        >>> listed(["a", "of", "in", "on"], lambda text: len(text) < 10)
        'a, of +2'
    """
    for count in range(len(names), 1, -1):
        more = f" +{len(names) - count}" if count < len(names) else ""
        text = ", ".join(names[:count]) + more
        if fits(text):
            return text
    return names[0] + (f" +{len(names) - 1}" if len(names) > 1 else "")


def place(
    size: tuple[float, float], box: Rect, inside: Rect, taken: Sequence[Rect], spare: Sequence[Rect] = ()
) -> Rect | None:
    """Where a label goes: at its box if there is room, else in the nearest free place; None if there is none.

    Args:
        size: Width and height of the label.
        box: What it names.
        inside: What it must not leave.
        taken: Labels that are there already.
        spare: Small boxes that it had better not cover.
    """
    if size[0] > inside[2] - inside[0] or size[1] > inside[3] - inside[1]:
        return None
    near, all_over = list(_near(size, box, inside)), _all_over(size, box, inside)
    for spots, avoided in (
        (near, [*taken, *spare]),
        (near, taken),
        (all_over, [*taken, *spare]),
        (all_over, taken),
    ):
        for left, bottom in spots:
            spot = (left, bottom, left + size[0], bottom + size[1])
            if not any(overlap(spot, other) for other in avoided):
                return spot
    return None


def overlap(one: Rect, other: Rect) -> bool:
    """Whether two labels are less than a gap apart."""
    return (
        one[0] < other[2] + GAP
        and other[0] < one[2] + GAP
        and one[1] < other[3] + GAP
        and other[1] < one[3] + GAP
    )


def is_small(box: Rect) -> bool:
    """Whether a label would hide the box."""
    return box[2] - box[0] < 0.4 or box[3] - box[1] < 0.22


def _near(size: tuple[float, float], box: Rect, inside: Rect) -> Iterator[tuple[float, float]]:
    """Within the corners of a box unless it is small, then above, below and beside it."""
    width, height = size
    left, bottom, right, top = box

    def kept(x: float, y: float) -> tuple[float, float]:
        return min(max(x, inside[0]), inside[2] - width), min(max(y, inside[1]), inside[3] - height)

    within = (
        [] if is_small(box) else [kept(x, y) for y in (top - height, bottom) for x in (left, right - width)]
    )
    if width <= right - left:
        yield from within
    outside = [(x, y) for y in (top + RIM, bottom - height - RIM) for x in (left, right - width)]
    outside += [(x, y) for x in (right + RIM, left - width - RIM) for y in (top - height, bottom)]
    for x, y in outside:
        x, y = kept(x, y)
        if not overlap((x, y, x + width, y + height), box):
            yield x, y
    yield from within


def _all_over(size: tuple[float, float], box: Rect, inside: Rect) -> list[tuple[float, float]]:
    """A lattice over all of the picture, the nearest to the box first."""
    width, height = size
    across, up = width / 2 + GAP, height / 2 + GAP
    spots = [
        (inside[0] + i * across, inside[3] - height - j * up)
        for i in range(int((inside[2] - inside[0] - width) / across) + 1)
        for j in range(int((inside[3] - inside[1] - height) / up) + 1)
    ]

    def far(spot: tuple[float, float]) -> tuple[float, float, float]:
        aside = max(box[0] - spot[0] - width, spot[0] - box[2], 0.0)
        above = max(spot[1] - box[3], box[1] - spot[1] - height, 0.0)
        return (
            round(aside + above, 6),
            round(abs(spot[0] - box[0]) + abs(spot[1] + height - box[3]), 6),
            spot[0],
        )

    return sorted(spots, key=far)
