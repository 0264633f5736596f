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
RIM = 1.0 * POINT
"""Between a label and the box that it stands beside: it touches the line of the box and does not cover it."""
MOSTLY = 0.8
"""Of a box, the part that lies in a larger one that is said to hold it."""


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

    Examples:
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
    size: tuple[float, float],
    box: Rect,
    inside: Rect,
    taken: Sequence[Rect],
    spare: Sequence[Rect] = (),
    others: Sequence[Rect] = (),
) -> Rect | None:
    """Where a label goes: at its box if there is room, else in the nearest free place; None if there is none.

    A label in or at a box reads as the name of that box. So it covers another box that has a label only where the
    picture has no free place, and lies wholly in one only where nothing else is left. Boxes that hold its own
    are under it anyway.

    Args:
        size: Width and height of the label.
        box: What it names.
        inside: What it must not leave.
        taken: Labels that are there already.
        spare: Boxes that it had better not cover.
        others: Other boxes that have labels.
    """
    if size[0] > inside[2] - inside[0] or size[1] > inside[3] - inside[1]:
        return None
    holders = [other for other in others if holds(other, box)]
    foreign = [other for other in others if not holds(other, box)]

    def clear(spot: Rect) -> bool:
        covered = any(overlap(spot, other) for other in [*spare, *foreign])
        return not covered and all(is_within(spot, holder) for holder in holders)

    def free(spot: Rect) -> bool:
        return not any(overlap(spot, other) for other in foreign)

    def partly_free(spot: Rect) -> bool:
        return not any(is_within(spot, other) for other in foreign)

    near = [_at(spot, size) for spot in _near(size, box, inside)]
    all_over = [_at(spot, size) for spot in _all_over(size, box, inside)]
    near, all_over = (
        [spot for spot in spots if not any(overlap(spot, other) for other in taken)]
        for spots in (near, all_over)
    )
    for spots, good in (
        (near, clear),
        (near, free),
        (all_over, clear),
        (all_over, free),
        (near, partly_free),
        (all_over, partly_free),
    ):
        for spot in spots:
            if good(spot):
                return spot
    return next(iter([*near, *all_over]), None)


def holds(outer: Rect, inner: Rect) -> bool:
    """Whether a box lies in another that is as large or larger, but for a small part."""
    shared = [max(min(outer[i + 2], inner[i + 2]) - max(outer[i], inner[i]), 0.0) for i in (0, 1)]
    return area(outer) >= area(inner) and shared[0] * shared[1] >= MOSTLY * area(inner)


def is_within(spot: Rect, box: Rect) -> bool:
    """Whether no part of a label is outside a box."""
    return box[0] <= spot[0] and box[1] <= spot[1] and spot[2] <= box[2] and spot[3] <= box[3]


def touches(spot: Rect, box: Rect) -> bool:
    """Whether a label is in or at a box, so that no line has to tie them."""
    near = RIM + 1e-6
    return all(spot[i] <= box[i + 2] + near and box[i] <= spot[i + 2] + near for i in (0, 1))


def area(box: Rect) -> float:
    """In square inches."""
    return (box[2] - box[0]) * (box[3] - box[1])


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


def _at(corner: tuple[float, float], size: tuple[float, float]) -> Rect:
    return corner[0], corner[1], corner[0] + size[0], corner[1] + size[1]


def _near(size: tuple[float, float], box: Rect, inside: Rect) -> Iterator[tuple[float, float]]:
    """Within a box at its edges unless it is small, then above, below and beside it; corners before middles."""
    width, height = size
    left, bottom, right, top = box
    across = [left + part * (right - left - width) for part in (0, 1, 0.5)]
    up = [bottom + part * (top - bottom - height) for part in (1, 0, 0.5)]

    def kept(x: float, y: float) -> tuple[float, float]:
        return min(max(x, inside[0]), inside[2] - width), min(max(y, inside[1]), inside[3] - height)

    within = [kept(x, y) for y in up[:2] for x in across] + [kept(x, up[2]) for x in across[:2]]
    fits = width <= right - left and height <= top - bottom
    if fits and not is_small(box):
        yield from within
    outside = [(x, y) for y in (top + RIM, bottom - height - RIM) for x in across]
    outside += [(x, y) for x in (right + RIM, left - width - RIM) for y in up]
    for x, y in outside:
        x, y = kept(x, y)
        apart = x >= right or x + width <= left or y >= top or y + height <= bottom
        if apart:  # after it was kept in the picture
            yield x, y
    if fits or not is_small(box):
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
