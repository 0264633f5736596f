"""Pairs with made-up attention to draw: boxes, patches of a grid, and positions without a place."""

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from cacr.attention import Attended, AttentionBlocks

TOKENS = ("a", "wind", "##mill", "on", "a", "hill")


def soft(g, *shape):
    return (1.5 * torch.randn(*shape, generator=g)).softmax(-1)


def made(tokens=TOKENS, regions=5, heads=0, vl=True, causal=False, seed=0, lv=None, **where):
    """A pair whose attention is drawn at random, or whose words look as ``lv`` says."""
    g = torch.Generator().manual_seed(seed)
    words = len(tokens)
    head = (heads,) if heads else ()
    see = torch.ones(words, words).tril() > 0 if causal else None
    ll = soft(g, 1, *head, words, words)
    if see is not None:
        ll = ll.masked_fill(~see, 0.0)
        ll = ll / ll.sum(-1, keepdim=True)
    blocks = AttentionBlocks(
        ll,
        soft(g, 1, *head, words, regions) if lv is None else torch.tensor([lv]),
        soft(g, 1, *head, regions, words) if vl else None,
        soft(g, 1, *head, regions, regions),
        torch.ones(1, words, dtype=torch.bool),
        torch.ones(1, regions, dtype=torch.bool),
        ll_support=None if see is None else see[None],
    )
    caption = where.pop("caption", " ".join(tokens).replace(" ##", ""))
    return Attended("tiny", caption, list(tokens), {3: blocks}, **where)


def with_boxes(regions=5, size=(60, 40), seed=0, **changes):
    g = torch.Generator().manual_seed(seed)
    corner = torch.rand(regions, 2, generator=g) * 0.6
    boxes = torch.cat([corner, corner + 0.1 + 0.3 * torch.rand(regions, 2, generator=g)], 1)
    picture = Image.new("RGB", size, "gray")
    return made(regions=regions, seed=seed, **({"image": picture, "boxes01": boxes} | changes))


def with_patches(grid=(4, 6), **changes):
    picture = Image.new("RGB", (60, 40), "gray")
    return made(regions=grid[0] * grid[1], **({"image": picture, "grid": grid} | changes))


def texts_of(figure):
    """Every visible text of a figure with its place in inches, labels with their background."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    texts = [*figure.texts, *(t for legend in figure.legends for t in legend.get_texts())]
    for axes in figure.axes:
        if axes.get_visible():
            texts += [*axes.texts, axes.title, axes._left_title, axes._right_title]
        if axes.get_visible() and axes.axison:
            for axis in (axes.xaxis, axes.yaxis):
                texts += [
                    axis.label,
                    *(t for tick in axis._update_ticks() for t in (tick.label1, tick.label2)),
                ]
    found = []
    for text in texts:
        if text.get_text().strip() and text.get_visible():
            extent = (text.get_bbox_patch() or text).get_window_extent(renderer)
            found.append((text, extent.transformed(figure.dpi_scale_trans.inverted())))
    return found


def assert_readable(figure, smallest=6.0):
    """No text leaves the figure, none covers another, and none is smaller than people read in print."""
    wide, high = figure.get_size_inches()
    texts = texts_of(figure)
    assert texts
    for text, box in texts:
        what = text.get_text()
        inside = box.x0 >= -0.005 and box.y0 >= -0.005 and box.x1 <= wide + 0.005 and box.y1 <= high + 0.005
        assert inside, f"{what!r} leaves the figure: {box} of {wide} x {high}"
        assert text.get_fontsize() >= smallest, what
    for index, (text, box) in enumerate(texts):
        for other, there in texts[:index]:
            apart = (
                box.x1 <= there.x0 + 0.004
                or there.x1 <= box.x0 + 0.004
                or box.y1 <= there.y0 + 0.004
                or there.y1 <= box.y0 + 0.004
            )
            assert apart, f"{text.get_text()!r} covers {other.get_text()!r}"
