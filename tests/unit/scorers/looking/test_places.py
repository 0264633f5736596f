"""Every region of a patch model is where its box says: in the picture that is shown, and for the model."""

import re
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tests.unit.scorers.looking.cases import NO_PLACE, REGION_PROCESSORS, SCORERS

from cacr.attention.layouts import layout_for
from cacr.data.pairs import Picture
from cacr.scorers.looking import look
from cacr.scorers.looking.look import _pair, _watched

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
CAPTION = "a red circle is left of a blue square"
OF_PIXELS = [name for name in SCORERS if name not in (*REGION_PROCESSORS, "lxmert", "visual_bert")]
PLACED = [name for name in OF_PIXELS if name.rsplit("-", 1)[0] not in NO_PLACE and name not in NO_PLACE]
PLACED = [name for name in PLACED if not name.endswith("-likelihood")]  # the picture is read alike
BLURRED = ["florence2-vqascore"]
"""Its vision tower is made of convolutions over more than a patch."""
CODES = ["chameleon-vqascore"]
"""Its picture is made of codes, each of which depends on all of the picture."""
TILED = ("internvl", "idefics3", "smolvlm", "llava_next", "llava_onevision", "aya_vision", "mllama")
BRIGHT = (250, 20, 20)


def plain(size):
    """A picture of soft noise: blank ones leave attention with nothing to tell places by."""
    noise = np.random.default_rng(0).integers(90, 130, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(noise)


def painted(image, box):
    image = image.copy()
    corners = (np.array(box) * np.array(image.size * 2)).round().astype(int).tolist()
    image.paste(BRIGHT, tuple(corners))
    return image


def as_picture(image):
    return Picture("one.png", None, lambda: image)


TOWER = re.compile(r"vision|visual|image_model")
OUTPUT = re.compile(r"(attn|attention)\.(.*\.)?(out_proj|o_proj|proj|projection|projection_layer|dense)$")


def quiet(model):
    """Take out what the vision tower's layers carry from patch to patch, so that a token stands for its own."""
    for name, module in model.named_modules():
        if TOWER.search(name) and OUTPUT.search(name):
            torch.nn.init.zeros_(module.weight)


@contextmanager
def keys_of(model, path, positions, kept):
    """Keep what the attention module at ``path`` makes its keys from, at the regions."""

    def hear(module, args, kwargs):
        given = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.Tensor) and x.ndim == 3]
        rows = [x.flatten(0, 1) for x in reversed(given)]  # Mllama's are [tile, position, feature]
        kept.append(next(x for x in rows if len(x) == positions.shape[1]))

    handle = model.get_submodule(path).register_forward_pre_hook(hear, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def region_states(scorer, image):
    """What the first layer of text-image attention reads of each region: [region, feature]."""
    pair, model = _pair(scorer, CAPTION, as_picture(image)), scorer.model
    layout = layout_for(model, pair.layout)
    layer, masks, kept = layout.usable(model)[0], [], []

    def heard(run):
        masks.append(layout.masks(run))
        return masks[-1]

    spied = replace(layout, masks=heard)
    _watched(scorer, pair.inputs, pair.words.mask, layer, "mean", spied, pair.region_mask)
    regions = masks[0][1]
    first = layer if layout.only_usable else 0  # before words and regions were mixed
    with keys_of(model, layout.modules(model, first)["lv"][0], regions, kept), torch.inference_mode():
        model(**pair.inputs)
    return kept[0][regions[0]]


def change(scorer, before, blank, box):
    """How much each region changes when a box of the picture is painted: [region]."""
    return (region_states(scorer, painted(blank, box)) - before).norm(dim=1)


def inner(box):
    """The middle of a box: what a processor blurs stays inside."""
    left, top, right, bottom = box
    x, y = (right - left) / 4, (bottom - top) / 4
    return left + x, top + y, right - x, bottom - y


def part_of(image, box):
    """The pixels of a box, [height, width, channel]."""
    left, top, right, bottom = (np.array(box) * np.array(image.size * 2)).round().astype(int)
    return np.asarray(image).astype(int)[top:bottom, left:right]


def ready(name):
    looked = SCORERS[name]
    scorer, blank = looked.build(), plain(looked.size)
    quiet(scorer.model)
    found = look(scorer, CAPTION, as_picture(blank), layers="last", heads="mean")
    before = region_states(scorer, blank)
    assert len(before) == len(found.boxes01) == found.regions
    return scorer, blank, found, before


@pytest.mark.parametrize("name", [name for name in PLACED if name not in BLURRED + CODES])
def test_painting_the_box_of_a_region_changes_that_region_most(name):
    scorer, blank, found, before = ready(name)
    size = found.boxes01[:, 2:] - found.boxes01[:, :2]
    for i, box in enumerate(found.boxes01.tolist()):
        alike = (size / size[i] - 1).abs().amax(1) < 0.3  # tokens of a tile and of the whole picture overlap
        assert int(change(scorer, before, blank, inner(box)).masked_fill(~alike, -1).argmax()) == i


@pytest.mark.parametrize("name", BLURRED)
def test_painting_a_quarter_of_the_picture_changes_the_regions_there_most(name):
    scorer, blank, found, before = ready(name)
    middle = (found.boxes01[:, :2] + found.boxes01[:, 2:]) / 2
    quarter = 2 * (middle[:, 1] > 0.5).int() + (middle[:, 0] > 0.5).int()
    for q, (x, y) in enumerate(((0, 0), (0.5, 0), (0, 0.5), (0.5, 0.5))):
        moved = change(scorer, before, blank, (x, y, x + 0.5, y + 0.5))
        assert int(torch.stack([moved[quarter == one].mean() for one in range(4)]).argmax()) == q


@pytest.mark.parametrize("name", CODES)
def test_codes_stand_in_the_order_of_the_cells_that_they_are_the_nearest_of(name):
    scorer, blank, found, before = ready(name)
    cells, vq = [], scorer.model.model.vqmodel
    handle = vq.quant_conv.register_forward_hook(lambda module, args, output: cells.append(output[0]))
    region_states(scorer, blank)
    handle.remove()
    assert cells[0].shape[1:] == found.grid
    with torch.inference_mode():
        code = torch.cdist(cells[0].flatten(1).T, vq.quantize.embedding.weight).argmin(1)
    assert len(code.unique()) > 3
    assert torch.equal(torch.cdist(before, before) < 1e-3, code[:, None] == code)


@pytest.mark.parametrize("name", PLACED)
def test_the_picture_that_is_shown_has_the_paint_in_the_box_alone(name):
    looked = SCORERS[name]
    scorer, blank = looked.build(), plain(looked.size)
    found = look(scorer, CAPTION, as_picture(blank), layers="last", heads="mean")
    for box in found.boxes01[:: max(1, len(found.boxes01) // 3)].tolist():
        image = look(scorer, CAPTION, as_picture(painted(blank, box)), layers="last", heads="mean").image
        assert np.abs(part_of(image, box) - BRIGHT).max() <= 2
        paint = np.abs(np.asarray(image).astype(int) - BRIGHT).max(2) <= 2
        assert paint.sum() == part_of(image, box)[..., 0].size
        assert np.abs(np.asarray(found.image).astype(int) - np.asarray(blank)).max() <= 2


@pytest.mark.parametrize(
    "name", [name for name in OF_PIXELS if name not in PLACED and "likelihood" not in name]
)
def test_queries_have_no_place_in_the_picture(name):
    looked = SCORERS[name]
    found = look(looked.build(), CAPTION, as_picture(plain(looked.size)), layers="last", heads="mean")
    assert found.boxes01 is None and found.grid is None and found.image is not None


@pytest.mark.parametrize("name", PLACED)
def test_a_grid_is_in_reading_order(name):
    looked = SCORERS[name]
    found = look(looked.build(), CAPTION, as_picture(plain(looked.size)), layers="last", heads="mean")
    if found.grid is None:
        assert any(family in name for family in TILED)
        return
    rows, columns = found.grid
    left, top = found.boxes01[:, 0].view(rows, columns), found.boxes01[:, 1].view(rows, columns)
    assert (left.diff(dim=1) > 0).all() and (left == left[:1]).all()
    assert (top.diff(dim=0) > 0).all() and (top == top[:, :1]).all()
