"""The regions of a picture labelled with the words that attend to them most: Figure 4 (bottom) of the paper.

Paper: arXiv:2212.10549, Figure 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from matplotlib.figure import Figure

from cacr.attention import Attended
from cacr.explore.placing import (
    Rect,
    area,
    fitted,
    holds,
    is_small,
    listed,
    overlap,
    place,
    text_width,
    touches,
)
from cacr.explore.sheets import (
    BLUE,
    LEAST,
    MARGIN,
    MEDIUM,
    MOST,
    ONE_COLUMN,
    SMALL,
    Sheet,
    aspect_of,
    centered,
    draw_box,
    heading,
    label_size,
    on_sheet,
    patch_box,
    show_picture,
)
from cacr.explore.words import WordAttention, is_equal, number, word_attention, words_of_regions

WIDEST = 0.5
"""Of a label, as a fraction of the picture; more words than fit are counted."""


def regions_figure(
    attended: Attended,
    layer: int = -1,
    head: int | None = None,
    cross: str = "lv",
    width: float = ONE_COLUMN,
) -> Figure:
    """The picture with the regions that words attend to most, each labelled with these words.

    Boxes of no word are thin and gray. Labels cover no other label and stay in the picture; one that had to move
    away from its box is tied to it with a line. Regions without a place in the picture become bars. Words that look
    everywhere alike are at no region; the lines above the picture count them.

    Args:
        attended: A pair.
        layer: A layer that was watched; below 0: from the last.
        head: From 0; None for the mean over heads.
        cross: "lv": where words look; "vl": which regions look at a word.
        width: Of the figure, in inches.

    Raises:
        ValueError: A layer, head or cross that is not there.
    """
    pair = word_attention(attended, layer, head, cross)
    labels = words_of_regions(pair)
    placed = attended.grid is not None or attended.boxes01 is not None
    wide = width - 2 * MARGIN
    aspect = aspect_of(attended.image, attended.grid)
    high = wide * min(max(aspect, LEAST), MOST) if placed else 0.17 * len(labels) + 0.1
    cell = (MARGIN, MARGIN, MARGIN + wide, MARGIN + high)
    where = centered(aspect, cell)
    boxes = _boxes_of(attended, labels)
    spots = _spots(boxes, labels, where, cell) if placed else {}
    what = "patch" if attended.grid else "box" if placed else "position"
    looks = "it attends to most" if cross == "lv" else "that attends to it most"
    name = f"{attended.model}, " if attended.model else ""
    below = f"each word at the {what} {looks} ({name}{pair.place})"
    if placed and len(spots) < len(labels):
        below += f"; {len(labels) - len(spots)} of {len(labels)} labels have no room"
    below += _equal(pair)
    lines, top = heading(attended.caption, width, MEDIUM, 3)
    small, under = heading(below, width, SMALL, 3)
    sheet = Sheet(width, 2 * MARGIN + top + under + high + 0.04)
    sheet.lines(lines, MEDIUM)
    sheet.lines(small, SMALL, "0.3", MARGIN + top)
    if placed:
        _on_picture(sheet, attended, boxes, spots, where)
    elif labels:
        highest = {region: float(pair.values[:, region].max()) for region in labels}
        _beside_bars(sheet, attended, labels, highest, cell)
    return sheet.figure


def _equal(pair: WordAttention) -> str:
    """How many words are at no region, because none has more of their attention than another."""
    count = sum(is_equal(row) for row in pair.values)
    if not count:
        return ""
    some = f"{count} word{'' if count == 1 else 's'}"
    if pair.cross == "lv":
        return f"; {some} look{'s' if count == 1 else ''} everywhere alike"
    return f"; all regions look alike at {some}"


def _boxes_of(attended: Attended, labels: Mapping[int, Sequence[str]]) -> dict[int, list[float]]:
    """The boxes that are drawn, in fractions of the picture: all; of a grid those with a label."""
    if attended.grid is not None:
        return {region: list(patch_box(region, attended.grid)) for region in labels}
    if attended.boxes01 is None:
        return {}
    return {region: box.tolist() for region, box in enumerate(attended.boxes01)}


def _spots(
    boxes: Mapping[int, Sequence[float]], labels: Mapping[int, Sequence[str]], where: Rect, cell: Rect
) -> dict[int, tuple[str, Rect]]:
    """Region -> its label and where that goes.

    Small boxes have the first choice, or large ones, whose labels have less room where small boxes lie in them:
    whichever leaves fewer labels without a place, on other labelled boxes, and away from their own box.
    """
    at = {region: on_sheet(box, where) for region, box in boxes.items()}
    texts = {}
    for region, words in labels.items():
        text = listed(words, partial(_fits, room=WIDEST * (cell[2] - cell[0])))
        texts[region] = fitted(text, SMALL, cell[2] - cell[0] - 0.1)
    small_first = sorted(labels, key=lambda region: area(at[region]))
    tried = [_in_order(order, texts, at, cell) for order in (small_first, small_first[::-1])]
    spots = min(tried, key=lambda some: _faults(some, at))
    return {region: (texts[region], spot) for region, spot in spots.items()}


def _in_order(
    order: Sequence[int], texts: Mapping[int, str], at: Mapping[int, Rect], cell: Rect
) -> dict[int, Rect]:
    """Region -> where its label goes; those earlier in the order choose first."""
    found: dict[int, Rect] = {}
    for region in order:
        others = [at[other] for other in order if other != region]
        spare = [box for other, box in at.items() if other not in texts and not holds(box, at[region])]
        spare += [at[region]] if is_small(at[region]) else []
        size = label_size(text_width(texts[region], SMALL))
        spot = place(size, at[region], cell, list(found.values()), spare, others)
        if spot is not None:
            found[region] = spot
    return found


def _faults(spots: Mapping[int, Rect], at: Mapping[int, Rect]) -> tuple[int, int, int]:
    """Labels that have a place (below 0), that cover other labelled boxes, and that do not touch their own."""
    covering = sum(
        any(overlap(spot, at[other]) and not holds(at[other], at[region]) for other in spots)
        for region, spot in spots.items()
    )
    return -len(spots), covering, sum(not touches(spot, at[region]) for region, spot in spots.items())


def _on_picture(
    sheet: Sheet,
    attended: Attended,
    boxes: Mapping[int, Sequence[float]],
    spots: Mapping[int, tuple[str, Rect]],
    where: Rect,
) -> None:
    panel = sheet.panel(where)
    show_picture(panel, attended.image)
    for region, box in boxes.items():
        if region in spots:
            text, spot = spots[region]
            draw_box(panel, box, BLUE, 1.1)
            sheet.label(panel, spot, on_sheet(box, where), text, BLUE)
        else:
            draw_box(panel, box, "0.65", 0.4, zorder=3, rim=0)
    for line in panel.lines:
        line.set_clip_on(False)  # from a label to its box, perhaps along the picture's edge


def _fits(text: str, room: float) -> bool:
    return text_width(text, SMALL) <= room


def _beside_bars(
    sheet: Sheet,
    attended: Attended,
    labels: Mapping[int, Sequence[str]],
    highest: Mapping[int, float],
    where: Rect,
) -> None:
    names = [
        f"{region}" if attended.region_names is None else f"{region} {attended.region_names[region]}"
        for region in labels
    ]
    names = [fitted(name, SMALL, 0.9) for name in names]
    left = max(text_width(name, SMALL) for name in names) + 0.06
    wide = where[2] - where[0] - left
    panel = sheet.panel((where[0] + left, where[1], where[2], where[3]))
    top = max(max(highest.values()), 1e-12)
    panel.set_xlim(0, top / 0.35)  # the words stand to the right of the bars
    panel.set_ylim(len(labels) - 0.4, -0.6)
    for row, (region, words) in enumerate(labels.items()):
        panel.barh(row, highest[region], height=0.7, color=BLUE)
        room = wide * (1 - 0.35 * highest[region] / top) - 0.06
        value = number(highest[region])
        text = listed(words, partial(_fits, room=room - text_width(f"{value}  ", SMALL)))
        panel.annotate(
            fitted(f"{value}  {text}", SMALL, room),
            (highest[region], row),
            (3, 0),
            textcoords="offset points",
            fontsize=SMALL,
            va="center",
            parse_math=False,
        )
    panel.set_yticks(range(len(labels)))
    panel.set_yticklabels(names, fontsize=SMALL, parse_math=False)
    panel.set_xticks([])
    panel.tick_params(length=0, pad=2)
    panel.spines[["top", "right", "bottom"]].set_visible(False)
    panel.spines["left"].set_linewidth(0.5)
