"""Regions and their file: what does not fit is refused, with the file and the picture."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cacr.regions import Regions, open_features, write_features


def test_a_box_may_overshoot_by_a_pixel_and_is_cut():
    regions = Regions.from_pixels(torch.zeros(1, 2), torch.tensor([[-0.5, 0.0, 40.6, 30.0]]), (40, 30))
    assert regions.boxes.tolist() == [[0, 0, 40, 30]]
    assert regions.boxes01.tolist() == [[0, 0, 1, 1]]


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([0.0, 0.0, 900.0, 10.0], "lies outside of the picture of 40 x 30"),
        ([30.0, 5.0, 10.0, 20.0], "ends before it starts"),
    ],
)
def test_boxes_of_another_convention_are_refused(box, message):
    with pytest.raises(ValueError, match=message):
        Regions.from_pixels(torch.zeros(1, 2), torch.tensor([box]), (40, 30))


def tensors(**changes):
    return {
        "features": torch.zeros(3, 2),
        "boxes01": torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 3),
        "offsets": torch.tensor([0, 1, 3]),
        "sizes": torch.tensor([[4, 4], [4, 4]]),
    } | changes


@pytest.mark.parametrize("ids", ["", "5", '["a"]', "{"])
def test_a_file_with_other_image_ids_is_refused(tmp_path, ids):
    save_file(tensors(), tmp_path / "f.safetensors", metadata={"format": "cacr-regions-1", "image_ids": ids})
    with pytest.raises(ValueError, match=r"f\.safetensors (has no list of image_ids|names 1 pictures)"):
        open_features(tmp_path / "f.safetensors")


@pytest.mark.parametrize("offsets", [[0, 1, 9], [0, 0, 3], [0, 3, 1], [1, 2, 3]])
def test_offsets_that_do_not_fit_are_refused(tmp_path, offsets):
    changed = tensors(offsets=torch.tensor(offsets))
    meta = {"format": "cacr-regions-1", "image_ids": json.dumps(["a", "b"])}
    save_file(changed, tmp_path / "f.safetensors", metadata=meta)
    with pytest.raises(ValueError, match="offsets do not fit"):
        open_features(tmp_path / "f.safetensors")


def test_bad_values_are_named_by_file_and_picture(tmp_path):
    meta = {"format": "cacr-regions-1", "image_ids": json.dumps(["a", "b"])}
    save_file(tensors(features=torch.full((3, 2), torch.nan)), tmp_path / "f.safetensors", metadata=meta)
    with pytest.raises(ValueError, match=r"f\.safetensors, picture b: features hold NaN"):
        open_features(tmp_path / "f.safetensors")["b"]


def test_text_for_numbers_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([["x"]]), boxes=np.zeros((1, 4)), image_w=4, image_h=4)
    with pytest.raises(ValueError, match=r"a\.npz holds <U1 features"):
        open_features(tmp_path)


def test_widths_must_agree(tmp_path):
    two = {n: Regions(torch.zeros(1, n), torch.tensor([[0.0, 0.0, 1.0, 1.0]])) for n in (2, 3)}
    with pytest.raises(ValueError, match=r"features have \[2, 3\] numbers per region"):
        write_features(tmp_path / "f.safetensors", {str(n): r for n, r in two.items()})
