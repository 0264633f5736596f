"""Regions and the files that hold them: what is not finite or no box is refused by the picture's name."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from cacr.models.oscar.processing import position_features as oscar_numbers
from cacr.models.rosita.processing import position_features as rosita_numbers
from cacr.models.uniter.processing import position_features as uniter_numbers
from cacr.regions import Regions, open_features, write_features

NAN, INF = float("nan"), float("inf")
BOX = [0.1, 0.2, 0.5, 0.6]


def made(box=BOX, feature=1.0, **more):
    return Regions(torch.tensor([[feature, 0.0], [0.5, -1.0]]), torch.tensor([BOX, box]), **more)


@pytest.mark.parametrize("feature", [NAN, INF, -INF])
def test_features_that_are_not_finite_are_refused(feature):
    with pytest.raises(ValueError, match="features hold NaN or infinite values"):
        made(feature=feature)


def test_infinities_that_cancel_are_seen():
    with pytest.raises(ValueError, match="features hold NaN or infinite values"):
        Regions(torch.tensor([[INF, -INF]]), torch.tensor([BOX]))


def test_features_that_overflow_when_summed_are_taken():
    assert len(made(feature=3e38)) == 2
    assert len(Regions(torch.full((9, 2), 6e4, dtype=torch.float16), torch.tensor([BOX] * 9))) == 9


def test_features_that_float32_does_not_hold_are_refused():
    with pytest.raises(ValueError, match="features hold NaN or infinite values"):
        Regions(torch.tensor([[1e300]], dtype=torch.float64), torch.tensor([BOX]))


def test_whole_numbers_are_refused_as_features():
    with pytest.raises(ValueError, match=r"features are torch.int64; expected floating point"):
        Regions(torch.tensor([[1]]), torch.tensor([BOX]))


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ([NAN, 0, 1, 1], "boxes hold NaN"),
        ([0, 0, INF, 1], "boxes hold NaN or infinite"),
        ([-0.1, 0, 1, 1], "boxes reach from -0.1 to 1"),
        ([0, 0, 1.2, 1], "boxes reach from 0 to 1.2"),
        ([0.5, 0, 0.2, 1], "a box ends before it starts"),
    ],
)
def test_what_is_no_box_in_the_picture_is_refused(box, said):
    with pytest.raises(ValueError, match=said):
        made(box)


def test_a_box_without_area_is_taken_exactly():
    point = made([0.5, 0.5, 0.5, 0.5]).boxes01[1:]
    assert uniter_numbers(point).tolist() == [[0.5, 0.5, 0.5, 0.5, 0, 0, 0]]
    assert oscar_numbers(point).tolist() == [[0.5, 0.5, 0.5, 0.5, 0, 0]]
    assert rosita_numbers(point).tolist() == [[0.5, 0.5, 0.5, 0.5, 0]]


@pytest.mark.parametrize(
    "more",
    [
        {"extents01": torch.tensor([[NAN, 0.1], [0.1, 0.1]])},
        {"object_confidence": torch.tensor([NAN, 1.0])},
        {"attribute_confidence": torch.tensor([INF, 1.0])},
        {"boxes": torch.tensor([[NAN] * 4, [0.0] * 4])},
    ],
)
def test_other_numbers_of_a_region_must_be_finite_too(more):
    with pytest.raises(ValueError, match=f"{next(iter(more))} hold NaN or infinite values"):
        made(**more)


@pytest.mark.parametrize("extents", [[-0.5, 0.1], [0.1, 7.0]])
def test_extents_beyond_the_picture_are_refused(extents):
    with pytest.raises(ValueError, match="extents01 are not widths and heights"):
        made(extents01=torch.tensor([extents, [0.1, 0.1]]))


@pytest.mark.parametrize("size", [(0, 5), (-3, 5), (5, NAN), (INF, 5)])
def test_a_picture_without_a_size_is_refused(size):
    with pytest.raises(
        ValueError, match=r"the picture's size is .*expected \(width, height\) in pixels, both positive"
    ):
        Regions.from_pixels(torch.zeros(1, 2), torch.zeros(1, 4), size)
    with pytest.raises(ValueError, match="the picture's size is"):
        made(size=size)


@pytest.mark.parametrize("box", [[NAN, 0, 1, 1], [0, 0, INF, 1], [-INF, 0, 1, 1], [0, 0, 12, 5]])
def test_boxes_in_pixels_outside_of_the_picture_are_refused(box):
    with pytest.raises(ValueError, match="outside of the picture of 10 x 5 pixels|boxes hold NaN"):
        Regions.from_pixels(torch.zeros(1, 2), torch.tensor([box], dtype=torch.float32), (10, 5))


@pytest.mark.parametrize("count", [1, 1000])
def test_one_region_and_a_thousand_come_back_from_a_file_as_they_were(count, tmp_path):
    boxes = torch.rand(count, 4).sort(1).values[:, [0, 1, 2, 3]]
    write_features(
        tmp_path / "f.safetensors", {"a": Regions(torch.randn(count, 3), boxes)}, dtype=torch.float32
    )
    back = open_features(tmp_path / "f.safetensors")["a"]
    assert len(back) == count
    assert_close(back.boxes01, boxes, rtol=0, atol=0)


def test_features_that_float16_does_not_hold_are_refused_by_picture_when_written(tmp_path):
    pictures = {"fine.jpg": made(), "wild.jpg": made(feature=1e5)}
    with pytest.raises(ValueError, match=r"wild\.jpg.*features reach 1e\+05, more than torch.float16 holds"):
        write_features(tmp_path / "f.safetensors", pictures, dtype=torch.float16)
    assert not (tmp_path / "f.safetensors").exists()


@pytest.mark.parametrize("value", [NAN, INF])
def test_one_broken_picture_of_a_features_file_is_named_when_it_is_read(value, tmp_path):
    file = tmp_path / "f.safetensors"
    write_features(file, {"fine.jpg": made(), "wild.jpg": made(feature=123.0)}, dtype=torch.float32)
    bytes_, broken = file.read_bytes(), np.array([value], "<f4").tobytes()
    file.write_bytes(bytes_.replace(np.array([123.0], "<f4").tobytes(), broken))
    store = open_features(file)
    assert len(store["fine.jpg"]) == 2
    with pytest.raises(
        ValueError, match=r"f\.safetensors, picture wild\.jpg: features hold NaN or infinite values"
    ):
        store["wild.jpg"]


def test_one_broken_picture_of_a_folder_of_npz_is_named(tmp_path):
    for name, value in (("fine", 1.0), ("wild", NAN)):
        np.savez(
            tmp_path / f"{name}.npz",
            features=np.full((1, 4), value, "f4"),
            norm_bb=np.array([[0.1, 0.1, 0.5, 0.5, 0.4, 0.4]], "f4"),
            conf=np.ones(1, "f4"),
        )
    store = open_features(tmp_path)
    assert len(store["fine"]) == 1
    with pytest.raises(ValueError, match=r"wild\.npz: features hold NaN or infinite values"):
        store["wild"]


def test_no_regions_are_refused():
    with pytest.raises(ValueError, match="one region at least"):
        Regions(torch.zeros(0, 2), torch.zeros(0, 4))
