"""ViLT's and BridgeTower's processors round the short side of a thin picture down to nothing; it still gets a score."""

import numpy as np
import pytest
import torch
from PIL import Image
from tests.unit.scorers.match_head_cases import CASES
from torch.testing import assert_close
from transformers.models.bridgetower import image_processing_pil_bridgetower
from transformers.models.vilt import image_processing_pil_vilt

from cacr.data.pairs import Picture
from cacr.data.scenes import scene
from cacr.scorers.match_heads.thin import at_least_a_patch
from cacr.tiny_models import processors

SHAPE_KEPT = {"vilt": image_processing_pil_vilt, "bridgetower": image_processing_pil_bridgetower}
LONGEST, PATCH = 48, 8
"""Whole patches within 1333/800 of the tiny processors' 32 pixels, and one patch."""


@pytest.fixture(params=SHAPE_KEPT)
def kind(request):
    return request.param


def brought_to(kind, image, processor):
    """Height and width that transformers' own rule brings a picture to."""
    pixels = np.broadcast_to(0, (3, image.height, image.width))
    shorter = processor.size["shortest_edge"]
    return SHAPE_KEPT[kind].get_resize_output_image_size(
        pixels, shorter=shorter, longer=int(1333 / 800 * shorter), size_divisor=processor.size_divisor
    )


@pytest.mark.parametrize(("size", "final"), [((300, 20), (LONGEST, PATCH)), ((20, 300), (PATCH, LONGEST))])
def test_a_thin_picture_scores_as_one_of_a_single_patch(kind, size, final, captions):
    scorer, image = CASES[kind](), scene(0, 0).image.resize(size)
    thin, ready = (Picture("thin.png", None, lambda im=im: im) for im in (image, image.resize(final, 3)))
    with torch.no_grad():
        plain = [CASES[kind].alone(scorer.model, scorer.processor, caption, ready) for caption in captions]
    assert_close(scorer.grid(captions, [thin])[:, 0], torch.stack(plain), rtol=0, atol=1e-5)


def test_a_thin_picture_changes_no_score_of_others(kind, captions, pictures):
    thin = Picture("thin.png", None, lambda: scene(0, 0).image.resize((300, 20)))
    scorer = CASES[kind]()
    assert_close(
        scorer.grid(captions, [thin, *pictures])[:, 1:], scorer.grid(captions, pictures), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("shortest", [32, 288, 384])
def test_only_pictures_that_would_be_nothing_are_made_thicker(kind, shortest):
    processor = getattr(processors, "vilt" if kind == "vilt" else "bridge_tower")().image_processor
    patch = processor.size_divisor = PATCH if shortest == 32 else 32
    processor.size["shortest_edge"] = shortest
    clamped = 0
    for width in range(20, 1400, 23):
        for size in ((width, 20), (20, width), (width, 63), (63, width)):
            image = Image.new("RGB", size)
            shown = at_least_a_patch(image, processor)
            before, after = brought_to(kind, image, processor), brought_to(kind, shown, processor)
            assert after == tuple(max(side, patch) for side in before)
            if 0 in before:
                clamped += 1
                assert (shown.height, shown.width) == after
            else:
                assert shown is image
    assert clamped > 50


@pytest.mark.parametrize("name", ["blip", "flava"])
def test_a_processor_that_makes_squares_gets_thin_pictures_as_they_are(name):
    image = Image.new("RGB", (300, 20))
    assert at_least_a_patch(image, getattr(processors, name)().image_processor) is image
